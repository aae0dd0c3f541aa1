"""What an account buys for: projects, who may buy for each, and which of them an order is for.

Nobody has to know of them. Every account has one, `default`, that is not kept anywhere: it has no members, cannot be renamed, and
takes whatever names no other.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.people_ports import Members
from broker.services.ports import Accounts
from broker.services.views import Caller
from contracts.people import clean_name
from contracts.terms.accounts import DEFAULT_PROJECT, Project
from contracts.terms.bids import BidRequest
from contracts.terms.errors import BadInput, Conflict, NotFound, NotPermitted, WrongState
from contracts.terms.ids import fresh_id
from contracts.terms.quotes import QuoteRequest

SCOPE = "budget:write"
PROJECTS_MAX = 200
DEFAULT_NAME = "Default"
Wish = TypeVar("Wish", BidRequest, QuoteRequest)


class ProjectRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a project is called."""

    name: str


class ProjectMembers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ids of the people who may buy for a project beside owners; null for whoever may buy for the account."""

    people: list[str] | None


class ProjectView(msgspec.Struct, frozen=True, kw_only=True):
    """A project as its account sees it.

    project_id  `default` for what names no other
    members     ids of those who may buy for it beside owners; null for whoever may buy for the account
    may_buy     whether the reader may
    """

    project_id: str
    name: str
    created_at: datetime | None
    archived_at: datetime | None
    members: list[str] | None
    may_buy: bool


class Projects(Protocol):
    """Where projects are kept."""

    async def of_account(self, account_id: str) -> list[Project]:
        """An account's projects by name, archived ones too, without the default one."""
        ...

    async def put(self, project: Project) -> None:
        """Keep a project, in place of what was known of it."""
        ...


