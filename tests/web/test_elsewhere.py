"""Signing in by an identity provider: there and back through the pages, and everything that must not be believed."""

import html
import os
import re

import httpx
import pytest
from joserfc.jwk import RSAKey
from litestar.testing import TestClient

from broker.identity_provider import IdentityProvider
from contracts import credentials
from contracts.terms.errors import BadInput
from tests.fake_market import NOW, FakeMarket
from tests.issuer import CLIENT, SECRET, Issuer, by_hand
from tests.web.test_people import ADA, signed_up
from web.asgi import site

BACK = "/sign-in/elsewhere/back"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(credentials, "SCRYPT_LOG_N", 4)
    monkeypatch.setattr(credentials, "SCRYPT_P", 1)


@pytest.fixture
def issuer():
    made = Issuer(int(NOW.timestamp()))
    yield made
    made.server.shutdown()


@pytest.fixture
def app(issuer):
    market = FakeMarket()
    market.identity = IdentityProvider(issuer.url, client_id=CLIENT, client_secret=SECRET, entropy=os.urandom)
    return site(market)


def away(client, path: str = "/sign-in/elsewhere?next=/leases") -> str:
    """Where the provider sends the browser back to."""
    there = client.get(path, follow_redirects=False).headers["location"]
    return "/" + httpx.get(there).headers["location"].split("/", 3)[3]


def back(client, path: str):
    """The page that leads on, and what it leads to."""
    page = client.get(path).text
    onward = html.unescape(re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page)[1])
    return client.get(onward, follow_redirects=False)


def test_there_and_back_makes_a_person_and_the_second_time_finds_them(app):
    first, second = TestClient(app), TestClient(app)
    assert "Sign in with 127.0.0.1" in first.get("/sign-in").text
    for client in (first, second):
        answer = back(client, away(client))
        assert (answer.status_code, answer.headers["location"]) == (303, "/leases")
        assert "Ada Lovelace" in client.get("/account").text
    assert first.get("/account").text.count("ada@example.org") >= 1


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"nonce": "replayed"},
        {"exp": int(NOW.timestamp()) - 120},
        {"sub": None},
        {"email_verified": False},
        {"email": None},
        {"email": "no address"},
    ],
)
def test_what_is_not_said_of_this_sign_in_is_not_believed(app, issuer, claims):
    issuer.claims = claims
    client = TestClient(app)
    answer = back(client, away(client))
    assert answer.status_code == 401
    assert "gridfare_key" not in client.cookies


def test_only_the_providers_own_keys_are_believed_and_new_ones_are_read(app, issuer):
    client = TestClient(app)
    issuer.key = RSAKey.generate_key(2048, {"kid": "one"})
    assert "cannot be believed" in back(client, away(client)).text
    issuer.published = issuer.key
    assert back(client, away(client)).status_code == 303


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_a_token_sealed_with_what_everybody_knows_or_with_nothing_is_not_believed(app, issuer, algorithm):
    """The old tricks: the public key taken for a shared secret, and no signature at all."""
    issuer.forge = lambda claims: by_hand(algorithm, claims, issuer.published.as_pem(private=False))
    client = TestClient(app)
    assert "cannot be believed" in back(client, away(client)).text


def test_an_answer_is_for_the_browser_that_asked_and_once(app):
    asker, thief = TestClient(app), TestClient(app)
    path = away(asker)
    assert "took too long" in back(thief, path).text
    away(thief)
    assert "not to a sign-in begun in this browser" in back(thief, path).text
    assert back(asker, path).status_code == 303
    assert "that code is not yours" in back(asker, path).text


def test_a_refusal_there_is_said_here(app):
    client = TestClient(app)
    away(client)
    assert "access_denied" in back(client, f"{BACK}?error=access_denied").text


def test_nobody_is_taken_over_and_who_is_signed_in_connects(app):
    owner, other = TestClient(app), TestClient(app)
    signed_up(owner)
    assert "connect this sign-in" in back(other, away(other)).text
    answer = back(owner, away(owner, "/sign-in/elsewhere?connect=true"))
    assert answer.headers["location"] == "/account"
    assert back(other, away(other)).status_code == 303
    assert ADA["organisation"] in other.get("/account").text


def test_a_provider_that_is_silent_or_another_is_said(issuer):
    market = FakeMarket()
    market.identity = IdentityProvider(issuer.url, client_id=CLIENT, client_secret=SECRET, entropy=os.urandom)
    issuer.describes = lambda: {"issuer": "https://evil.example"}
    assert TestClient(site(market)).get("/sign-in/elsewhere").status_code == 502
    issuer.server.shutdown()
    issuer.server.server_close()
    assert "did not answer" in TestClient(site(market)).get("/sign-in/elsewhere").text
    assert TestClient(site(FakeMarket())).get("/sign-in/elsewhere").status_code == 404
    with pytest.raises(BadInput, match="over TLS"):
        IdentityProvider("http://id.example", client_id=CLIENT, client_secret=SECRET, entropy=os.urandom)
