"""Indicative prices: the present book, cleared beside the market's own cycles and applied nowhere."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import timedelta
from time import monotonic

from broker.app import Market
from broker.services.indication import BUYERS_MIN, Indication, IndicativePrice, may_be_told
from broker.store.books import decode_book, encode_book
from broker.store.repositories.bids import BidRepository
from broker.store.repositories.book import BookRepository
from broker.store.unit_of_work import unit_of_work
from contracts.terms.money import MICROS_PER_CENT
from contracts.terms.orders import MarketBook
from contracts.terms.time import iso
from pricing.clearing import clear
from pricing.indicative import class_means

EVERY_SECONDS = 60.0
# Of the time of the process that clears, indications take a tenth at most.
REST = 9.0
# The process that clears is left alone when a gate is near.
QUIET = timedelta(seconds=60)
# A larger book is cleared by auction alone: near enough for a price nobody is bound by.
EXACT_BIDS = 5_000

Means = list[tuple[str, str, int, int]]


def means_of(data: bytes) -> Means:
    """Clear a stored book as the gate would, and say what sells at which mean: what the worker process runs."""
    book = decode_book(data)
    clearing = clear(book, path="auto" if book.bids.height <= EXACT_BIDS else "auction")
    return list(class_means(book, clearing, tick_micros=MICROS_PER_CENT).iter_rows())


class Indicator:
    """Works out the indications of one market, and remembers whose orders the last one was made of."""

    def __init__(self, market: Market, worker: Executor) -> None:
        self._market = market
        self._worker = worker
        self._known: Mapping[str, str] = {}

    async def work_out(self) -> Indication | None:
        """The indication of the next gate, shown from now on; None where the last one stands, as too few have moved or the gate is near.

        Raises ClearingFailed and NotSupported as a clearing does.
        """
        now, timetable = self._market.clock.now(), self._market.timetable
        gate = timetable.gate_after(now)
        if gate - now < QUIET:
            return None
        rules = timetable.rules(gate)
        async with unit_of_work(self._market.sessions) as work:
            repository = BidRepository(work)
            bids = await repository.open_between(rules.start, rules.grid.period(rules.slots - 1).end)
            buyers = {bid.id: bid.account_id for bid in bids}
            withdrawn = await repository.withdrawn([bid_id for bid_id in self._known if bid_id not in buyers])
            moved = [buyers[bid_id] for bid_id in buyers if bid_id not in self._known] + [self._known[bid_id] for bid_id in withdrawn]
            if not may_be_told(moved):
                return None
            book = await BookRepository(work).book(rules, bids, now=now)
        means = await self._means(book)
        prices = [
            IndicativePrice(hardware=hardware, tier=tier, rate_micros=rate) for hardware, tier, rate, count in means if count >= BUYERS_MIN
        ]
        indication = Indication(currency=rules.currency, gate_at=gate, worked_out_at=now, prices=prices)
        self._known = buyers
        self._market.indications.put(indication)
        return indication

    async def _means(self, book: MarketBook) -> Means:
        data = await asyncio.to_thread(encode_book, book)
        return await asyncio.get_running_loop().run_in_executor(self._worker, means_of, data)


async def keep_indicating(market: Market, worker: Executor, *, say: Callable[[str], None], every: float = EVERY_SECONDS) -> None:
    """Work out what the next gate would clear at, every so many seconds or more seldom where it takes long, until cancelled.

    Whatever goes wrong with it is told and nothing else: nobody is bound by it, and gates go on.
    """
    indicator = Indicator(market, worker)
    while True:
        began = monotonic()
        try:
            await indicator.work_out()
        except Exception as fault:  # noqa: BLE001 (told)
            say(f"{iso(market.clock.now())}  no indicative prices: {fault}")
        await asyncio.sleep(max(every, REST * (monotonic() - began)))
