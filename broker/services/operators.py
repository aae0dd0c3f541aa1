"""What the market's operator may do: check a cycle again, and see what stands, what is not believed and what broke."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from time import thread_time
from typing import Protocol

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.explanations import ClearedBook
from broker.services.market import MarketReader
from broker.services.market_views import CheckView
from broker.services.operator_views import (
    AccessPhase,
    Incident,
    Overview,
    ProviderStanding,
    Quarantined,
    RulesView,
    Running,
    VerdictView,
    Way,
)
from broker.services.providers import Answers, PastGates
from broker.services.views import Caller
from contracts.terms.clearing import Certificate, Check
from contracts.terms.errors import NotFound
from contracts.terms.money import BASIS_POINTS
from contracts.terms.orders import MarketBook
from pricing.canonical import hashes_of, write_result_tables
from pricing.certificate import verify
from pricing.clearing import clear

SCOPE = "operator"
INCIDENTS_SHOWN = 200
# Who is shed first after a failure: spot, then standard, then guaranteed.
SHED_ORDER = ("spot", "standard", "guaranteed")


class OperatorReader(Protocol):
    """What the store knows of the whole market."""

    async def providers(self, now: datetime) -> list[ProviderStanding]:
        """Every provider, by name."""
        ...

    async def quarantined(self) -> list[Quarantined]:
        """Offers nobody is sold since nobody should believe them, by provider and id."""
        ...

    async def incidents(self, limit: int) -> list[Incident]:
        """What went wrong, the latest first."""
        ...

    async def running(self, now: datetime) -> dict[str, tuple[int, int]]:
        """Leases and accelerators delivering at a moment, by tier."""
        ...

    async def failovers_waiting(self) -> int:
        """Leases that broke off and whose rest has no place yet."""
        ...


class OperatorService:
    """The market, for whoever runs it: keys with the scope `operator`."""

    def __init__(self, past: PastGates, market: MarketReader, *, reader: OperatorReader, clock: Clock, answers: Answers) -> None:
        self._past = past
        self._market = market
        self._reader = reader
        self._clock = clock
        self._answers = answers

    async def check(self, number: int, way: Way, *, caller: Caller) -> VerdictView:
        """Check an applied cycle again from the book it kept. Raises NotFound where there is none."""
        require(caller, SCOPE)
        cleared = await self._past.at(number)
        certificate = await self._market.certificate((await self._market.cycle(number)).cycle_id)
        if cleared is None or certificate is None:
            raise NotFound(f"cycle {number} was not applied, or its book was not kept", cycle=number)
        work = _verified if way == "verify" else _replayed
        async with self._answers.turn:
            checks, seconds = await asyncio.to_thread(_timed, work, cleared, certificate=certificate)
        return VerdictView(
            cycle_number=number,
            way=way,
            holds=all(check.holds for check in checks),
            checks=[CheckView(name=check.name, holds=check.holds, finding=check.finding) for check in checks],
            cpu_seconds=seconds,
            at=self._clock.now(),
        )

    async def overview(self, caller: Caller) -> Overview:
        """What there is to look at."""
        providers = await self.providers(caller)
        return Overview(
            as_of=self._clock.now(),
            providers=len(providers),
            silent=sum(each.feed == "silent" for each in providers),
            quarantined=sum(each.suspects for each in providers),
            failovers_waiting=await self._reader.failovers_waiting(),
            shed=await self._shed(),
        )

    async def providers(self, caller: Caller) -> list[ProviderStanding]:
        """Every provider and how it stands, by name."""
        require(caller, SCOPE)
        return await self._reader.providers(self._clock.now())

    async def quarantined(self, caller: Caller) -> list[Quarantined]:
        """What was announced and is not believed."""
        require(caller, SCOPE)
        return await self._reader.quarantined()

    async def incidents(self, caller: Caller) -> list[Incident]:
        """What went wrong, the latest first."""
        require(caller, SCOPE)
        return await self._reader.incidents(INCIDENTS_SHOWN)

    async def rules(self, caller: Caller) -> RulesView:
        """The rules in force and to whom offers are open. Raises NotFound before the first cycle."""
        require(caller, SCOPE)
        gates = await self._past.gates(2)
        cleared = await self._past.at(gates[0].number) if gates else None
        if cleared is None:
            raise NotFound("the market has not cleared yet; its rules are those of its last cycle")
        rules = cleared.book.rules
        return RulesView(
            rules=rules.rules,
            currency=rules.currency,
            slots=rules.slots,
            slot_seconds=int(rules.slot_hours * 3600),
            gate_seconds=int((gates[0].at - gates[1].at).total_seconds()) if len(gates) > 1 else None,
            fee_bps=rules.fee_bps,
            headroom_standard_bps=int(rules.headroom_standard * Decimal(BASIS_POINTS)),
            headroom_guaranteed_bps=int(rules.headroom_guaranteed * Decimal(BASIS_POINTS)),
            call_ceiling=str(rules.call_ceiling),
            uplift_fund_micros=rules.uplift_fund_micros,
            phases=_phases(cleared.book),
            shed=await self._shed(),
        )

    async def _shed(self) -> list[Running]:
        running = await self._reader.running(self._clock.now())
        return [
            Running(place=place, tier=tier, leases=running.get(tier, (0, 0))[0], accelerators=running.get(tier, (0, 0))[1])
            for place, tier in enumerate(SHED_ORDER, start=1)
        ]


def _timed(
    work: Callable[[ClearedBook, Certificate], Sequence[Check]], cleared: ClearedBook, *, certificate: Certificate
) -> tuple[Sequence[Check], float]:
    began = thread_time()
    checks = work(cleared, certificate)
    return checks, thread_time() - began


def _verified(cleared: ClearedBook, certificate: Certificate) -> Sequence[Check]:
    return verify(cleared.book, cleared.clearing, stored=certificate).checks


def _replayed(cleared: ClearedBook, _certificate: Certificate) -> Sequence[Check]:
    """Clear the book again and hold every table to the one that was stored."""
    stored, again = (hashes_of(write_result_tables(each)) for each in (cleared.clearing, clear(cleared.book)))
    return [
        Check(name=name, holds=stored[name] == again[name], finding=f"stored {stored[name][:12]}, again {again[name][:12]}")
        for name in sorted(stored)
    ]


def _phases(book: MarketBook) -> list[AccessPhase]:
    rows: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[str, int]]] = {}
    for provider, quantity, open_to, closed_to in book.offers.select("provider", "quantity", "open_to", "closed_to").iter_rows():
        rows.setdefault((tuple(sorted(open_to or ())), tuple(sorted(closed_to or ()))), []).append((provider, quantity))
    return [
        AccessPhase(
            open_to=list(open_to),
            closed_to=list(closed_to),
            providers=len({provider for provider, _ in offers}),
            offers=len(offers),
            accelerators=sum(quantity for _, quantity in offers),
        )
        for (open_to, closed_to), offers in sorted(rows.items())
    ]
