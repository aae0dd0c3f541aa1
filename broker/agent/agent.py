"""The agent itself: turn after turn it asks what is owed, looks at what is held, and does, tells and meters what follows.

Whatever fails is said and tried again at the next turn. While the broker is away leases go on as they were told; while the
cluster is away nothing is announced, so that its offers go stale and nobody is sold what may not be there.
"""

import asyncio
import hmac
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

import msgspec

from broker.agent import calls
from broker.agent.announcer import Announcer
from broker.agent.cluster import Cluster, ClusterAway
from broker.agent.deciding import Sight, Steps, slot_at, steps
from broker.agent.grid import Grid
from broker.agent.memory import recall, remember
from broker.agent.metering import reports, seen
from broker.client import AsyncGridfare
from broker.clock import Clock
from broker.services.access import token_digest
from broker.services.access_views import Delivery, DeliverySlot, Progress
from broker.services.leases import Failure
from contracts.terms.errors import Conflict, MarketError, NotSignedIn

REPORTS_PER_BATCH = 5_000
# The broker's clock had not got there yet: the same record is welcome a moment later.
TOO_EARLY = "not_over"


class Agent:
    """Keeps one grid. `say` is told what went wrong, and what was done."""

    def __init__(self, grid: Grid, cluster: Cluster, *, market: AsyncGridfare, clock: Clock, say: Callable[[str], None]) -> None:
        """Raises BadInput for a memory or a key that cannot be read."""
        self._grid = grid
        self.cluster = cluster
        self._market = market
        self._clock = clock
        self._say = say
        self._memory = recall(grid.memory_file)
        self._announcer = Announcer(grid, market, say=say)
        self._begun: datetime | None = None
        self._opened: set[str] = set()
        self._refused: set[str] = set()

    @property
    def now(self) -> datetime:
        """The present by the broker's clock, as far as we know it."""
        return self._clock.now() + self._memory.ahead

    def admit(self, lease_id: str, token: str) -> tuple[Delivery, DeliverySlot]:
        """The lease whose token this is, and its slot under way. Raises NotSignedIn for any other, Conflict between two slots."""
        digest = token_digest(token)
        for each in self._memory.deliveries:
            if each.lease_id == lease_id and each.token_digest is not None and hmac.compare_digest(digest, each.token_digest):
                slot = slot_at(each, self.now)
                if slot is not None:
                    return each, slot
                ahead = [slot.start for slot in each.slots if slot.start > self.now]
                if ahead:
                    raise Conflict(f"this lease pauses until {ahead[0].isoformat()}", lease_id=lease_id)
        raise NotSignedIn("this token opens no lease here; `GET /v1/leases/{id}/access` gives the one that does, while the lease lives")

    async def run(self) -> NoReturn:
        """Turn after turn, until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(self._grid.every_seconds)

    async def turn(self) -> None:
        """Everything that is due now."""
        await self._tried("what is owed", self._hear)
        if not self._memory.heard:
            return
        now = self.now
        try:
            holds = await asyncio.to_thread(self.cluster.holds, now)
            nodes = await asyncio.to_thread(self.cluster.nodes)
        except ClusterAway as fault:
            self._say(f"the cluster does not answer: {fault}")
            return
        self._remember(spans=seen(self._memory.spans, holds, now=now))
        self._begun = self._begun or now
        sight = Sight(holds=holds, spans=self._memory.spans, begun=self._begun)
        todo = steps(self._memory.deliveries, sight, now=now, patience=self._grid.patience)
        try:
            await asyncio.to_thread(self._hold, todo)
        except ClusterAway as fault:
            self._say(f"the cluster does not answer: {fault}")
        await self._tell(todo)
        await self._tried("usage", lambda: self._meter(now))
        await self._tried("the feed", lambda: self._announcer.beat(nodes, now))

    async def _tried(self, what: str, act: Callable[[], Coroutine[Any, Any, object]]) -> None:
        try:
            await act()
        except MarketError as refusal:
            self._say(f"{what}: {refusal}")

    async def _hear(self) -> None:
        found: list[Delivery] = []
        cursor: str | None = None
        while True:
            page = await self._market.send(calls.list_deliveries(cursor))
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        mine = tuple(each for each in found if self._grid.accelerator_of(each.offer_id) is not None)
        self._remember(deliveries=mine, ahead=page.now - self._clock.now(), heard=True)

    def _hold(self, todo: Steps) -> None:
        """On the cluster: let go first, so that there is room."""
        for held in todo.stop:
            self.cluster.stop(held)
        offers = {each.lease_id: each.offer_id for each in self._memory.deliveries}
        for want in todo.start:
            accelerator = self._grid.accelerator_of(offers[want.lease_id])
            assert accelerator is not None, "deliveries are those of our offers"
            self.cluster.start(want, accelerator)

    async def _tell(self, todo: Steps) -> None:
        """Tell the broker; a lease that is open is told so again by an agent that has just started: its door may have moved."""
        unopened = [each for each in self._memory.deliveries if each.token_digest is None or each.lease_id not in self._opened]
        for lease_id in todo.provisioning:
            await self._tried(lease_id, partial(self._progress, lease_id, Progress(state="provisioning")))
        for each in unopened:
            if each.lease_id in todo.open:
                door = f"{self._grid.door.url.rstrip('/')}/leases/{each.lease_id}"
                await self._tried(each.lease_id, partial(self._progress, each.lease_id, Progress(state="active", endpoint=door)))
        for lease_id in todo.completed:
            await self._tried(lease_id, partial(self._progress, lease_id, Progress(state="completed")))
        for lease_id, reason in todo.failed:
            self._say(f"{lease_id} has failed: {reason}")
            await self._tried(lease_id, partial(self._market.send, calls.fail_lease(lease_id, Failure(reason=reason))))

    async def _progress(self, lease_id: str, progress: Progress) -> None:
        told = await self._market.send(calls.tell_progress(lease_id, progress))
        self._remember(deliveries=tuple(told if each.lease_id == lease_id else each for each in self._memory.deliveries))
        self._say(f"{lease_id} is {told.state}")
        if progress.state == "active":
            self._opened.add(lease_id)

    async def _meter(self, now: datetime) -> None:
        """Report the slots that are over, until the broker says that they are metered: from the same spans come the same records."""
        due = [report for each in self._memory.deliveries for report in reports(each, self._memory.spans, now=now)]
        due = [report for report in due if report.usage_id not in self._refused]
        for first in range(0, len(due), REPORTS_PER_BATCH):
            receipt = await self._market.send(calls.report_usage(due[first : first + REPORTS_PER_BATCH]))
            for refused in receipt.set_aside:
                if refused.reason != TOO_EARLY:
                    self._refused.add(refused.usage_id)
                    self._say(f"{refused.usage_id} is not counted: {refused.detail}")

    def _remember(self, **news: object) -> None:
        """Take news into the memory, and the memory to the disk."""
        memory = msgspec.structs.replace(self._memory, **news)
        if memory != self._memory:
            self._memory = memory
            remember(self._grid.memory_file, memory)
