"""The developers page: a key made, used and revoked; what came in under it; endpoints and messages."""

import re

import pytest
from litestar.testing import TestClient

from contracts import credentials
from tests.fake_market import KEY, FakeMarket
from tests.standing import standing_site
from tests.web.test_people import hidden, shown_once, signed_up


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(credentials, "SCRYPT_LOG_N", 4)
    monkeypatch.setattr(credentials, "SCRYPT_P", 1)


@pytest.fixture
def app():
    return standing_site(FakeMarket())


@pytest.fixture
def client(app):
    with TestClient(app) as client:
        signed_up(client)
        yield client


def act(client, path: str, **fields):
    shown = client.get("/developers").text
    return client.post(path, data={"token": hidden(shown), "once": hidden(shown, "once"), **fields}, follow_redirects=False)


def test_a_key_is_made_once_seen_and_revoked(client):
    answer = act(client, "/developers/keys", name="nightly  training", scopes=["read", "leases:write"])
    key = shown_once(answer.text)
    assert re.fullmatch(r"gf_[0-9a-f]{40}", key)
    page = client.get("/developers").text
    assert "nightly training" in page
    assert "ada@example.org" in page
    assert key not in page
    key_id = re.search(r"/developers/keys/(key_[a-z2-7]+)/revoke", page)[1]
    assert act(client, f"/developers/keys/{key_id}/revoke").status_code == 303
    assert "revoked" in client.get("/developers").text
    assert act(client, f"/developers/keys/{key_id}/revoke").status_code == 404


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"name": "x", "scopes": ["finance:write"]}, 403, "no more than its maker"),
        ({"name": "x", "scopes": ["read", "members"]}, 403, "no more than its maker"),
        ({"name": "x", "scopes": ["keys"]}, 403, "no more than its maker"),
        ({"name": "x"}, 400, "may do nothing"),
        ({"name": " ", "scopes": ["read"]}, 400, "1 to 80 letters"),
    ],
)
def test_a_key_may_do_no_more_than_its_maker_and_has_a_name(client, fields, status, said):
    answer = act(client, "/developers/keys", **fields)
    assert (answer.status_code, said in answer.text) == (status, True)
    assert "No key was made yet" in client.get("/developers").text


def test_what_comes_in_under_a_key_is_seen_by_its_holder_alone(app, client):
    with TestClient(app) as buyer:
        for path in ("/v1/leases", "/v1/leases/lse_none"):
            buyer.get(path, headers={"Authorization": f"Bearer {KEY}"})
        buyer.get("/v1/leases", headers={"Authorization": "Bearer nobody"})
        buyer.get("/v1/offers")
        buyer.post("/sign-in", data={"key": KEY}, follow_redirects=False)
        page = buyer.get("/developers").text
    rows = re.findall(r'<th scope="row" class="id">(GET [^<]+)</th><td class="num">(\d+)</td>', page)
    assert rows == [("GET /v1/leases/lse_none", "404"), ("GET /v1/leases", "200")]
    assert "Keys are made by people" in page
    assert "Nothing came in under your keys yet" in client.get("/developers").text


def test_an_endpoint_is_added_turned_and_closed(client):
    secret = shown_once(act(client, "/developers/endpoints", url="https://example.org/hooks", kinds=["lease.failed"]).text)
    assert secret.startswith("whsec_")
    page = client.get("/developers").text
    assert "https://example.org/hooks" in page
    path = re.search(r'action="(/developers/endpoints/[^/"]+)/rotate"', page)[1]
    assert shown_once(act(client, f"{path}/rotate").text).startswith("whsec_")
    assert act(client, f"{path}/close").status_code == 303
    assert "closed" in client.get("/developers").text
    assert act(client, f"{path}/explode").status_code == 400


@pytest.mark.parametrize("url", ["http://example.org/hooks", "ftp://example.org", "nowhere"])
def test_what_is_no_address_over_tls_is_refused_with_what_would_do(client, url):
    answer = act(client, "/developers/endpoints", url=url)
    assert answer.status_code == 400
    assert "https://" in answer.text


def test_every_act_needs_the_readers_own_form(client):
    for path in ("keys", "endpoints", "keys/key_x/revoke", "endpoints/whk_x/close", "messages/msg_x/replay"):
        assert client.post(f"/developers/{path}", data={"token": "guessed", "once": "x"}, follow_redirects=False).status_code == 403
