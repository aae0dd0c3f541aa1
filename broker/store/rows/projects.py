"""Projects of accounts, and who may buy for each."""

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from broker.store.rows.columns import key, moment, moment_or_none


class ProjectRow(SQLModel, table=True):
    """What an account buys for; `restricted` says that only its members and owners may."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("account_id", "name", name="projects_have_names"),)

    id: str = key()
    account_id: str = Field(foreign_key="accounts.id")
    name: str
    created_at: datetime = moment()
    archived_at: datetime | None = moment_or_none()
    restricted: bool


class ProjectMemberRow(SQLModel, table=True):
    """That a member of the account may buy for a project, as long as the membership lasts."""

    __tablename__ = "project_members"
    __table_args__ = (
        ForeignKeyConstraint(["account_id", "person_id"], ["memberships.party", "memberships.person_id"], ondelete="CASCADE"),
    )

    project_id: str = Field(foreign_key="projects.id", primary_key=True)
    account_id: str
    person_id: str = Field(primary_key=True)
