"""The pages of people: up, in, out, a second factor, an invitation, a new password; and what each refuses."""

import html
import re
from datetime import UTC, datetime

import pyotp
import pytest
from litestar.testing import TestClient

from contracts import credentials
from tests.fake_market import KEY, FakeMarket
from tests.standing import standing_site

PASSWORD = "a long walk by the sea"
ADA = {"email": "ada@example.org", "name": "Ada", "password": PASSWORD, "organisation": "Analytical Engines", "country": "GB"}
SIGN_IN = {"email": "ada@example.org", "password": PASSWORD}


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(credentials, "SCRYPT_LOG_N", 4)
    monkeypatch.setattr(credentials, "SCRYPT_P", 1)


@pytest.fixture
def app():
    return standing_site(FakeMarket())


@pytest.fixture
def browser(app):
    """Makes browsers on one market."""
    return lambda: TestClient(app)


def hidden(page: str, name: str = "token") -> str:
    return re.search(rf'name="{name}" value="([^"]+)"', page)[1]


def act(client, path: str, page: str = "/account", **fields: str):
    shown = client.get(page).text
    return client.post(path, data={"token": hidden(shown), "once": hidden(shown, "once"), **fields}, follow_redirects=False)


def signed_up(client, **changes: str):
    return client.post("/sign-up", data=ADA | changes, follow_redirects=False)


def shown_once(page: str) -> str:
    return html.unescape(re.search(r'class="once"><code>([^<]+)</code>', page)[1])


def test_who_signs_up_is_in_and_out_again(browser):
    client = browser()
    answer = signed_up(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/bids")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    assert "Analytical Engines" in client.get("/account").text
    assert client.get("/bids").status_code == 200
    kept = client.cookies["gridfare_key"]
    client.post("/sign-out", follow_redirects=False)
    client.cookies["gridfare_key"] = kept
    assert client.get("/account", follow_redirects=False).headers["location"].startswith("/sign-in"), "the session itself must be over"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "short"}, "has 5 letters"),
        ({"email": "ada"}, "not an email address"),
        ({"country": ""}, "choose the country"),
        ({"country": "XX"}, "choose the country"),
        ({"name": " "}, "1 to 80 letters"),
    ],
)
def test_the_form_comes_back_with_what_was_wrong_and_without_the_password(browser, change, said):
    answer = signed_up(browser(), **change)
    assert answer.status_code == 400
    assert said in answer.text
    assert f'id="fault-{next(iter(change))}"' in answer.text
    assert PASSWORD not in answer.text
    assert "Analytical Engines" in answer.text


def test_a_taken_address_is_said_and_a_wrong_password_too(browser):
    signed_up(browser())
    assert "has a person already" in signed_up(browser()).text
    client = browser()
    wrong = client.post("/sign-in/person", data={"email": "ada@example.org", "password": "no"}, follow_redirects=False)
    unknown = client.post("/sign-in/person", data={"email": "eve@example.org", "password": "no"}, follow_redirects=False)
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace("ada@", "eve@") == unknown.text
    right = client.post(
        "/sign-in/person", data={"email": "ada@example.org", "password": PASSWORD, "after": "//evil.example"}, follow_redirects=False
    )
    assert right.headers["location"] == "/bids"


@pytest.mark.parametrize("path", ["/sign-up", "/sign-in/person", "/sign-in/code", "/passwords/x"])
def test_no_other_site_signs_anybody_in(browser, path):
    answer = browser().post(path, data=ADA, headers={"Sec-Fetch-Site": "cross-site"}, follow_redirects=False)
    assert answer.status_code == 403


def test_acts_need_the_form_of_the_reader(browser):
    client = browser()
    signed_up(client)
    assert client.post("/account/second-factor/begin", data={"token": "guessed", "once": "x"}, follow_redirects=False).status_code == 403
    assert (
        browser()
        .post("/account/password", data={"after": "another long walk"}, follow_redirects=False)
        .headers["location"]
        .startswith("/sign-in")
    )


