"""The laws of a clearing, on small random markets, against oracles that share nothing with it."""

from decimal import Decimal
from fractions import Fraction
from math import inf
from random import Random

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.clearing import Clearing
from contracts.terms.money import half_up
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.arrays import NEVER
from pricing.clearing import clear
from pricing.convex import optimum
from pricing.problem import build
from pricing.residual import BOUNDED, PriceRange, price_range
from tests.oracles.clearing import PlainMarket, best_welfare_by_hand, dual_prices, plain, welfare_by_linear_programme
from tests.oracles.glop import welfare_by_glop
from tests.strategies_market import market_books, tiny_books

few = settings(max_examples=25, deadline=None)
some = settings(max_examples=40, deadline=None)


def welfare(book: MarketBook, market: PlainMarket | None = None) -> int:
    """Σ (worth − rate)·x of the awards, per slot-hour, worth read by the oracle. An ineligible award is a KeyError."""
    market = market or plain(book)
    total = 0
    for bid, offer, slot, tier, quantity, *_ in clear(book).awards.iter_rows():
        total += (market.want[bid, offer, slot, TIERS.index(tier)] - market.cost[offer, slot]) * quantity
    return total


@few
@given(tiny_books())
def test_no_whole_allocation_is_better(book: MarketBook):
    market = plain(book)
    if len(market.want) <= 7:
        assert welfare(book, market) == best_welfare_by_hand(market)


@some
@given(market_books())
def test_welfare_is_that_of_the_relaxed_book(book: MarketBook):
    market = plain(book)
    assert welfare(book, market) == pytest.approx(welfare_by_linear_programme(market), abs=1e-4)


@settings(max_examples=3, deadline=None)
@given(st.lists(market_books(), min_size=25, max_size=25))
def test_welfare_is_what_another_solver_finds(books: list[MarketBook]):
    """GLOP, in a process of its own, on the book as it is written: no pools, no groups, no reductions."""
    markets = [plain(book) for book in books]
    for book, market, optimum_found in zip(books, markets, welfare_by_glop(markets), strict=True):
        assert welfare(book, market) == pytest.approx(optimum_found, abs=1e-4)


@few
@given(market_books(offers_max=4, bids_max=4))
def test_both_ends_of_every_traded_price_are_those_of_the_dual(book: MarketBook):
    market = plain(book)
    ends = dual_prices(market)
    prices = clear(book).prices
    traded = {(pool, slot) for pool, slot, sold in prices.select("pool", "slot", "sold").iter_rows() if sold}
    for row in prices.iter_rows(named=True):
        if (row["pool"], row["slot"]) not in traded:
            continue
        low, high = ends[(row["site"], row["hardware"], row["firm"]), row["slot"], row["tier"]]
        assert low > -inf
        assert high < inf
        assert (row["rate_low_micros"], row["rate_high_micros"]) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))
        assert row["rate_micros"] == (row["rate_low_micros"] + row["rate_high_micros"]) // 2


@some
@given(market_books())
def test_nobody_trades_at_a_loss(book: MarketBook):
    market, result = plain(book), clear(book)
    spot = {
        (pool, slot): rate
        for pool, slot, tier, rate in result.prices.select("pool", "slot", "tier", "rate_micros").iter_rows()
        if tier == "spot"
    }
    name_of = _pool_names(market)
    for bid, offer, slot, tier, _, rate, _ in result.awards.iter_rows():
        assert rate <= market.want[bid, offer, slot, TIERS.index(tier)]
        assert market.cost[offer, slot] <= spot[name_of[offer], slot] <= rate


@some
@given(market_books())
def test_what_buyers_pay_is_what_providers_receive(book: MarketBook):
    result = clear(book)
    name_of = _pool_names(plain(book))
    hours = book.rules.hours
    for row in result.awards.iter_rows(named=True):
        assert row["charge_micros"] == half_up(hours * row["rate_micros"] * row["quantity"])
    assert _by_place(result.awards, "charge_micros", name_of) == _by_place(result.receipts, "received_micros", name_of)
    paid = dict(result.awards.group_by("bid_id").agg(pl.col("charge_micros").sum()).iter_rows())
    for bid, micros, fee in result.outcomes.select("bid_id", "paid_micros", "fee_micros").iter_rows():
        assert micros == paid.get(bid, 0)
        assert fee == half_up(Fraction(micros * book.rules.fee_bps, 10_000))


