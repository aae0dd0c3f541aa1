"""People, their sessions and codes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.store.rows import FailedSignInRow, KnownElsewhereRow, PasswordLinkRow, PersonRow, RecoveryCodeRow, SessionRow
from contracts.people import Person, Session
from contracts.terms.errors import NotFound

PERSON_CHANGES = ("name", "password", "totp", "totp_since", "totp_step")
SESSION_CHANGES = ("party", "proven", "seen_at", "ended_at")


class PeopleRepository:
    """People by id and address, sessions and links by digest."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, person: Person) -> bool:
        """Keep a new person; False when the address is somebody's already."""
        values = {name: getattr(person, name) for name in Person.__struct_fields__}
        done = await self._session.execute(insert(PersonRow).values(values).on_conflict_do_nothing().returning(col(PersonRow.id)))
        return done.first() is not None

    async def person(self, person_id: str, *, locked: bool = False) -> Person:
        """One person. Raises NotFound."""
        row = await self._session.get(PersonRow, person_id, with_for_update=locked, populate_existing=locked)
        if row is None:
            raise NotFound(f"no person has the id {person_id}", person_id=person_id)
        return person_of(row)

    async def by_email(self, email: str) -> Person | None:
        """Whose address this is."""
        row = (await self._session.scalars(select(PersonRow).where(col(PersonRow.email) == email))).first()
        return person_of(row) if row else None

    async def replace(self, person: Person) -> None:
        """Write what may change of a person."""
        changed = {name: getattr(person, name) for name in PERSON_CHANGES}
        await self._session.execute(update(PersonRow).where(col(PersonRow.id) == person.id).values(changed))

    async def add_session(self, session: Session, digest: bytes) -> None:
        """Keep a new session by the digest of its token."""
        values = {name: getattr(session, name) for name in Session.__struct_fields__}
        await self._session.execute(insert(SessionRow).values(digest=digest, **values))

    async def session(self, digest: bytes) -> Session | None:
        """The session a token opens, ended or not."""
        row = (await self._session.scalars(select(SessionRow).where(col(SessionRow.digest) == digest))).first()
        return _session(row) if row else None

    async def sessions(self, person_id: str, *, now: datetime) -> list[Session]:
        """A person's sessions that are still open, the one seen last first."""
        statement = (
            select(SessionRow)
            .where(col(SessionRow.person_id) == person_id, col(SessionRow.ended_at).is_(None), col(SessionRow.expires_at) > now)
            .where(col(SessionRow.proven))
            .order_by(col(SessionRow.seen_at).desc(), col(SessionRow.id))
        )
        return [_session(row) for row in await self._session.scalars(statement)]

    async def replace_session(self, session: Session) -> None:
        """Write what may change of a session."""
        changed = {name: getattr(session, name) for name in SESSION_CHANGES}
        await self._session.execute(update(SessionRow).where(col(SessionRow.id) == session.id).values(changed))

    async def end_sessions(self, person_id: str, *, at: datetime, but: str | None = None) -> int:
        """End a person's sessions, all but one; how many there were."""
        statement = (
            update(SessionRow)
            .where(col(SessionRow.person_id) == person_id, col(SessionRow.ended_at).is_(None), col(SessionRow.id) != (but or ""))
            .values(ended_at=at)
            .returning(col(SessionRow.id))
        )
        return len((await self._session.execute(statement)).all())

    async def put_codes(self, person_id: str, digests: Sequence[bytes]) -> None:
        """Give a person these recovery codes in place of those before."""
        await self._session.execute(delete(RecoveryCodeRow).where(col(RecoveryCodeRow.person_id) == person_id))
        if digests:
            await self._session.execute(insert(RecoveryCodeRow).values([{"person_id": person_id, "digest": each} for each in digests]))

    async def use_code(self, person_id: str, digest: bytes, *, at: datetime) -> bool:
        """Use a recovery code up; False when the person has no such code left."""
        statement = (
            update(RecoveryCodeRow)
            .where(
                col(RecoveryCodeRow.person_id) == person_id, col(RecoveryCodeRow.digest) == digest, col(RecoveryCodeRow.used_at).is_(None)
            )
            .values(used_at=at)
            .returning(col(RecoveryCodeRow.person_id))
        )
        return (await self._session.execute(statement)).first() is not None

    async def codes_left(self, person_id: str) -> int:
        """How many recovery codes a person has left."""
        unused = (col(RecoveryCodeRow.person_id) == person_id, col(RecoveryCodeRow.used_at).is_(None))
        return (await self._session.scalar(select(func.count()).select_from(RecoveryCodeRow).where(*unused))) or 0

    async def add_password_link(self, person_id: str, digest: bytes, *, expires_at: datetime) -> None:
        """Keep a link that sets a new password, in place of those before."""
        await self.drop_password_links(person_id)
        await self._session.execute(insert(PasswordLinkRow).values(person_id=person_id, digest=digest, expires_at=expires_at))

    async def password_link(self, digest: bytes, *, now: datetime) -> str | None:
        """Whose password a link sets, None when it is unknown, used or over; nobody else reads it until the transaction ends."""
        statement = select(PasswordLinkRow).where(col(PasswordLinkRow.digest) == digest, col(PasswordLinkRow.expires_at) > now)
        row = (await self._session.scalars(statement.with_for_update())).first()
        return row.person_id if row else None

    async def drop_password_links(self, person_id: str) -> None:
        """No link sets this person's password any more."""
        await self._session.execute(delete(PasswordLinkRow).where(col(PasswordLinkRow.person_id) == person_id))

    async def failures(self, subject: bytes, *, since: datetime) -> list[datetime]:
        """When sign-ins for a subject failed."""
        statement = select(col(FailedSignInRow.at)).where(col(FailedSignInRow.subject) == subject, col(FailedSignInRow.at) > since)
        return list(await self._session.scalars(statement))

    async def fail(self, subject: bytes, *, at: datetime) -> None:
        """Keep that a sign-in failed."""
        await self._session.execute(insert(FailedSignInRow).values(subject=subject, at=at))

    async def forget_failures(self, *, before: datetime) -> None:
        """Drop failures that no longer count."""
        await self._session.execute(delete(FailedSignInRow).where(col(FailedSignInRow.at) < before))

    async def known_as(self, issuer: str, subject: str) -> str | None:
        """Whom an identity provider means."""
        row = await self._session.get(KnownElsewhereRow, (issuer, subject))
        return row.person_id if row else None

    async def know_as(self, issuer: str, subject: str, *, person_id: str) -> None:
        """Keep whom an identity provider means."""
        values = {"issuer": issuer, "subject": subject, "person_id": person_id}
        await self._session.execute(insert(KnownElsewhereRow).values(values).on_conflict_do_nothing())


def person_of(row: PersonRow) -> Person:
    """A person as the services know them."""
    return Person(**{name: getattr(row, name) for name in Person.__struct_fields__})


def _session(row: SessionRow) -> Session:
    return Session(**{name: getattr(row, name) for name in Session.__struct_fields__})
