"""What is refused at a desk: said in the desk's own frame, with the way on, and nothing changed."""

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.fake_market import KEY, OPERATOR_KEY, OTHER_KEY, FakeMarket
from web.asgi import site


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(site(FakeMarket())) as client:
        yield client


def said(client: TestClient[Litestar], method: str, address: str, *, key: str) -> tuple[int, str]:
    client.post("/sign-in", data={"key": key}, follow_redirects=False)
    answer = client.request(method, address, data={"person_id": "prs_x"} if method == "POST" else None)
    return answer.status_code, answer.text


@pytest.mark.parametrize(
    ("address", "key", "frame", "back"),
    [
        ("/finance/periods/1/steps/rate", KEY, "/finance/receivables", "/finance/periods/1"),
        ("/operator/cycles/2/verify", OPERATOR_KEY, "/operator/quarantine", "/operator"),
        ("/account/members/prs_x/remove", KEY, "/find", "/account/members"),
        ("/account/invitations/inv_x/withdraw", KEY, "/find", "/account/members"),
        ("/account/sessions/ses_x/end", KEY, "/find", "/account"),
        ("/developers/keys/key_x/revoke", KEY, "/find", "/developers"),
    ],
)
def test_a_form_that_is_not_ours_changes_nothing_and_leads_back_to_its_page(client, address, key, *, frame, back):
    status, page = said(client, "POST", address, key=key)
    assert (status, "Nothing was changed." in page) == (403, True)
    assert f'<a class="button" href="{back}">Back</a>' in page
    assert f'href="{frame}"' in page


@pytest.mark.parametrize(
    ("address", "whose"), [("/finance", "one of theirs"), ("/operator", "an operator's"), ("/provider", "a provider's")]
)
def test_who_may_not_look_is_told_whose_desk_it_is_and_how_to_come_back(client, address, whose):
    status, page = said(client, "GET", address, key=OTHER_KEY)
    assert (status, f"is not {whose}" in page.replace("&#39;", "'")) == (403, True)
    assert f'href="/sign-in?next={address.replace("/", "%2F")}"' in page or f'href="/sign-in?next={address}"' in page


def test_what_is_not_there_is_said_to_be_so(client):
    status, page = said(client, "GET", "/operator/cycles/99", key=OPERATOR_KEY)
    assert (status, "<h1>Not there</h1>" in page, "Nothing was changed." in page) == (404, True, False)
