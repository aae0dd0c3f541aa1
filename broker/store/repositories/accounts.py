"""Accounts, plans, providers and keys."""

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.keys import NewKey
from broker.store.repositories.keys import KeyRepository
from broker.store.rows import AccountRow, ApiKeyRow, PlanRow, ProviderKeyRow, ProviderRow, StaffRow
from contracts.terms.accounts import Account, Provider, Staff
from contracts.terms.errors import NotFound
from contracts.terms.ids import derived_id


class AccountRepository:
    """The parties of the market."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def account(self, account_id: str) -> Account:
        """One account. Raises NotFound."""
        return _account(await self._session.get(AccountRow, account_id), account_id)

    async def lock(self, account_id: str) -> Account:
        """One account, locked until the transaction ends. Raises NotFound."""
        return _account(await self._session.get(AccountRow, account_id, with_for_update=True), account_id)

    async def plan_kind(self, account_id: str) -> str:
        """What kind of plan an account has signed."""
        statement = select(PlanRow).join(AccountRow, col(AccountRow.plan_id) == col(PlanRow.id)).where(col(AccountRow.id) == account_id)
        return str((await self._session.scalars(statement)).one().terms["kind"])

    async def accounts(self) -> list[Account]:
        """Every account, by id."""
        rows = await self._session.scalars(select(AccountRow).order_by(col(AccountRow.id)))
        return [_account(row, row.id) for row in rows]

    async def providers(self) -> list[Provider]:
        """Every provider, by id."""
        rows = await self._session.scalars(select(ProviderRow).order_by(col(ProviderRow.id)))
        return [Provider(**{name: getattr(row, name) for name in Provider.__struct_fields__}) for row in rows]

    async def add_staff(self, staff_id: str, digest: bytes, *, name: str, scopes: list[str], at: datetime) -> None:
        """Register somebody of the finance team by the digest of a key, once."""
        row = {"id": staff_id, "name": name, "digest": digest, "scopes": scopes, "created_at": at}
        await self._session.execute(insert(StaffRow).values(row).on_conflict_do_nothing())

    async def staff_by_key_digest(self, digest: bytes) -> Staff | None:
        """Who of the finance team holds a key that is not revoked."""
        statement = select(StaffRow).where(col(StaffRow.digest) == digest, col(StaffRow.revoked_at).is_(None))
        row = (await self._session.scalars(statement)).first()
        return Staff(id=row.id, name=row.name, scopes=frozenset(row.scopes)) if row else None

    async def by_key_digest(self, digest: bytes) -> tuple[Account, frozenset[str]] | None:
        """The holder of a key that is not revoked, and the key's scopes."""
        statement = select(ApiKeyRow).where(col(ApiKeyRow.digest) == digest, col(ApiKeyRow.revoked_at).is_(None))
        row = (await self._session.scalars(statement)).first()
        return (await self.account(row.account_id), frozenset(row.scopes)) if row else None

    async def add_key(self, account_id: str, digest: bytes, *, scopes: list[str], at: datetime) -> None:
        """Register a key by its digest, once."""
        await KeyRepository(self._session).add_key(NewKey(account_id=account_id, digest=digest, scopes=scopes, created_at=at))

    async def add_provider_key(self, provider_id: str, digest: bytes, *, scopes: list[str], at: datetime) -> None:
        """Register a provider's key by its digest, once."""
        key = {"id": derived_id("key", digest.hex()), "provider_id": provider_id, "digest": digest, "scopes": scopes, "created_at": at}
        await self._session.execute(insert(ProviderKeyRow).values(key).on_conflict_do_nothing())

    async def provider_by_key_digest(self, digest: bytes) -> tuple[str, str, frozenset[str]] | None:
        """Id and name of the provider that holds a key that is not revoked, and the key's scopes."""
        statement = (
            select(ProviderKeyRow, ProviderRow)
            .join(ProviderRow, col(ProviderRow.id) == col(ProviderKeyRow.provider_id))
            .where(col(ProviderKeyRow.digest) == digest, col(ProviderKeyRow.revoked_at).is_(None))
        )
        found = (await self._session.execute(statement)).first()
        return (found[1].id, found[1].name, frozenset(found[0].scopes)) if found else None

    async def add_providers(self, providers: list[Provider]) -> None:
        """Register provider grids, once each."""
        rows = [{name: getattr(provider, name) for name in provider.__struct_fields__} for provider in providers]
        await self._session.execute(insert(ProviderRow).values(rows).on_conflict_do_nothing())

    async def add_plans(self, plans: dict[str, dict[str, object]]) -> None:
        """Register plans (id → the columns of the public table `plans`, and a `name`), once each."""
        rows = [{"id": plan_id, "name": terms.get("name", plan_id), "terms": terms} for plan_id, terms in plans.items()]
        await self._session.execute(insert(PlanRow).values(rows).on_conflict_do_nothing())

    async def add_accounts(self, accounts: list[Account]) -> None:
        """Register accounts, once each."""
        rows = [{name: getattr(account, name) for name in account.__struct_fields__} for account in accounts]
        await self._session.execute(insert(AccountRow).values(rows).on_conflict_do_nothing())


def _account(row: AccountRow | None, account_id: str) -> Account:
    if row is None:
        raise NotFound(f"no account has the id {account_id}", account_id=account_id)
    return Account(**{name: getattr(row, name) for name in Account.__struct_fields__})
