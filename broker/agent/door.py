"""The door: where the holders of leases knock with the token the broker gave them, and send what is to run.

GET  {endpoint}                       what they have now
POST {endpoint}/jobs                  {"arguments": ["python", "train.py"]} runs in every part of the lease
GET  {endpoint}/jobs/{job_id}         how it stands, and what it wrote
POST {endpoint}/jobs/{job_id}/stop
"""

import asyncio
import secrets
from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from litestar import Controller, Litestar, Request, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody

from broker.agent.agent import Agent
from broker.agent.cluster import ClusterAway, Command, Job, NotHeld, Want
from broker.api.problems import answer
from broker.services.access_views import Delivery, DeliverySlot
from contracts.terms.errors import Conflict, NotFound, NotSignedIn, TooBusy

T = TypeVar("T")
BODY_BYTES_MAX = 1_000_000
BEARER = "bearer"
RETRY_SECONDS = 5
Text = Annotated[str, msgspec.Meta(max_length=100_000, pattern=r"^[^\x00]*\Z")]
Variable = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")]
JobName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+\Z")]


class JobRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run.

    arguments    the program and its arguments; no shell is put between
    environment  variables to add
    job_id       a name of your own: sent twice it runs once
    """

    arguments: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=1_000)]
    environment: dict[Variable, Text] = {}
    job_id: JobName | None = None


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder has: accelerators in the slot under way, and until when."""

    lease_id: str
    hardware: str
    accelerators: int
    until: datetime


class Entered(NamedTuple):
    """A lease whose token was shown, and its slot under way."""

    delivery: Delivery
    slot: DeliverySlot

    @property
    def held(self) -> Want:
        """What the cluster holds for it."""
        return Want(self.delivery.lease_id, self.slot.quantity)


class DoorController(Controller):
    """A lease from inside."""

    path = "/leases/{lease_id:str}"

    @get("/")
    async def room(self, entered: NamedDependency[Entered]) -> Room:
        """What is here, and until when."""
        delivery, slot = entered
        return Room(lease_id=delivery.lease_id, hardware=delivery.hardware, accelerators=slot.quantity, until=slot.end)

    @post("/jobs")
    async def submit(self, data: JSONBody[JobRequest], entered: NamedDependency[Entered], *, agent: NamedDependency[Agent]) -> Job:
        """Run a command on everything the lease has now."""
        command = Command(arguments=data.arguments, environment=data.environment)
        job_id = data.job_id or secrets.token_hex(8)
        return await _held(asyncio.to_thread(agent.cluster.submit, entered.held, command, job_id=job_id))

    @get("/jobs/{job_id:str}")
    async def job(self, job_id: FromPath[str], entered: NamedDependency[Entered], *, agent: NamedDependency[Agent]) -> Job:
        """How a command stands."""
        return _known(await _held(asyncio.to_thread(agent.cluster.job, entered.held, job_id)), job_id)

    @post("/jobs/{job_id:str}/stop", status_code=200)
    async def stop(self, job_id: FromPath[str], entered: NamedDependency[Entered], *, agent: NamedDependency[Agent]) -> Job:
        """Stop a command."""
        return _known(await _held(asyncio.to_thread(agent.cluster.stop_job, entered.held, job_id)), job_id)


def door(agent: Agent) -> Litestar:
    """The door of an agent. Whoever shows no token of the lease under way is refused, whatever the lease."""

    def enter(request: Request[Any, Any, Any], lease_id: FromPath[str]) -> Entered:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != BEARER or not token:
            raise NotSignedIn("this needs the token of the lease; send `Authorization: Bearer <token>`")
        return Entered(*agent.admit(lease_id, token.strip()))

    return Litestar(
        route_handlers=[DoorController],
        dependencies={
            "agent": Provide(lambda: agent, sync_to_thread=False),
            "entered": Provide(enter, sync_to_thread=False),
        },
        exception_handlers={Exception: answer},
        openapi_config=None,
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
    )


async def _held(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except NotHeld as fault:
        raise Conflict("nothing is ready for this lease at the moment; its grid is at it", lease_id=str(fault)) from fault
    except ClusterAway as fault:
        raise TooBusy("the cluster does not answer at the moment", retry_after=RETRY_SECONDS) from fault


def _known(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise NotFound(f"this lease has no job {job_id}", job_id=job_id)
    return job