@some
@given(market_books())
def test_awards_fit_the_book_and_prices_count_them(book: MarketBook):
    market, result = plain(book), clear(book)
    sold = result.awards.group_by("offer_id", "slot").agg(pl.col("quantity").sum())
    assert all(quantity <= market.stock[offer, slot] for offer, slot, quantity in sold.iter_rows())
    assert sold.sort("offer_id", "slot").rows() == result.receipts.filter(pl.col("sold") > 0).select("offer_id", "slot", "sold").rows()
    for (pool, slot), (guaranteed, standard) in market.limit.items():
        members = [offer for offer in market.pool if market.pool[offer] == pool]
        there = result.awards.filter(pl.col("offer_id").is_in(members), pl.col("slot") == slot)
        by_tier = {tier: int(there.filter(pl.col("tier") == tier)["quantity"].sum()) for tier in TIERS}
        assert by_tier["guaranteed"] <= guaranteed
        assert by_tier["guaranteed"] + by_tier["standard"] <= standard
        rows = result.prices.filter(pl.col("pool") == min(members), pl.col("slot") == slot)
        assert {tier: rows.filter(pl.col("tier") == tier)["sold"].sum() for tier in TIERS} == by_tier
        stock = sum(market.stock[offer, slot] for offer in members)
        there_is_room = {"spot": True, "standard": standard > 0, "guaranteed": guaranteed > 0 and standard > 0}
        assert rows["tier"].to_list() == sorted(tier for tier in TIERS if stock and there_is_room[tier])
        assert rows["offered"].to_list() == [stock] * rows.height


@some
@given(market_books())
def test_better_tiers_cost_no_less_and_quiet_pools_show_their_lowest_rate(book: MarketBook):
    market, prices = plain(book), clear(book).prices
    name_of = _pool_names(market)
    for (pool, slot), rows in prices.group_by("pool", "slot"):
        ends = {row["tier"]: row for row in rows.iter_rows(named=True)}
        chain = [ends[tier] for tier in reversed(TIERS) if tier in ends]
        for column in ("rate_low_micros", "rate_micros", "rate_high_micros"):
            assert [row[column] for row in chain] == sorted(row[column] for row in chain)
        assert all(row["rate_low_micros"] <= row["rate_micros"] <= row["rate_high_micros"] for row in chain)
        if not sum(row["sold"] for row in chain):
            lowest = min(market.cost[o, slot] for o in name_of if name_of[o] == pool and market.stock[o, slot])
            assert {row[end] for row in chain for end in ("rate_low_micros", "rate_high_micros")} == {lowest}


@some
@given(market_books())
def test_a_later_equal_gets_nothing_an_earlier_could_still_use(book: MarketBook):
    result = clear(book)
    got: dict[tuple[str, int], int] = {}
    for bid, slot, quantity in result.awards.select("bid_id", "slot", "quantity").iter_rows():
        got[bid, slot] = got.get((bid, slot), 0) + quantity
    width = dict(book.bids.select("bid_id", "width").iter_rows())
    market = plain(book)
    alike: dict[str, list[str]] = {}
    for row in book.bids.sort("entered_at", "bid_id").iter_rows(named=True):
        alike.setdefault(str({k: v for k, v in row.items() if k not in {"bid_id", "buyer", "entered_at"}}), []).append(row["bid_id"])
    for queue in alike.values():
        for place, earlier in enumerate(queue):
            total = sum(got.get((earlier, slot), 0) for slot in range(book.rules.slots))
            for later in queue[place + 1 :]:
                for slot in range(book.rules.slots):
                    if got.get((later, slot), 0):
                        assert got.get((earlier, slot), 0) == width[earlier] or total == market.units[earlier]


