"""Offering leases on: what a holder may part with, taking it back, and what came of it.

Who lists, sells or takes back takes the turn of the hardware first, as quotes do, and a resale's row is locked before its lease's.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from broker.clock import Clock
from broker.services.views import ResaleView, SoldSlotView, slot_views
from contracts.resale import RESALABLE_PLAN, Resale, ResaleRequest, ResaleState, Sale, check_resalable, offered_slots
from contracts.terms.errors import NotFound, WindowClosed, WrongState
from contracts.terms.leases import Lease, LeaseSlot
from contracts.terms.time import Period, iso


class Resales(Protocol):
    """Where resales are kept."""

    async def plan_kind(self, account_id: str) -> str:
        """What kind of plan an account has signed."""
        ...

    async def next_id(self, offer_id: str) -> str:
        """The id of the next resale on an offer."""
        ...

    async def asked_by_provider(self, lease: Lease) -> tuple[LeaseSlot, ...]:
        """The slots of a lease at what its offer asks for them, before energy."""
        ...

    async def add(self, resale: Resale, *, account_id: str, at: datetime) -> None:
        """Keep a new resale, and show it as an offer."""
        ...

    async def open_of(self, lease_id: str) -> Resale | None:
        """The open resale of a lease, locked until the transaction ends."""
        ...

    async def of_leases(self, lease_ids: Sequence[str]) -> list[Resale]:
        """Every resale of some leases, oldest first."""
        ...

    async def close(self, resale: Resale, state: ResaleState, *, at: datetime) -> None:
        """End a resale."""
        ...

    async def sales(self, *, of_leases: Sequence[str]) -> list[tuple[Sale, datetime, int]]:
        """What was sold of some leases: the sale, when its slot ends, the buyer's rate."""
        ...


class Turns(Protocol):
    """The turns of those who hold, take and offer hardware; a clearing that reads its book stops them."""

    async def take_turn(self, hardware: Sequence[str]) -> None:
        """Until the transaction ends, be the only one that holds or takes these classes."""
        ...

    async def being_cleared(self, span: Period) -> bool:
        """Whether a cycle that has read its book decides about slots of a span."""
        ...


class ResaleService:
    """Putting parts of leases up for sale."""

    def __init__(self, resales: Resales, turns: Turns, *, clock: Clock) -> None:
        self._resales = resales
        self._turns = turns
        self._clock = clock

    async def take_turn(self, leases: Sequence[Lease]) -> None:
        """Be the only one that sells or takes the hardware of some leases, until the transaction ends; read them after it."""
        await self._turns.take_turn([lease.hardware for lease in leases])

    async def offer(self, lease: Lease, request: ResaleRequest) -> bool:
        """Offer what a request names of one lease; whether there was any of it.

        Raises NotPermitted for what may not be resold, WrongState while another offer of the same lease is open.
        """
        check_resalable(lease, plan_kind=await self._resales.plan_kind(lease.account_id))
        if await self._resales.open_of(lease.id) is not None:
            raise WrongState("the lease is offered already; take that offer back first", lease_id=lease.id, state="open")
        slots = offered_slots(lease, request, now=self._clock.now())
        if slots:
            await self._add(lease, slots, released=False)
        return bool(slots)

    async def stop(self, lease: Lease) -> bool:
        """End the open offer of a lease that is given up; whether its holder pays by the rate, and so for what nobody buys."""
        open_one = await self._resales.open_of(lease.id)
        if open_one is not None:
            await self._resales.close(open_one, "ended", at=self._clock.now())
        return await self._resales.plan_kind(lease.account_id) == RESALABLE_PLAN

    async def give_up(self, rest: Lease) -> None:
        """Offer what a released lease has left, at what its provider asks."""
        await self._add(rest, await self._resales.asked_by_provider(rest), released=True)

    async def withdraw(self, lease: Lease) -> bool:
        """Take back what is left of the open offer of a lease; whether there was one.

        Raises WindowClosed while a cycle that has seen it decides about its slots.
        """
        resale = await self._resales.open_of(lease.id)
        if resale is None:
            return False
        span = Period(resale.slots[0].start, resale.slots[-1].end)
        if await self._turns.being_cleared(span):
            raise WindowClosed(
                "the market is clearing these slots; take it back when its prices are published",
                starts_at=iso(span.start),
                ends_at=iso(span.end),
            )
        await self._resales.close(resale, "withdrawn", at=self._clock.now())
        return True

    async def views(self, leases: Sequence[str]) -> dict[str, list[ResaleView]]:
        """What is and was offered on of some leases, and what it fetched, by lease."""
        found: dict[str, list[ResaleView]] = {}
        sold: dict[str, list[SoldSlotView]] = {}
        for sale, end, rate in await self._resales.sales(of_leases=leases):
            sold.setdefault(sale.resale_id, []).append(
                SoldSlotView(start=sale.slot_start, end=end, quantity=sale.quantity, rate_micros=rate, own_rate_micros=sale.rate_micros)
            )
        for resale in await self._resales.of_leases(leases):
            found.setdefault(resale.lease_id, []).append(
                ResaleView(
                    resale_id=resale.id,
                    state=resale.state,
                    released=resale.released,
                    offered=slot_views(slot for slot in resale.slots if slot.quantity) if resale.state == "open" else [],
                    sold=sold.get(resale.id, []),
                )
            )
        return found

    async def _add(self, lease: Lease, slots: tuple[LeaseSlot, ...], *, released: bool) -> None:
        resale = Resale(
            id=await self._resales.next_id(lease.offer_id), lease_id=lease.id, offer_id=lease.offer_id, slots=slots, released=released
        )
        await self._resales.add(resale, account_id=lease.account_id, at=self._clock.now())


def nothing_offered(lease_id: str) -> NotFound:
    """The refusal for a lease of which nothing is offered."""
    return NotFound("nothing of this lease is offered that could be taken back", lease_id=lease_id)


def nothing_ahead(lease_id: str) -> WrongState:
    """The refusal for a lease of which nothing named is ahead."""
    return WrongState("no slot of this lease that has not begun lies within what was named", lease_id=lease_id, state="begun")
