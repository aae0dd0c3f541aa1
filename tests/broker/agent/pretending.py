"""A cluster, and a broker, that an agent can be killed between; what really ran is known."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from broker.agent.agent import Agent
from broker.agent.announcing import OfferTerms
from broker.agent.cluster import ClusterAway, Command, Hold, Job, Node, NotHeld, Want
from broker.agent.deciding import Patience
from broker.agent.grid import ClusterAddress, DoorAddress, Grid
from broker.client.call import Call
from broker.client.refusals import Unreachable
from broker.clock import SimulatedClock
from broker.services.access import token_digest
from broker.services.access_views import Deliveries, Delivery, DeliverySlot
from broker.services.feed_views import FeedAnswer
from broker.services.usage_views import RefusedReport, UsageReceipt, UsageReport
from contracts.feed.batches import take
from contracts.feed.session import Session, open_session, shown_table
from contracts.feed.wire import encode
from contracts.terms.errors import NotFound
from contracts.terms.leases import move
from tests.broker.small_market import START

SECOND = timedelta(seconds=1)
TOKEN = "gfa_of_tests"


class Killed(BaseException):
    """The agent's process ends here."""


class PretendedCluster:
    """Two machines of eight. Whatever is started is ready at once, unless there is no room; it stays when the agent goes."""

    def __init__(self) -> None:
        self.alive = [Node(id="n1", accelerator="H100", quantity=8), Node(id="n2", accelerator="H100", quantity=8)]
        self.held: dict[Want, datetime | None] = {}
        self.lost: set[Want] = set()
        self.ran: list[tuple[Want, datetime, datetime]] = []
        self.jobs: dict[str, Job] = {}
        self.full = self.away = False

    def nodes(self) -> tuple[Node, ...]:
        return tuple(self.alive)

    def holds(self, now: datetime) -> tuple[Hold, ...]:
        if self.away:
            raise ClusterAway("away")
        found = []
        for key in sorted(self.held):
            if key not in self.lost and not self.full:
                self.held[key] = self.held[key] or now
            since = self.held[key]
            state = "lost" if key in self.lost else "ready" if since else "pending"
            found.append(Hold(lease_id=key[0], quantity=key[1], state=state, since=since))
        return tuple(found)

    def start(self, want: Want, accelerator: str) -> None:
        assert accelerator == "H100"
        self.held.setdefault(want, None)

    def stop(self, held: Want) -> None:
        self.held.pop(held, None)
        self.lost.discard(held)

    def lose(self) -> None:
        """A machine dies: what was held there is gone, and has to be begun anew."""
        self.lost |= {key for key, since in self.held.items() if since}

    def pass_time(self, start: datetime, end: datetime) -> None:
        """What really ran meanwhile."""
        self.ran += [(key, start, end) for key, since in self.held.items() if since and key not in self.lost]

    def submit(self, held: Want, command: Command, *, job_id: str) -> Job:
        if self.away:
            raise ClusterAway("away")
        if held not in self.held:
            raise NotHeld(held.lease_id)
        return self.jobs.setdefault(job_id, Job(job_id=job_id, state="running", output=" ".join(command.arguments)))

    def job(self, held: Want, job_id: str) -> Job | None:
        return self.jobs.get(job_id)

    def stop_job(self, held: Want, job_id: str) -> Job | None:
        return self.jobs.get(job_id)


