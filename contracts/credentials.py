"""What a person proves who they are by: a password, six digits of the minute, and codes for the day the telephone is lost.

Everything here is a function of what it is given; salts, secrets and the time come from the edge. Passwords are kept as scrypt
(RFC 7914) makes them, with the cost OWASP's password storage cheat sheet asks for; the six digits are TOTP (RFC 6238), thirty
seconds a step, as every authenticator application counts them.
"""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta

import pyotp

PASSWORD_MIN, PASSWORD_MAX = 12, 128
SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P = 15, 8, 3
SCRYPT_BYTES = 64 * 2**20
STEP_SECONDS = 30
STEPS_OFF = 1
RECOVERY_CODES = 8
RECOVERY_LETTERS = 10
ISSUER = "Gridfare"
TRIES_MAX = 10
TRIES_WITHIN = timedelta(minutes=15)


def weakness(password: str, *, email: str, name: str) -> str | None:
    """Why a password may not be taken, as a sentence's end; None when it may.

    Length is what counts (NIST SP 800-63B 3.1.1.2): no rules on kinds of letters, but not the person's own name or address,
    and not one letter over and over.
    """
    if len(password) < PASSWORD_MIN:
        return f"has {len(password)} letters; {PASSWORD_MIN} are the least"
    if len(password) > PASSWORD_MAX:
        return f"has {len(password)} letters; {PASSWORD_MAX} are the most"
    folded = password.casefold()
    if len(set(folded)) < 5:
        return "repeats the same few letters"
    if any(own and folded == own.casefold() for own in (email, email.partition("@")[0], name)):
        return "is your own name or address"
    return None


def sealed(password: str, salt: bytes) -> str:
    """What is kept of a password: the cost, the salt and the digest, as one line of text. Takes about a third of a second."""
    digest = _scrypt(password, salt, cost=(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P))
    return "$".join(("scrypt", f"{SCRYPT_LOG_N},{SCRYPT_R},{SCRYPT_P}", _text(salt), _text(digest)))


def opens(password: str, kept: str) -> bool:
    """Whether a password is the one that was sealed, compared in constant time; costs the same whether it is or not."""
    _, cost, salt, digest = kept.split("$")
    log_n, r, p = (int(number) for number in cost.split(","))
    return hmac.compare_digest(_scrypt(password, base64.b64decode(salt), cost=(log_n, r, p)), base64.b64decode(digest))


def totp_secret(entropy: bytes) -> str:
    """The secret an authenticator keeps: base32 of 20 random bytes (RFC 4226 asks for 160 bits). Raises ValueError for fewer."""
    if len(entropy) < 20:
        raise ValueError(f"a TOTP secret needs 20 random bytes, was given {len(entropy)}")
    return base64.b32encode(entropy[:20]).decode()


def totp_address(secret: str, email: str) -> str:
    """The `otpauth://` address that an authenticator reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def totp_step(secret: str, code: str, *, now: datetime, after: int) -> int | None:
    """The step of time a code belongs to, one step early or late allowed; None for a wrong code, or one used before.

    after  the last step a code was taken of: no code opens twice (RFC 6238 5.2)
    """
    digits = code.replace(" ", "").encode()
    here = int(now.timestamp()) // STEP_SECONDS
    totp = pyotp.TOTP(secret)
    fits = [step for step in range(here - STEPS_OFF, here + STEPS_OFF + 1) if hmac.compare_digest(totp.generate_otp(step).encode(), digits)]
    return next((step for step in fits if step > after), None)


def recovery_codes(entropy: bytes) -> list[str]:
    """Codes that open once each, when the authenticator is lost; `entropy` is 56 random bytes. Raises ValueError for fewer."""
    if len(entropy) < 7 * RECOVERY_CODES:
        raise ValueError(f"{RECOVERY_CODES} codes need {7 * RECOVERY_CODES} random bytes, were given {len(entropy)}")
    letters = [base64.b32encode(entropy[7 * n : 7 * n + 7]).decode().lower()[:RECOVERY_LETTERS] for n in range(RECOVERY_CODES)]
    return [f"{each[:5]}-{each[5:]}" for each in letters]


def recovery_digest(code: str) -> bytes:
    """What is kept of a recovery code, however it is written. Codes carry 50 random bits and tries are counted."""
    return hashlib.sha256("".join(letter for letter in code.casefold() if letter.isalnum()).encode()).digest()


def wait_until(failures: list[datetime], *, now: datetime) -> datetime | None:
    """When the next try is allowed after these failed ones; None for at once.

    >>> from datetime import UTC
    >>> noon = datetime(2027, 1, 4, 12, tzinfo=UTC)
    >>> str(wait_until([noon - timedelta(minutes=minute) for minute in range(10)], now=noon))
    '2027-01-04 12:06:00+00:00'
    """
    recent = sorted(at for at in failures if now - at < TRIES_WITHIN)
    return recent[-TRIES_MAX] + TRIES_WITHIN if len(recent) >= TRIES_MAX else None


def _scrypt(password: str, salt: bytes, *, cost: tuple[int, int, int]) -> bytes:
    log_n, r, p = cost
    return hashlib.scrypt(password.encode(), salt=salt, n=2**log_n, r=r, p=p, maxmem=SCRYPT_BYTES, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
