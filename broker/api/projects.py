"""What an account buys for."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from broker.api.orders import KEY
from broker.app import Services
from broker.services.projects import ProjectMembers, ProjectRequest, ProjectView
from broker.services.replies import RequestKey
from broker.services.views import Caller, Page


class ProjectController(Controller):
    """Projects of the caller's account. Wherever one is named, its id or its name would do."""

    path = "/v1/projects"
    tags = ("statements",)
    security = KEY

    @get("/", operation_id="ListProjects", summary="Your projects")
    async def projects(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[ProjectView]:
        """Every project, archived ones too; first the default one, of what is bought for nothing in particular."""
        return Page(items=await services.projects.projects(caller))

    @post("/", operation_id="AddProject", summary="Make a project")
    async def add(
        self,
        data: JSONBody[ProjectRequest],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> ProjectView:
        """Make a project, for whoever may buy for the account. Name it as `project` of a bid or a quote."""
        return await services.replies.once(lambda: services.projects.add(data, caller), ProjectView, request=request_key)

    @get("/{project:str}", operation_id="GetProject", summary="One project")
    async def project(self, project: FromPath[str], services: NamedDependency[Services], *, caller: NamedDependency[Caller]) -> ProjectView:
        """One project, and whether you may buy for it."""
        return await services.projects.project(project, caller)

    @post("/{project:str}/rename", operation_id="RenameProject", summary="Rename a project", status_code=200)
    async def rename(
        self,
        project: FromPath[str],
        data: JSONBody[ProjectRequest],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> ProjectView:
        """Call a project something else; what it bought goes with it."""
        return await services.replies.once(lambda: services.projects.rename(project, data, caller=caller), ProjectView, request=request_key)

    @post("/{project:str}/archive", operation_id="ArchiveProject", summary="Archive a project", status_code=200)
    async def archive(
        self,
        project: FromPath[str],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> ProjectView:
        """Buy nothing more for a project. Its leases run on, and its spend stays its own."""
        return await services.replies.once(lambda: services.projects.archive(project, caller), ProjectView, request=request_key)

    @post("/{project:str}/restore", operation_id="RestoreProject", summary="Restore a project", status_code=200)
    async def restore(
        self,
        project: FromPath[str],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> ProjectView:
        """Buy for an archived project again."""
        return await services.replies.once(lambda: services.projects.restore(project, caller), ProjectView, request=request_key)

    @post("/{project:str}/members", operation_id="SetProjectMembers", summary="Say who may buy for a project", status_code=200)
    async def set_members(
        self,
        project: FromPath[str],
        data: JSONBody[ProjectMembers],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> ProjectView:
        """These people beside owners and keys of scope `budget:write`; null for whoever may buy for the account."""
        return await services.replies.once(
            lambda: services.projects.set_members(project, data, caller=caller), ProjectView, request=request_key
        )