def test_a_second_factor_from_its_picture_to_the_next_sign_in(browser):
    client = browser()
    signed_up(client)
    act(client, "/account/second-factor/begin")
    page = client.get("/account").text
    assert 'src="data:image/svg+xml' in page
    totp = pyotp.TOTP(re.search(r'<p class="id">([A-Z2-7]{32})</p>', page)[1])
    now = FakeMarket().desk.clock.now()
    assert "not the code" in act(client, "/account/second-factor/confirm", code="000000").text
    codes = shown_once(act(client, "/account/second-factor/confirm", code=totp.at(now)).text).split("\n")
    assert len(codes) == 8

    other = browser()
    waits = other.post(
        "/sign-in/person", data={"email": "ada@example.org", "password": PASSWORD, "after": "/leases"}, follow_redirects=False
    )
    assert waits.headers["location"] == "/sign-in/code?next=%2Fleases"
    assert other.get("/account", follow_redirects=False).headers["location"].startswith("/sign-in")
    assert other.post("/sign-in/code", data={"code": totp.at(now), "after": "/leases"}, follow_redirects=False).status_code == 401
    into = other.post("/sign-in/code", data={"code": codes[0], "after": "/leases"}, follow_redirects=False)
    assert into.headers["location"] == "/leases"
    assert "Recovery codes left: 7" in other.get("/account").text
    assert datetime(2027, 1, 1, tzinfo=UTC) < now


def test_an_invitation_from_its_link_to_a_member(browser):
    owner, guest = browser(), browser()
    signed_up(owner)
    link = shown_once(act(owner, "/account/members/invite", "/account/members", email="grace@example.org", role="reader").text)
    path = "/" + link.split("/", 3)[3]
    assert "Ada invites you as reader" in guest.get(path).text
    answer = guest.post(
        "/sign-up",
        data={"email": "grace@example.org", "name": "Grace", "password": PASSWORD, "invitation": path.rpartition("/")[2]},
        follow_redirects=False,
    )
    assert answer.headers["location"] == "/account"
    assert "Analytical Engines" in guest.get("/account").text
    members = guest.get("/account/members").text
    assert "grace@example.org" in members
    assert "Invite somebody" not in members
    assert guest.get(path).status_code == 404
    assert "joined" in owner.get("/account/members").text
    person = re.search(r"/account/members/(prs_[a-z2-7]+)/password-link", owner.get("/account/members").text)[1]
    assert act(guest, f"/account/members/{person}/role", role="owner").status_code == 403
    reset = shown_once(act(owner, f"/account/members/{person}/password-link", "/account/members").text)
    path = "/" + reset.split("/", 3)[3]
    assert "has 5 letters" in guest.post(path, data={"password": "short"}, follow_redirects=False).text
    assert guest.post(path, data={"password": "another long walk"}, follow_redirects=False).headers["location"] == "/account"
    act(owner, f"/account/members/{person}/remove", "/account/members")
    assert guest.get("/bids", follow_redirects=False).status_code == 403
    assert "belong to no organisation" in guest.get("/account").text


def test_somebody_signed_in_takes_an_invitation_with_one_button(browser):
    owner, guest = browser(), browser()
    signed_up(owner)
    signed_up(guest, email="grace@example.org", name="Grace", organisation="Compilers")
    link = shown_once(act(owner, "/account/members/invite", "/account/members", email="grace@example.org", role="buyer").text)
    path = "/" + link.split("/", 3)[3]
    assert act(guest, path, path).headers["location"] == "/account"
    page = guest.get("/account").text
    assert "Analytical Engines" in page
    party = re.search(r'name="party" value="([^"]+)"', page)[1]
    act(guest, "/account/act-for", party=party)
    assert "Compilers" in guest.get("/account/members").text


def test_the_last_owner_is_told_why_not_and_led_back(browser):
    owner = browser()
    signed_up(owner)
    person = re.search(r"/account/members/(prs_[a-z2-7]+)/remove", owner.get("/account/members").text)[1]
    answer = act(owner, f"/account/members/{person}/remove", "/account/members")
    assert answer.status_code == 409
    assert "keeps an owner" in answer.text
    assert 'href="/account/members"' in answer.text


def test_a_key_is_nobody(browser):
    client = browser()
    client.post("/sign-in", data={"key": KEY}, follow_redirects=False)
    assert "You came with a key" in client.get("/account").text
    assert client.get("/account/members", follow_redirects=False).status_code in (303, 401)
