"""Signing in by an identity provider: OpenID Connect Core 1.0, authorization code with PKCE (RFC 7636).

A browser is sent to the provider with a state, a nonce and a challenge it keeps the answers to; it comes back with a code, which
is changed for an ID token over TLS; the token's signature, issuer, audience, times and nonce are checked before anything in it is
believed. An address the provider has not verified is nobody's.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from contracts.terms.errors import BadInput, NotSignedIn, ProcessorFailed

SCOPES = "openid email profile"
ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA"]
LEEWAY_SECONDS = 60
TIMEOUT_SECONDS = 10.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser keeps while it is away; `after` is where its reader was going, `connects` whether to join two ways in."""

    state: str
    nonce: str
    verifier: str
    after: str
    connects: bool = False


class Vouched(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the provider vouches for."""

    issuer: str
    subject: str
    email: str
    name: str


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of a provider's own description (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class IdentityProvider:
    """One provider, by its issuer address; what it says of itself is read once, its keys again when one is not known."""

    def __init__(self, issuer: str, *, client_id: str, client_secret: str, entropy: Callable[[int], bytes]) -> None:
        parts = urlsplit(issuer)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise BadInput("an identity provider is asked over TLS", variable="GRIDFARE_OIDC_ISSUER", found=issuer, would_do="https://…")
        self.issuer = issuer.rstrip("/")
        self.name = parts.hostname or issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._entropy = entropy
        self._endpoints: Endpoints | None = None
        self._keys: KeySet | None = None

    async def begin(self, redirect: str, *, after: str, connects: bool = False) -> tuple[str, Kept]:
        """Where to send a browser, and what it has to keep. Raises ProcessorFailed when the provider does not answer."""
        kept = Kept(state=self._random(), nonce=self._random(), verifier=self._random(), after=after, connects=connects)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(kept.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect,
            "scope": SCOPES,
            "state": kept.state,
            "nonce": kept.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = (await self._described()).authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", kept

    async def finish(self, code: str, *, state: str, kept: Kept, redirect: str, now: datetime) -> Vouched:
        """Change a code for what the provider says of a person. Raises NotSignedIn naming what is wrong, ProcessorFailed."""
        if not hmac.compare_digest(state.encode(), kept.state.encode()):
            raise NotSignedIn("this answer is not to a sign-in begun in this browser; begin again")
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": kept.verifier}
        endpoint = (await self._described()).token_endpoint
        answer = await self._fetch("POST", endpoint, data=form, auth=(self._client_id, self._client_secret))
        claims = await self._claims(str(answer.get("id_token", "")), nonce=kept.nonce, now=now)
        if claims.get("email_verified") is not True or not claims.get("email"):
            raise NotSignedIn(f"{self.name} has not verified an address of yours; verify one there first")
        email = str(claims["email"])
        return Vouched(issuer=self.issuer, subject=str(claims["sub"]), email=email, name=str(claims.get("name") or email.partition("@")[0]))

    async def _claims(self, token: str, *, nonce: str, now: datetime) -> dict[str, Any]:
        checks = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self._client_id},
            exp={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            try:
                decoded = jwt.decode(token, await self._known_keys(), algorithms=ALGORITHMS)
            except (JoseError, ValueError):
                # The provider may have taken a new key since: its keys are read again, once.
                self._keys = None
                decoded = jwt.decode(token, await self._known_keys(), algorithms=ALGORITHMS)
            checks.validate(decoded.claims)
        except (JoseError, ValueError) as wrong:
            raise NotSignedIn(f"what {self.name} answered cannot be believed: {type(wrong).__name__}") from wrong
        return decoded.claims

    async def _described(self) -> Endpoints:
        if self._endpoints is None:
            said = await self._fetch("GET", f"{self.issuer}/.well-known/openid-configuration")
            try:
                described = msgspec.convert(said, Endpoints)
            except msgspec.ValidationError as wrong:
                raise ProcessorFailed(f"{self.name} does not describe itself as an identity provider does: {wrong}") from wrong
            if described.issuer.rstrip("/") != self.issuer:
                raise ProcessorFailed(f"{self.name} calls itself {described.issuer}, not {self.issuer}", issuer=described.issuer)
            self._endpoints = described
        return self._endpoints

    async def _known_keys(self) -> KeySet:
        if self._keys is None:
            said = await self._fetch("GET", (await self._described()).jwks_uri)
            self._keys = KeySet.import_key_set(said)  # type: ignore[arg-type]
        return self._keys

    async def _fetch(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
                answer = await client.request(method, address, **more)
            said = answer.json()
        except (httpx.HTTPError, ValueError) as wrong:
            raise ProcessorFailed(f"{self.name} did not answer; try again, or sign in with your password") from wrong
        if answer.is_client_error:
            raise NotSignedIn(f"{self.name} refused: {said.get('error_description') or said.get('error') or answer.status_code}")
        if answer.is_error or not isinstance(said, dict):
            raise ProcessorFailed(f"{self.name} answered {answer.status_code}; try again, or sign in with your password")
        return said

    def _random(self) -> str:
        return base64.urlsafe_b64encode(self._entropy(32)).rstrip(b"=").decode()