@some
@given(market_books())
def test_nobody_sits_below_a_tier_that_costs_the_same_and_has_room(book: MarketBook):
    market, result = plain(book), clear(book)
    name_of = _pool_names(market)
    price = {
        (pool, slot, tier): (rate, sold)
        for pool, slot, tier, rate, sold in result.prices.select("pool", "slot", "tier", "rate_micros", "sold").iter_rows()
    }
    for bid, offer, slot, tier, *_ in result.awards.iter_rows():
        pool = name_of[offer]
        guaranteed, standard = market.limit[market.pool[offer], slot]
        sold = [price.get((pool, slot, word), (0, 0))[1] for word in TIERS]
        for better in range(TIERS.index(tier)):
            same = market.want.get((bid, offer, slot, better)) == market.want[bid, offer, slot, TIERS.index(tier)]
            if same and price[pool, slot, TIERS[better]][0] == price[pool, slot, tier][0]:
                room = [guaranteed - sold[0], standard - sold[0] - sold[1]][better : TIERS.index(tier)]
                assert min(room) == 0


@pytest.mark.parametrize("path", ["auto", "exact", "auction"])
@few
@given(market_books(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(path: str, book: MarketBook, random: Random):
    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        return frame[random.sample(range(frame.height), frame.height)]

    mixed = msgspec.structs.replace(book, **{name: shuffled(frame) for name, frame in book.tables().items()})
    _same(clear(book, path=path, gap=0.2), clear(mixed, path=path, gap=0.2))


@few
@given(market_books())
def test_a_replay_gives_the_same_frames(book: MarketBook):
    _same(clear(book, path="auto"), clear(book, path="convex"))


@some
@given(market_books(), st.data())
def test_more_supply_raises_neither_end_of_any_price(book: MarketBook, data):
    """Tier limits stay as they are, since what is added is not firm."""
    market = plain(book)
    spare = book.offers.filter(~pl.col("firm") & (pl.col("quantity") > 0))["offer_id"].to_list()
    spare = [offer for offer in spare if all(market.stock[offer, slot] for slot in range(book.rules.slots))]
    if not spare:
        return
    chosen = data.draw(st.sampled_from(spare))
    grown = pl.col("quantity") + pl.when(pl.col("offer_id") == chosen).then(1).otherwise(0)
    more = msgspec.structs.replace(book, offers=book.offers.with_columns(grown), offer_slots=book.offer_slots.with_columns(grown))
    before, after = _range(book), _range(more)
    assert (after.low <= before.low).all()
    assert (after.high <= before.high).all()


@some
@given(market_books(), st.data())
def test_a_new_offer_that_bears_no_promise_raises_neither_end(book: MarketBook, data):
    """An interruptible offer in a pool that has some: all it can change is how much there is, at some rate."""
    loose = book.offers.filter(~pl.col("firm") & (pl.col("slot_first") == 0))
    if loose.is_empty():
        return
    twin = loose[data.draw(st.integers(0, loose.height - 1))]
    rate = data.draw(st.integers(1, 8).map(lambda step: step * 100))
    new = twin.with_columns(offer_id=pl.lit("zz"), quantity=pl.lit(2, dtype=pl.Int64), rate_micros=pl.lit(rate, dtype=pl.Int64))
    # Its pool keeps its name and row since the new offer's id comes last.
    before, after = _range(book), _range(msgspec.structs.replace(book, offers=pl.concat([book.offers, new])))
    assert (after.low <= before.low).all()
    assert (after.high <= before.high).all()


@few
@given(market_books(), st.sampled_from(("headroom_standard", "headroom_guaranteed")))
def test_more_headroom_never_raises_welfare(book: MarketBook, name: str):
    more = msgspec.structs.replace(book.rules, **{name: min(Decimal(1), getattr(book.rules, name) + Decimal("0.3"))})
    assert welfare(msgspec.structs.replace(book, rules=more)) <= welfare(book)


@few
@given(market_books(), st.data())
def test_one_bid_more_never_lowers_welfare_nor_one_offer_less_raises_it(book: MarketBook, data):
    bid = data.draw(st.sampled_from(book.bids["bid_id"].to_list()))
    assert welfare(msgspec.structs.replace(book, bids=book.bids.filter(pl.col("bid_id") != bid))) <= welfare(book)
    loose = book.offers.filter(~pl.col("firm"))["offer_id"].to_list()
    if loose and book.offers.height > 1:
        gone = pl.col("offer_id") != data.draw(st.sampled_from(loose))
        left = {name: getattr(book, name).filter(gone) for name in ("offers", "offer_slots", "commitments")}
        assert welfare(msgspec.structs.replace(book, **left)) <= welfare(book)


@few
@given(market_books(), st.sampled_from(("countries", "certifications", "hardware")))
def test_a_tighter_policy_never_raises_welfare(book: MarketBook, column: str):
    """The first bid asks for something nobody has, or gives up a class of hardware."""
    first = pl.col("bid_id") == book.bids["bid_id"][0]
    tighter = pl.col(column).list.head(1) if column == "hardware" else pl.lit(["XX"])
    asked = book.bids.with_columns(pl.when(first).then(tighter).otherwise(pl.col(column)).alias(column))
    assert welfare(msgspec.structs.replace(book, bids=asked), plain(book)) <= welfare(book)


@few
@given(market_books(), st.sampled_from((3, 1000)))
def test_rates_and_limits_in_another_unit_give_the_same_welfare(book: MarketBook, unit: int):
    """Without a fee and with whole factors nothing is rounded: welfare and both ends of every price scale with the unit.

    Which of several equally good awards are chosen may differ, and with it the quiet pools that show an offer's rate.
    """
    limits = [f"limit_{tier}_micros" for tier in TIERS]
    plain_rules = msgspec.structs.replace(book.rules, fee_bps=0, slot_hours=Decimal(1))
    whole = book.bids.with_columns(pl.col("hardware").list.eval(pl.element().str.replace(":.*", ":1")))
    base = msgspec.structs.replace(book, rules=plain_rules, bids=whole)
    scaled = msgspec.structs.replace(
        base,
        offers=base.offers.with_columns(pl.col("rate_micros") * unit),
        offer_slots=base.offer_slots.with_columns(pl.col("rate_micros") * unit),
        bids=base.bids.with_columns(pl.col(limits) * unit),
    )
    assert welfare(scaled) == unit * welfare(base)
    for ours, theirs in zip(_ends(_range(base)), _ends(_range(scaled)), strict=True):
        assert [end * unit if abs(end) < BOUNDED else end for end in ours] == theirs


def _ends(prices: PriceRange) -> tuple[list[int], list[int]]:
    return prices.low.ravel().tolist(), prices.high.ravel().tolist()


def _range(book: MarketBook) -> PriceRange:
    """Both ends before the rule for quiet pools; unbounded ends as ±NEVER."""
    problem = build(book)
    ends = price_range(problem, optimum(problem, lambda _: None))
    low, high = ends.low.copy(), ends.high.copy()
    low[low < -BOUNDED], high[high > BOUNDED] = -NEVER, NEVER
    return PriceRange(low=low, high=high)


def _pool_names(market: PlainMarket) -> dict[str, str]:
    return {offer: min(other for other, pool in market.pool.items() if pool == market.pool[offer]) for offer in market.pool}


def _by_place(frame: pl.DataFrame, column: str, name_of: dict[str, str]) -> dict[tuple[str, int], int]:
    total: dict[tuple[str, int], int] = {}
    for offer, slot, micros in frame.select("offer_id", "slot", column).iter_rows():
        total[name_of[offer], slot] = total.get((name_of[offer], slot), 0) + micros
    return total


def _same(one: Clearing, other: Clearing) -> None:
    for name, frame in one.tables().items():
        assert frame.equals(other.tables()[name]), name
