"""Projects of accounts, and who may buy for each."""

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.store.rows import ProjectMemberRow, ProjectRow
from contracts.terms.accounts import Project


class ProjectRepository:
    """Projects by account."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def of_account(self, account_id: str) -> list[Project]:
        """An account's projects by name, archived ones too, without the default one."""
        rows = (await self._session.execute(_PROJECTS.where(col(ProjectRow.account_id) == account_id))).all()
        found: dict[str, tuple[ProjectRow, set[str]]] = {}
        for row, person_id in rows:
            found.setdefault(row.id, (row, set()))[1].update([person_id] if person_id else [])
        return [_project(row, members) for row, members in found.values()]

    async def put(self, project: Project) -> None:
        """Keep a project, in place of what was known of it."""
        changed = {"name": project.name, "archived_at": project.archived_at, "restricted": project.members is not None}
        values = {"id": project.id, "account_id": project.account_id, "created_at": project.created_at, **changed}
        statement = insert(ProjectRow).values(values)
        await self._session.execute(statement.on_conflict_do_update(index_elements=[col(ProjectRow.id)], set_=changed))
        await self._session.execute(delete(ProjectMemberRow).where(col(ProjectMemberRow.project_id) == project.id))
        people = [
            {"project_id": project.id, "account_id": project.account_id, "person_id": person_id}
            for person_id in sorted(project.members or ())
        ]
        if people:
            await self._session.execute(insert(ProjectMemberRow).values(people))


_PROJECTS = (
    select(ProjectRow, ProjectMemberRow.person_id)
    .join(ProjectMemberRow, col(ProjectMemberRow.project_id) == col(ProjectRow.id), isouter=True)
    .order_by(col(ProjectRow.name), col(ProjectRow.id))
    .execution_options(populate_existing=True)
)


def _project(row: ProjectRow, members: set[str]) -> Project:
    return Project(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        created_at=row.created_at,
        archived_at=row.archived_at,
        members=frozenset(members) if row.restricted else None,
    )
