"""People, whom they act for, how they signed in, and what they did about it."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, Identity, LargeBinary, Text
from sqlmodel import Field, SQLModel

from broker.store.rows.columns import key, moment, moment_or_none


class PersonRow(SQLModel, table=True):
    """A person, one an address."""

    __tablename__ = "people"

    id: str = key()
    email: str = Field(sa_type=Text, unique=True)
    name: str
    created_at: datetime = moment()
    password: str | None
    totp: str | None
    totp_since: datetime | None = moment_or_none()
    totp_step: int = Field(sa_type=BigInteger)


class MembershipRow(SQLModel, table=True):
    """A person's role with a party."""

    __tablename__ = "memberships"

    party: str = key()
    person_id: str = Field(foreign_key="people.id", primary_key=True, index=True)
    role: str
    since: datetime = moment()


class SessionRow(SQLModel, table=True):
    """A browser somebody signed in with, known by the digest of its cookie."""

    __tablename__ = "person_sessions"

    id: str = key()
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    person_id: str = Field(foreign_key="people.id", index=True)
    party: str
    proven: bool
    created_at: datetime = moment()
    seen_at: datetime = moment()
    expires_at: datetime = moment()
    agent: str
    ended_at: datetime | None = moment_or_none()


class RecoveryCodeRow(SQLModel, table=True):
    """A code that opens once, known by its digest."""

    __tablename__ = "recovery_codes"

    person_id: str = Field(foreign_key="people.id", primary_key=True)
    digest: bytes = Field(sa_type=LargeBinary, primary_key=True)
    used_at: datetime | None = moment_or_none()


class InvitationRow(SQLModel, table=True):
    """A role offered to whoever holds the link, known by the link's digest."""

    __tablename__ = "invitations"

    id: str = key()
    digest: bytes = Field(sa_type=LargeBinary, unique=True)
    party: str = Field(index=True)
    email: str
    role: str
    invited_by: str
    created_at: datetime = moment()
    expires_at: datetime = moment()
    accepted_at: datetime | None = moment_or_none()
    withdrawn_at: datetime | None = moment_or_none()


class PasswordLinkRow(SQLModel, table=True):
    """A link that sets a new password once, known by its digest."""

    __tablename__ = "password_links"

    digest: bytes = Field(sa_type=LargeBinary, primary_key=True)
    person_id: str = Field(foreign_key="people.id")
    expires_at: datetime = moment()


class KnownElsewhereRow(SQLModel, table=True):
    """A person as an identity provider knows them (OpenID Connect: issuer and subject)."""

    __tablename__ = "known_elsewhere"

    issuer: str = key()
    subject: str = key()
    person_id: str = Field(foreign_key="people.id")


class FailedSignInRow(SQLModel, table=True):
    """A sign-in that failed, by the digest of what it was tried for; forgotten after a day."""

    __tablename__ = "failed_sign_ins"

    number: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    subject: bytes = Field(sa_type=LargeBinary, index=True)
    at: datetime = moment(index=True)


class PersonActRow(SQLModel, table=True):
    """Something done about people; never changed."""

    __tablename__ = "person_acts"

    number: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    at: datetime = moment()
    party: str = Field(index=True)
    actor: str
    act: str
    about: str
    note: str