class ProjectService:
    """What an account does about its projects."""

    def __init__(self, projects: Projects, accounts: Accounts, *, members: Members, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        self._projects = projects
        self._accounts = accounts
        self._members = members
        self._clock = clock
        self._entropy = entropy

    async def projects(self, caller: Caller) -> list[ProjectView]:
        """Every project of the caller's account, the default one first, then by name. Raises NotFound for who has no account."""
        account = await self._accounts.account(caller.account_id)
        return [_view(each, caller) for each in with_default(account.id, await self._projects.of_account(account.id))]

    async def project(self, project: str, caller: Caller) -> ProjectView:
        """One of them, by id or name. Raises NotFound."""
        return _view(await self._named(project, caller), caller)

    async def add(self, request: ProjectRequest, caller: Caller) -> ProjectView:
        """Make a project, for whoever may buy for the account. Raises NotPermitted, BadInput, Conflict for a name that is taken."""
        require(caller, SCOPE)
        account = await self._accounts.lock(caller.account_id)
        known = await self._projects.of_account(account.id)
        if len(known) >= PROJECTS_MAX:
            raise Conflict(f"there are {PROJECTS_MAX} projects already; rename an archived one", projects_max=PROJECTS_MAX)
        made = Project(
            id=fresh_id("prj", self._entropy(16)),
            account_id=account.id,
            name=_free_name(request.name, known),
            created_at=self._clock.now(),
        )
        await self._projects.put(made)
        return _view(made, caller)

    async def rename(self, project: str, request: ProjectRequest, *, caller: Caller) -> ProjectView:
        """Call a project something else; what it bought goes with it. Raises what `add` does, and NotFound."""
        kept = await self._own(project, caller)
        others = [each for each in await self._projects.of_account(kept.account_id) if each.id != kept.id]
        return await self._put(msgspec.structs.replace(kept, name=_free_name(request.name, others)), caller)

    async def archive(self, project: str, caller: Caller) -> ProjectView:
        """Buy nothing more for a project; its leases run on, and stay its own. Raises NotFound, WrongState when it is archived."""
        kept = await self._own(project, caller)
        if kept.archived_at is not None:
            raise WrongState("the project is archived already", project_id=kept.id)
        return await self._put(msgspec.structs.replace(kept, archived_at=self._clock.now()), caller)

    async def restore(self, project: str, caller: Caller) -> ProjectView:
        """Buy for a project again. Raises NotFound, WrongState when it is not archived."""
        kept = await self._own(project, caller)
        if kept.archived_at is None:
            raise WrongState("the project is not archived", project_id=kept.id)
        return await self._put(msgspec.structs.replace(kept, archived_at=None), caller)

    async def set_members(self, project: str, request: ProjectMembers, *, caller: Caller) -> ProjectView:
        """Say who may buy for a project. Raises NotFound, BadInput for people who do not belong to the account."""
        kept = await self._own(project, caller)
        if request.people is None:
            return await self._put(msgspec.structs.replace(kept, members=None), caller)
        belong = {person.id for _, person in await self._members.of_party(kept.account_id)}
        if strange := sorted(set(request.people) - belong):
            raise BadInput("nobody of this account has this id", column="people", found=strange[0][:80], would_do="an id of a member")
        return await self._put(msgspec.structs.replace(kept, members=frozenset(request.people)), caller)

    async def bought_for(self, wish: Wish, caller: Caller) -> Wish:
        """The wish with its project by id. Raises NotFound, WrongState for an archived project, NotPermitted for who may not buy for it."""
        if wish.project is None:
            return wish
        project = await self._named(wish.project, caller)
        if project.archived_at is not None:
            raise WrongState(
                f"the project {project.name} is archived; another one would do, or have an owner restore it", project_id=project.id
            )
        if not _may_buy(project, caller):
            raise NotPermitted(f"only its members and owners buy for the project {project.name}; ask an owner", project_id=project.id)
        return msgspec.structs.replace(wish, project=project.id)

    async def _named(self, project: str, caller: Caller) -> Project:
        return named(project, with_default(caller.account_id, await self._projects.of_account(caller.account_id)))

    async def _own(self, project: str, caller: Caller) -> Project:
        """A project that may be changed, with its account locked. Raises NotPermitted, NotFound, WrongState for the default one."""
        require(caller, SCOPE)
        await self._accounts.lock(caller.account_id)
        kept = await self._named(project, caller)
        if kept.id == DEFAULT_PROJECT:
            raise WrongState("the default project stays as it is; make another one", project_id=kept.id)
        return kept

    async def _put(self, project: Project, caller: Caller) -> ProjectView:
        await self._projects.put(project)
        return _view(project, caller)


def with_default(account_id: str, projects: Sequence[Project]) -> list[Project]:
    """An account's projects, the one that is not kept before them."""
    return [Project(id=DEFAULT_PROJECT, account_id=account_id, name=DEFAULT_NAME), *projects]


def named(project: str, known: Sequence[Project]) -> Project:
    """The one of these projects that has this id, or this name whatever its capitals. Raises NotFound naming those there are."""
    for each in known:
        if each.id == project:
            return each
    for each in known:
        if each.name.casefold() == project.strip().casefold():
            return each
    there = ", ".join(each.name for each in known if each.archived_at is None)
    raise NotFound(f"the account has no project {project[:80]!r}; there are: {there}", project=project[:80])


def _free_name(text: str, others: Sequence[Project]) -> str:
    name = clean_name(text, of="name")
    taken = {each.name.casefold() for each in others} | {each.id for each in others} | {DEFAULT_PROJECT}
    if name.casefold() in taken:
        raise Conflict(f"a project is called {name} already; another name would do", name=name)
    return name


def _may_buy(project: Project, caller: Caller) -> bool:
    """Owners, and what they make keys for, buy for every project; others for those that are everybody's, or theirs."""
    return "bids:write" in caller.scopes and (project.members is None or SCOPE in caller.scopes or caller.person_id in project.members)


def _view(project: Project, caller: Caller) -> ProjectView:
    return ProjectView(
        project_id=project.id,
        name=project.name,
        created_at=project.created_at,
        archived_at=project.archived_at,
        members=None if project.members is None else sorted(project.members),
        may_buy=project.archived_at is None and _may_buy(project, caller),
    )
