"""What is worked out of the shipped world's last cycle, on its tables as they are; and a few mishaps."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypedDict

import polars as pl

from broker.clock import Clock
from broker.services.indication import Indications
from broker.services.market import MarketReader, MarketService
from broker.services.market_figures import CycleReader, FigureMemory, FiguresReader, MarketFigures, MarketMessage
from broker.services.market_views import CycleView
from broker.services.market_watch import MarketWatch
from broker.world import catalogue
from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook

SEEN = datetime(2027, 1, 14, 21, 30, tzinfo=UTC)
MISHAPS = [
    MarketMessage(kind="maintenance", at=SEEN + timedelta(days=1), until=SEEN + timedelta(days=1, hours=4), provider="Nebius"),
    MarketMessage(kind="outage", at=SEEN + timedelta(hours=1), provider="OVHcloud", site="ovh-gra", hardware="H100-SXM"),
    MarketMessage(
        kind="withdrawn", at=SEEN, provider="Hyperstack", site="hyperstack-norway-1", hardware="H100-PCIE", accelerators=32
    ),
]  # fmt: skip


class Cleared(CycleReader, MarketReader):
    """What a reader of cycles knows, and the book and result behind each."""

    def cleared(self, cycle: CycleView) -> tuple[MarketBook, Clearing]:
        """The book of a cycle, and what became of it."""
        raise NotImplementedError


class FakeFigures(FiguresReader):
    """The store's side on tables in memory."""

    def __init__(self, cycles: Cleared) -> None:
        self._cycles = cycles

    async def awarded(self, cycle: CycleView) -> pl.DataFrame:
        key = ["offer_id", "slot", "tier", "rate_micros"]
        return self._cycles.cleared(cycle)[1].awards.group_by(key).agg(pl.col("quantity").sum()).sort(key)

    async def pool_prices(self, cycle: CycleView, hardware: str) -> pl.DataFrame:
        return self._cycles.cleared(cycle)[1].prices.filter(pl.col("hardware") == hardware)

    async def messages(self, now: datetime, *, since: datetime, until: datetime) -> Sequence[MarketMessage]:
        return MISHAPS


class Shown(TypedDict):
    """The services of a market that show what a cycle was, and that it changed."""

    market: MarketService
    figures: MarketFigures
    watch: MarketWatch


def fake_figures(cycles: Cleared, indications: Indications, *, clock: Clock, every: timedelta) -> Shown:
    """All three, on the cycles of a reader and a gate every so often."""
    market = MarketService(cycles, clock, currency="USD", gate_interval=every, indications=indications)
    memory = FigureMemory(list(catalogue.hardware_classes().values()))
    return {
        "market": market,
        "figures": MarketFigures(FakeFigures(cycles), cycles, memory=memory, clock=clock),
        "watch": MarketWatch(market.pulse),
    }
