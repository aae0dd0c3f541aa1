"""Small markets for property tests: coarse rates and limits so that ties are common, every rule of supply in play."""

from decimal import Decimal

import msgspec
import polars as pl
from hypothesis import strategies as st

from contracts.terms.orders import MarketBook
from contracts.terms.tables import BIDS, TIERS
from tests.builders import Row, a_bid, an_offer, book, frame_of

SITES = ("north", "south")
CLASSES = ("GPU", "TPU")
FACTORS = ("1", "0.5", "1.25", "0.9")


@st.composite
def market_books(draw: st.DrawFn, *, offers_max: int = 5, bids_max: int = 6, slots_max: int = 3) -> MarketBook:
    """A book of flexible bids without data, carbon or energy: what the oracles can read."""
    slots = draw(st.integers(1, slots_max))
    slot_hours = draw(st.sampled_from(("1", "1", "0.25")))
    offers = [draw(_offers(f"o{number}", slots)) for number in range(draw(st.integers(1, offers_max)))]
    bids = [draw(_bids(f"b{number}", slots, hours=float(slot_hours))) for number in range(draw(st.integers(1, bids_max)))]
    bids += [draw(_twins(bids[0], number)) for number in range(draw(st.integers(0, 2)))]
    names = [str(row["offer_id"]) for row in offers]
    return book(
        offers=offers,
        bids=bids,
        around={"offer_slots": draw(_overrides(names, slots)), "commitments": draw(_leases(offers, slots))},
        slots=slots,
        slot_hours=Decimal(slot_hours),
        headroom_standard=Decimal(draw(st.sampled_from(("0", "0.05", "0.25")))),
        headroom_guaranteed=Decimal(draw(st.sampled_from(("0", "0.2", "0.5")))),
        call_ceiling=Decimal(draw(st.sampled_from(("1", "1.5", "3")))),
        fee_bps=draw(st.sampled_from((0, 25, 1000))),
    )


@st.composite
def block_books(draw: st.DrawFn, *, fund: st.SearchStrategy[int] | None = None) -> MarketBook:
    """A small book with one to three blocks among its bids, perhaps equal ones, and an uplift fund."""
    market = draw(market_books(offers_max=4, bids_max=2))
    slots, hours = market.rules.slots, float(market.rules.slot_hours)
    rows = [draw(_blocks(f"k{number}", slots, hours=hours)) for number in range(draw(st.integers(1, 2)))]
    rows += [draw(_twins(rows[0], number)) | {"bid_id": f"ktwin{number}"} for number in range(draw(st.integers(0, 1)))]
    bids = pl.concat([market.bids, frame_of(BIDS, rows, slots=slots)]).sort("bid_id")
    rules = msgspec.structs.replace(market.rules, uplift_fund_micros=None if fund is None else draw(fund))
    return msgspec.structs.replace(market, bids=bids, rules=rules)


@st.composite
def work_books(draw: st.DrawFn, *, base: st.SearchStrategy[MarketBook], fund: st.SearchStrategy[int] | None = None) -> MarketBook:
    """A book of the base in which some flexible bids, one at least, are by work, and an uplift fund."""
    market = draw(base)
    flexible = market.bids["kind"] == "flexible"
    chosen = draw(st.lists(st.booleans(), min_size=market.bids.height, max_size=market.bids.height).filter(any))
    by_work = pl.Series(chosen) & flexible
    turned = market.bids.with_columns(semantics=pl.when(by_work if by_work.any() else flexible).then(pl.lit("work")).otherwise("semantics"))
    rules = msgspec.structs.replace(market.rules, uplift_fund_micros=None if fund is None else draw(fund))
    return msgspec.structs.replace(market, bids=turned, rules=rules)


def _blocks(name: str, slots: int, *, hours: float) -> st.SearchStrategy[Row]:
    runs = st.integers(1, slots)
    return st.tuples(_bids(name, slots, hours=hours), st.integers(2, 4), runs).map(
        lambda drawn: {**drawn[0], "kind": "block", "width": drawn[1], "hours": drawn[1] * drawn[2] * hours, "slot_first": 0}
    )


def tiny_books() -> st.SearchStrategy[MarketBook]:
    """Books so small that every allocation can be tried."""
    return market_books(offers_max=2, bids_max=2, slots_max=1)


def _offers(name: str, slots: int) -> st.SearchStrategy[Row]:
    window = st.tuples(st.integers(0, slots), st.integers(0, slots))
    return st.builds(
        lambda site, hardware, firm, quantity, node, rate, span: an_offer(
            name,
            site=site,
            hardware=hardware,
            firm=firm,
            quantity=quantity,
            node_size=node,
            rate_micros=rate,
            slot_first=min(span) if max(span) == slots else 0,
            slot_end=slots,
        ),
        st.sampled_from(SITES),
        st.sampled_from(CLASSES),
        st.booleans(),
        st.integers(1, 4),
        st.integers(1, 2),
        st.integers(1, 6).map(lambda step: step * 101),
        window,
    )


def _bids(name: str, slots: int, *, hours: float) -> st.SearchStrategy[Row]:
    limit = st.none() | st.integers(1, 8).map(lambda step: step * 100)
    return st.builds(
        lambda width, share, entered, first, limits, factors: a_bid(
            name,
            width=width,
            hours=max(1, round(width * slots * share)) * hours,
            entered=entered,
            slot_first=first,
            **{f"limit_{tier}_micros": value for tier, value in zip(TIERS, limits, strict=True)},
            hardware=[f"{hardware}:{factor}" for hardware, factor in factors.items()],
        ),
        st.integers(1, 3),
        st.sampled_from((0.3, 0.7, 1.0)),
        st.integers(0, 3),
        st.integers(0, slots - 1),
        st.tuples(limit, limit, limit),
        st.dictionaries(st.sampled_from(CLASSES), st.sampled_from(FACTORS), min_size=1),
    )


def _twins(bid: Row, number: int) -> st.SearchStrategy[Row]:
    """The same bid again, from another buyer at another time."""
    return st.integers(0, 3).map(lambda entered: {**bid, **_who(number), "entered_at": a_bid(entered=entered)["entered_at"]})


def _who(number: int) -> Row:
    return {"bid_id": f"twin{number}", "buyer": f"buyer{number}"}


def _overrides(names: list[str], slots: int) -> st.SearchStrategy[list[Row]]:
    row = st.fixed_dictionaries({"quantity": st.integers(0, 4), "rate_micros": st.integers(1, 6).map(lambda step: step * 101)})
    keys = st.tuples(st.sampled_from(names), st.integers(0, slots - 1))
    return st.dictionaries(keys, row, max_size=2).map(
        lambda rows: [{"offer_id": key[0], "slot": key[1], **row} for key, row in rows.items()]
    )


def _leases(offers: list[Row], slots: int) -> st.SearchStrategy[list[Row]]:
    """Leases of one accelerator; what is not firm was leased at spot."""
    keys = st.tuples(
        st.sampled_from(offers).map(lambda row: (row["offer_id"], row["firm"])), st.integers(0, slots - 1), st.sampled_from(TIERS)
    )
    return st.lists(keys, max_size=2, unique_by=lambda key: (key[0], key[1])).map(
        lambda found: [
            {"lease_id": f"l{number}", "offer_id": offer, "slot": slot, "tier": tier if firm else "spot", "quantity": 1}
            for number, ((offer, firm), slot, tier) in enumerate(found)
        ]
    )
