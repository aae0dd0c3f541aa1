"""What an organisation buys for: its projects, who may buy for each, and their budgets."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.projects import SCOPE, ProjectMembers, ProjectRequest, ProjectView
from broker.services.replies import RequestKey
from broker.services.views import Caller
from contracts.terms.accounts import DEFAULT_PROJECT
from contracts.terms.errors import BadInput
from web.i18n import gettext as _
from web.pages.account import PROJECTS
from web.pages.developers import ticked
from web.pages.finance import origin
from web.pages.signing import NO_STORE, AnyRequest, FormMarks, act_key, marks, page_caller
from web.pages.spend_project import project_words

EVERYBODY, NAMED = "everybody", "named"


class ProjectForm(FormMarks, frozen=True, kw_only=True):
    """What the forms of this page send: a name; or who may buy, everybody or those ticked."""

    name: str = ""
    who: str = EVERYBODY
    people: list[str] | str = ""


Sent = Annotated[ProjectForm, Body(media_type=RequestEncodingType.URL_ENCODED)]


@get(PROJECTS, include_in_schema=False)
async def projects_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """Every project of the organisation; archived ones last."""
    caller = await page_caller(request, services)
    views = await services.projects.projects(caller)
    people = await services.members.members(caller) if caller.person_id is not None else []
    context = {
        "caller": caller,
        "projects": [
            (project_words(each.project_id, each.name), each) for each in sorted(views, key=lambda each: each.archived_at is not None)
        ],
        "default": DEFAULT_PROJECT,
        "budgets": {each.project_id: each for each in await services.budgets.budgets(caller)},
        "people": [each for each in people if each.role != "reader"],
        "names": {each.person_id: each.name for each in people},
        "may": SCOPE in caller.scopes,
        "marks": marks(request),
        "origin": origin(request),
    }
    return Template("account_projects.html", context=context, headers=NO_STORE)


@post(PROJECTS, include_in_schema=False, status_code=303)
async def add_project(data: Sent, request: AnyRequest, *, services: NamedDependency[Services]) -> Redirect:
    """Make a project, once a form."""
    caller, key = await _acting(request, services, data=data)
    made = await services.replies.once(lambda: services.projects.add(ProjectRequest(name=data.name), caller), ProjectView, request=key)
    return _back(made)


@post(f"{PROJECTS}/{{project:str}}/rename", include_in_schema=False, status_code=303)
async def rename_project(project: FromPath[str], data: Sent, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Call it something else."""
    caller, key = await _acting(request, services, data=data)
    wish = ProjectRequest(name=data.name)
    return _back(await services.replies.once(lambda: services.projects.rename(project, wish, caller=caller), ProjectView, request=key))


@post(f"{PROJECTS}/{{project:str}}/archive", include_in_schema=False, status_code=303)
async def archive_project(project: FromPath[str], data: Sent, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Buy nothing more for it."""
    caller, key = await _acting(request, services, data=data)
    return _back(await services.replies.once(lambda: services.projects.archive(project, caller), ProjectView, request=key))


@post(f"{PROJECTS}/{{project:str}}/restore", include_in_schema=False, status_code=303)
async def restore_project(project: FromPath[str], data: Sent, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Buy for it again."""
    caller, key = await _acting(request, services, data=data)
    return _back(await services.replies.once(lambda: services.projects.restore(project, caller), ProjectView, request=key))


@post(f"{PROJECTS}/{{project:str}}/members", include_in_schema=False, status_code=303)
async def set_members(project: FromPath[str], data: Sent, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Say who may buy for it.."""
    caller, key = await _acting(request, services, data=data)
    if data.who not in (EVERYBODY, NAMED):
        raise BadInput(_("say who may buy"), column="who", found=data.who[:40], would_do=EVERYBODY)
    wish = ProjectMembers(people=ticked(data.people) if data.who == NAMED else None)
    return _back(await services.replies.once(lambda: services.projects.set_members(project, wish, caller=caller), ProjectView, request=key))


async def _acting(request: AnyRequest, services: Services, *, data: ProjectForm) -> tuple[Caller, RequestKey]:
    """The reader, whose form this is, and the key under which it acts once. Raises NotSignedIn, NotPermitted."""
    caller = await page_caller(request, services)
    said = msgspec.json.encode((data.name, data.who, sorted(ticked(data.people))))
    return caller, act_key(request, caller, sent=FormMarks(token=data.token, once=data.once), content=said)


def _back(project: ProjectView) -> Redirect:
    return Redirect(f"{PROJECTS}#{project.project_id}", status_code=303)


PAGES = (projects_page, add_project, rename_project, archive_project, restore_project, set_members)
