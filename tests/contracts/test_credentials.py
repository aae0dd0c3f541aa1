"""Passwords, codes of the minute and recovery codes: against the RFCs' own figures where they give some."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import credentials
from contracts.credentials import (
    RECOVERY_CODES,
    STEP_SECONDS,
    TRIES_MAX,
    TRIES_WITHIN,
    opens,
    recovery_codes,
    recovery_digest,
    sealed,
    totp_address,
    totp_secret,
    totp_step,
    wait_until,
    weakness,
)
from contracts.people import BROKER_PARTY, BUYER_ROLES, PEOPLE_ONLY, clean_email, clean_name, roles_of, scopes_of
from contracts.terms.errors import BadInput

NOON = datetime(2027, 1, 4, 12, tzinfo=UTC)
# RFC 6238, appendix B: the last six of the eight digits of its SHA-1 table.
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
RFC_CODES = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037"}


@pytest.fixture
def cheap(monkeypatch):
    """Scrypt at its least cost: what is tested is not how long it takes."""
    monkeypatch.setattr(credentials, "SCRYPT_LOG_N", 4)
    monkeypatch.setattr(credentials, "SCRYPT_P", 1)


def test_a_password_opens_what_it_sealed_and_nothing_else(cheap):
    kept = sealed("a long walk by the sea", b"salt" * 4)
    assert opens("a long walk by the sea", kept)
    assert not opens("a long walk by the see", kept)
    assert sealed("a long walk by the sea", b"pepper" * 3) != kept


def test_scrypt_is_that_of_rfc_7914():
    """The RFC's second vector: password, NaCl, N=1024, r=8, p=16, the first half of 64 bytes."""
    digest = base64.b64encode(hashlib.scrypt(b"password", salt=b"NaCl", n=1024, r=8, p=16, dklen=32)).decode()
    assert base64.b64decode(digest).hex().startswith("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162")
    assert opens("password", f"scrypt$10,8,16${base64.b64encode(b'NaCl').decode()}${digest}")


@pytest.mark.parametrize(("seconds", "code"), RFC_CODES.items())
def test_codes_are_those_of_rfc_6238(seconds, code):
    at = datetime.fromtimestamp(seconds, UTC)
    assert totp_step(RFC_SECRET, code, now=at, after=0) == seconds // STEP_SECONDS
    assert totp_step(RFC_SECRET, f"{code[:3]} {code[3:]}", now=at, after=0) == seconds // STEP_SECONDS


@given(st.integers(-3, 3), st.integers(0, 29))
def test_a_code_is_good_a_step_early_or_late_and_once(late, into):
    step = 60_000_000
    code = pyotp.TOTP(RFC_SECRET).generate_otp(step)
    now = datetime.fromtimestamp((step + late) * STEP_SECONDS + into, UTC)
    taken = totp_step(RFC_SECRET, code, now=now, after=0)
    assert taken == (step if abs(late) <= 1 else None)
    assert totp_step(RFC_SECRET, code, now=now, after=step) is None


@pytest.mark.parametrize("code", ["", "12345", "abcdef", "0050471", "٠٥٠٤٧١", "05047\0"])
def test_what_is_no_code_opens_nothing(code):
    assert totp_step(RFC_SECRET, code, now=datetime.fromtimestamp(1111111111, UTC), after=0) is None


def test_a_secret_is_what_an_authenticator_reads():
    secret = totp_secret(bytes(range(20)))
    assert len(secret) == 32
    assert base64.b32decode(secret) == bytes(range(20))
    assert totp_address(secret, "ada@example.org") == f"otpauth://totp/Gridfare:ada%40example.org?secret={secret}&issuer=Gridfare"
    with pytest.raises(ValueError, match="20 random bytes"):
        totp_secret(b"short")


def test_recovery_codes_differ_and_are_known_however_they_are_written():
    codes = recovery_codes(hashlib.shake_128(b"seed").digest(56))
    assert len(set(codes)) == RECOVERY_CODES
    assert {len(each) for each in codes} == {11}
    assert recovery_digest(codes[0]) == recovery_digest(codes[0].upper().replace("-", " ")) != recovery_digest(codes[1])
    with pytest.raises(ValueError, match="56 random bytes"):
        recovery_codes(b"short")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("elevenchars", "has 11 letters"),
        ("x" * 129, "has 129 letters"),
        ("ababababababab", "repeats"),
        ("ada@example.org", "your own name"),
        ("Ada Lovelace Byron", "your own name"),
        ("twelve chars", None),
        ("一二三四五六七八九十百千", None),
    ],
)
def test_why_a_password_is_not_taken(password, why):
    found = weakness(password, email="ada@example.org", name="ada lovelace byron")
    assert found is None if why is None else why in found


@given(st.lists(st.integers(0, 3600), max_size=30))
def test_who_fails_too_often_waits_and_not_for_ever(seconds_ago):
    failures = [NOON - timedelta(seconds=each) for each in seconds_ago]
    until = wait_until(failures, now=NOON)
    recent = [at for at in failures if NOON - at < TRIES_WITHIN]
    assert (until is None) == (len(recent) < TRIES_MAX)
    if until is not None:
        assert NOON < until <= NOON + TRIES_WITHIN
        assert wait_until(failures, now=until) is None


def test_roles_hold_less_and_less_and_programs_never_let_people_in():
    assert scopes_of("acct_a", "owner") > scopes_of("acct_a", "buyer") > scopes_of("acct_a", "reader")
    assert scopes_of("acct_a", "king") == frozenset()
    assert "finance:read" not in {scope for role in BUYER_ROLES for scope in scopes_of("acct_a", role)}
    assert "finance:approve" in scopes_of(BROKER_PARTY, "finance")
    assert "bids:write" not in scopes_of("provider:prv_a", "owner")
    assert {"members"} <= PEOPLE_ONLY
    assert list(roles_of("provider:prv_a")) == ["owner", "reader"]


@pytest.mark.parametrize(
    "address", ["", "ada", "ada@", "@example.org", "ada@local", "a b@example.org", "ada@example.org\n.evil", "x" * 250 + "@a.org"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(BadInput):
        clean_email(address)


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\0b"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(BadInput):
        clean_name(name, of="name")
    assert clean_name("  Ada   Lovelace ", of="name") == "Ada Lovelace"