class PretendedBroker:
    """The broker's words for one provider, on a real session of the feed; it counts calls, and may fall silent or end its caller."""

    def __init__(self, clock: SimulatedClock, *deliveries: Delivery) -> None:
        self.clock = clock
        self.deliveries = {each.lease_id: each for each in deliveries}
        self.counted: dict[str, UsageReport] = {}
        self.contradictions = 0
        self.moves: list[tuple[str, str]] = []
        self.endpoints: list[str] = []
        self.session: Session | None = None
        self.away = self.deaf = False
        self.slow = timedelta(0)
        self.refuses = False
        self.batches = 0
        self.kill_at = -1

    async def send(self, call: Call[Any], *, once: str | None = None) -> object:
        self.kill_at -= 1
        if self.kill_at == 0:
            raise Killed
        if self.away:
            raise Unreachable("nobody answers")
        answer = getattr(self, f"_{call.operation}")(call)
        if self.deaf:
            raise Unreachable("the answer was lost")
        return answer

    def offers(self) -> dict[str, tuple[int, str]]:
        """Quantity and state of what was announced."""
        assert self.session is not None
        return {row.offer_id: (row.quantity, row.state) for row in shown_table(self.session, self.clock.now())}

    def _RegisterFeedKey(self, call: Any) -> object:
        self.session = self.session or open_session("prv_x", call.body.public_key)
        return call.body

    def _SendFeed(self, call: Any) -> FeedAnswer:
        outcome = take(self.session, [encode(each) for each in call.body], now=self.clock.now())
        self.session = outcome.session
        return FeedAnswer(replies=list(outcome.replies))

    def _ListDeliveries(self, call: Any) -> Deliveries:
        due = [each for each in self.deliveries.values() if each.state != "completed" and (each.state != "failed" or not _metered(each))]
        return Deliveries(now=self.clock.now(), items=due)

    def _TellProgress(self, call: Any) -> Delivery:
        lease_id = str(call.at["lease_id"])
        if lease_id not in self.deliveries:
            raise NotFound("no such lease")
        before = self.deliveries[lease_id]
        way = ("awarded", "provisioning", "active", "completed")
        state = before.state
        while state in way and way.index(state) < way.index(call.body.state):
            state = move(lease_id, state, to=way[way.index(state) + 1])
            self.moves.append((lease_id, state))
        digest = token_digest(TOKEN) if call.body.endpoint else before.token_digest
        self.endpoints += [call.body.endpoint] if call.body.endpoint else []
        self.deliveries[lease_id] = msgspec.structs.replace(before, state=state, token_digest=digest)
        return self.deliveries[lease_id]

    def _FailLease(self, call: Any) -> object:
        lease_id = str(call.at["lease_id"])
        before, now = self.deliveries[lease_id], self.clock.now()
        self.moves.append((lease_id, move(lease_id, before.state, to="failed")))
        kept = tuple(slot for slot in before.slots if slot.start < now)
        self.deliveries[lease_id] = msgspec.structs.replace(before, state="failed", slots=kept, token_digest=None)
        return None

    def _ReportUsage(self, call: Any) -> UsageReceipt:
        self.batches += 1
        if self.refuses:
            aside = [RefusedReport(row=0, usage_id=each.usage_id, rev=0, reason="above_lease", detail="too much") for each in call.body]
            return UsageReceipt(received=len(aside), new=0, set_aside=aside)
        early = [row for row, report in enumerate(call.body) if report.end > self.clock.now() - self.slow]
        for report in (report for row, report in enumerate(call.body) if row not in early):
            known = self.counted.setdefault(report.usage_id, report)
            self.contradictions += known != report
            each = self.deliveries[report.lease_id]
            until = max(report.end, each.metered_until or report.end)
            self.deliveries[report.lease_id] = msgspec.structs.replace(each, metered_until=until)
        aside = [RefusedReport(row=row, usage_id=call.body[row].usage_id, rev=0, reason="not_over", detail="too early") for row in early]
        return UsageReceipt(received=len(call.body), new=len(call.body) - len(aside), set_aside=aside)


def _metered(delivery: Delivery) -> bool:
    return all(delivery.metered_until and slot.end <= delivery.metered_until for slot in delivery.slots)


class Scene:
    """A grid's agent between both, in a folder of its own; it may be killed and begun anew."""

    def __init__(self, folder: Path, *deliveries: Delivery, patience: Patience | None = None) -> None:
        self.clock = SimulatedClock(START - timedelta(minutes=2))
        self.broker, self.cluster = PretendedBroker(self.clock, *deliveries), PretendedCluster()
        attributes: dict[str, object] = {"site": "de-1", "country": "DE", "hardware": "H100-SXM"}
        self.grid = Grid(
            broker="http://broker",
            provider="prv_x",
            cluster=ClusterAddress(kind="ray", address="here"),
            door=DoorAddress(url="http://door"),
            offers=(OfferTerms(offer_id="ofr_x", accelerator="H100", rate_micros=1_000_000, attributes=attributes),),
            signing_key_file=folder / "feed.key",
            memory_file=folder / "agent.json",
            patience=patience or Patience(),
        )
        self.said: list[str] = []
        self.begin()

    def begin(self, *, forgetful: bool = False) -> None:
        """Another process: nothing in memory but what is in the file, if that is there."""
        if forgetful:
            self.grid.memory_file.unlink(missing_ok=True)
        self.agent = Agent(self.grid, self.cluster, market=self.broker, clock=self.clock, say=self.said.append)

    def owes(self) -> bool:
        """Whether a slot is over that the broker does not know of: then the file may not be lost."""
        now = self.clock.now()
        return any(
            slot.end <= now and (each.metered_until is None or slot.end > each.metered_until)
            for each in self.broker.deliveries.values()
            for slot in each.slots
        )

    async def turn(self, seconds: int = 0) -> None:
        """Let time pass, and then the agent take its turn; killed in it, it is begun anew."""
        start = self.clock.now()
        end = self.clock.advance(seconds * SECOND)
        self.cluster.pass_time(start, end)
        try:
            await self.agent.turn()
        except Killed:
            self.begin()

    def counted(self, lease_id: str = "lse_a") -> list[tuple[int, int, int, str]]:
        """What the broker counts: first and last second after the start, accelerator-seconds, status; in order."""
        found = [each for each in self.broker.counted.values() if each.lease_id == lease_id]
        return sorted(((r.start - START) // SECOND, (r.end - START) // SECOND, r.accelerator_seconds, r.status) for r in found)


def a_delivery(lease_id: str = "lse_a", *, slots: Sequence[tuple[int, int, int]] = ((0, 60, 4), (60, 120, 4)), **facts: object) -> Delivery:
    """A lease of four accelerators for two minutes: slots as (first second, last second, accelerators)."""
    plain = {
        "lease_id": lease_id, "offer_id": "ofr_x", "site": "de-1", "hardware": "H100-SXM", "tier": "spot", "state": "awarded",
        "slots": tuple(DeliverySlot(start=START + first * SECOND, end=START + end * SECOND, quantity=q) for first, end, q in slots),
    }  # fmt: skip
    return Delivery(**(plain | facts))
