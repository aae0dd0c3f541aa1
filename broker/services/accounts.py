"""Who is calling."""

import hashlib

from broker.services.ports import Accounts
from broker.services.views import Caller
from contracts.terms.errors import NotPermitted, NotSignedIn

# Before the name of somebody of finance, or of a provider, where others have the id of their account.
STAFF = "staff:"
PROVIDER = "provider:"


def key_digest(key: str) -> bytes:
    """What the store keeps of an API key. Keys carry 160 random bits, so one round of SHA-256 is enough."""
    return hashlib.sha256(key.encode()).digest()


class AccountService:
    """Signs callers in by their API key."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def authenticate(self, key: str) -> Caller:
        """Whose key this is. Raises NotSignedIn."""
        digest = key_digest(key)
        found = await self._accounts.by_key_digest(digest)
        if found is None:
            staff = await self._accounts.staff_by_key_digest(digest)
            if staff is not None:
                return Caller(account_id=f"{STAFF}{staff.id}", account_name=staff.name, scopes=staff.scopes)
            provider = await self._accounts.provider_by_key_digest(digest)
            if provider is not None:
                provider_id, name, granted = provider
                return Caller(account_id=f"{PROVIDER}{provider_id}", account_name=name, scopes=granted, provider_id=provider_id)
            raise NotSignedIn("this API key is not known, or was revoked; send `Authorization: Bearer <key>`")
        account, scopes = found
        return Caller(account_id=account.id, account_name=account.name, scopes=scopes)


def require(caller: Caller, scope: str) -> None:
    """Raises NotPermitted when the caller's key lacks a scope."""
    if scope not in caller.scopes:
        raise NotPermitted(f"this key may not do that: it lacks the scope {scope}", scope=scope)
