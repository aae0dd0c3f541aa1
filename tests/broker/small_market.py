"""A market small enough to check by hand: one site, two offers of 8 at 1.00 and 2.00 USD, two buyers."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
import polars as pl

from broker.app import Market
from broker.clock import SimulatedClock
from broker.cycle import MarketCycle, Timetable
from broker.services.views import Caller
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.book import BookRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.accounts import Account, Provider
from contracts.terms.bids import BidRequest
from contracts.terms.hardware import HardwareClass
from contracts.terms.orders import MarketBook, MarketRules, canonical_book
from contracts.terms.tables import BIDS, OFFERS

START = datetime(2027, 1, 4, tzinfo=UTC)
GATE = START - timedelta(minutes=15)
H100 = HardwareClass(
    name="H100-SXM", vendor="NVIDIA", variant="", tflops=989, memory_gb=80, watts=700, chip_origin="US", confidence="high", source="tests"
)
USD = 1_000_000
T = TypeVar("T")


def offer(offer_id: str, rate_micros: int, **facts: object) -> dict[str, object]:
    """An offer row: 8 accelerators in DE, everything else plain."""
    plain = {
        "offer_id": offer_id, "provider": "prv_a", "site": "de-1", "country": "DE", "subdivision": None, "operator_country": "DE",
        "parent_country": "DE", "trust": "verified", "hardware": "H100-SXM", "chip_origin": "US", "memory_gb": 80.0, "quantity": 8,
        "node_size": 1, "rate_micros": rate_micros, "firm": True, "uptime": 99.9, "slot_first": 0, "slot_end": 4, "latitude": None,
        "longitude": None, "zone": None, "watts": 700.0, "pue": 1.2, "energy_indexed": False, "certifications": ["c5"], "open_to": [],
        "closed_to": [],
    }  # fmt: skip
    return plain | facts


def small_book() -> MarketBook:
    """Two offers and no bids."""
    rules = MarketRules(currency="USD", start=START, slots=4)
    offers = pl.DataFrame([offer("ofr_a", 1 * USD), offer("ofr_b", 2 * USD)], schema=OFFERS.schema)
    return canonical_book(rules, {"offers": offers, "bids": BIDS.empty()})


def account(account_id: str, *, credit: int = 1000 * USD, plan_id: str = "metered") -> Account:
    """A buyer in DE without tax, who may owe 1,000 USD."""
    return Account(
        id=account_id, name=account_id, country="DE", parent_country="DE", plan_id=plan_id, currency="USD", tax_bps=1900, take_bps=100,
        credit_limit_micros=credit,
    )  # fmt: skip


def caller(account_id: str) -> Caller:
    """A caller who may do everything."""
    return Caller(account_id=account_id, account_name=account_id, scopes=frozenset({"bids:write", "leases:write", "usage:write", "read"}))


def request(**facts: object) -> BidRequest:
    """8 accelerators for 16 hours in the first four, spot, at up to 3.00."""
    plain = BidRequest(
        width=8,
        hours=16.0,
        window_start=START,
        window_end=START + timedelta(hours=4),
        hardware={"H100-SXM": 1.0},
        limit_spot_micros=3 * USD,
    )
    return msgspec.structs.replace(plain, **facts)


async def open_small_market(sessions: Sessions, *, lead: timedelta = timedelta(minutes=15)) -> tuple[Market, SimulatedClock]:
    """The market with its parties and offers, an hour before the gate, four hourly slots a cycle."""
    clock = SimulatedClock(GATE - timedelta(hours=1))
    timetable = Timetable(lead=lead, gate_interval=timedelta(hours=1), slots=4)
    async with unit_of_work(sessions) as work:
        accounts, supply = AccountRepository(work), BookRepository(work)
        await accounts.add_providers([Provider(id="prv_a", name="A", country="DE", kind="neocloud")])
        await accounts.add_plans({"metered": {"name": "Metered", "kind": "metered_cleared"}})
        await accounts.add_accounts([account("acct_a"), account("acct_b")])
        await supply.add_supply(small_book(), providers=["prv_a"], at=clock.now())
    return Market(sessions, clock=clock, timetable=timetable, hardware=[H100]), clock


def pass_time(market: Market, step: timedelta) -> None:
    """Move the market's clock on."""
    assert isinstance(market.clock, SimulatedClock)
    market.clock.advance(step)


def cycle_of(market: Market, worker: Executor | None = None) -> MarketCycle:
    """The market's cycle, cleared in a thread."""
    return market.cycle(worker or ThreadPoolExecutor(1))


class Tampering(Executor):
    """A worker whose result somebody has changed."""

    def __init__(self, change: Callable[[object], object]) -> None:
        self._change = change

    def submit(self, fn: Callable[..., T], /, *args: object, **kwargs: object) -> Future[T]:
        """The result of the work, changed."""
        done: Future[T] = Future()
        done.set_result(self._change(fn(*args, **kwargs)))
        return done
