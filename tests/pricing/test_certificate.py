"""The certificate holds for what the clearing does, and for nothing else."""

import ast
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import pricing.certificate as certificate_module
from contracts.terms.clearing import Certificate, Clearing
from contracts.terms.orders import MarketBook
from contracts.terms.tables import AWARDS, OUTCOMES, PRICES, RECEIPTS, RESULT_TABLES, TRANSFER
from pricing.audit.bound import bound, welfare
from pricing.certificate import certify, verify
from pricing.clearing import clear
from tests.audits import audit_of
from tests.builders import Row, a_bid, an_offer, book, frame_of
from tests.oracles.clearing import plain, welfare_by_linear_programme
from tests.strategies_market import market_books
from tests.strategies_policy import policy_books

few = settings(max_examples=25, deadline=None)
some = settings(max_examples=50, deadline=None)


HERE = Path(certificate_module.__file__)
CHECKS = [*sorted(HERE.parent.joinpath("audit").glob("*.py")), HERE, HERE.with_name("merkle.py"), HERE.with_name("extract.py")]
MAY_IMPORT = {"audit", "canonical", "extract", "merkle", "policy"}


def failing(certificate: Certificate) -> set[str]:
    return {check.name for check in certificate.checks if not check.holds}


def changed(clearing: Clearing, table: str, *, row: int, by: dict[str, int]) -> Clearing:
    """A result with the columns of one row raised by something."""
    here = pl.int_range(pl.len()) == row
    columns = [pl.when(here).then(pl.col(name) + more).otherwise(pl.col(name)).alias(name) for name, more in by.items()]
    return msgspec.structs.replace(clearing, **{table: clearing.tables()[table].with_columns(columns)})


def scarce() -> MarketBook:
    """Ten accelerators at 1.00, headroom two from guaranteed; bids of 8 at 3.00 guaranteed, 6 at 2.00 spot, and one refused."""
    offers = [an_offer("o1", quantity=6, rate_micros=1_000_000), an_offer("o2", quantity=4, rate_micros=1_200_000)]
    bids = [
        a_bid("b1", width=8, limit_guaranteed_micros=3_000_000),
        a_bid("b2", width=6, limit_spot_micros=2_000_000),
        a_bid("b3", width=5, limit_spot_micros=1_500_000),
    ]
    return book(offers=offers, bids=bids, headroom_guaranteed=Decimal("0.2"), fee_bps=100)


def by_hand() -> Clearing:
    """What `scarce` clears to, worked out on paper.

    The fee takes 1 % off: worths 2,970,297 and 1,980,198 and 1,485,148. b1 has 8 (the limit is 10 − 2), b2 the other
    2 and would take more, so spot is b2's worth; guaranteed has no room left and b1 all it asks: between spot and its worth.
    """
    spot, guaranteed = 1_980_198, 2_475_247
    awards: list[Row] = [
        {"bid_id": "b1", "offer_id": "o1", "tier": "guaranteed", "quantity": 6, "rate_micros": guaranteed, "charge_micros": 6 * guaranteed},
        {"bid_id": "b1", "offer_id": "o2", "tier": "guaranteed", "quantity": 2, "rate_micros": guaranteed, "charge_micros": 2 * guaranteed},
        {"bid_id": "b2", "offer_id": "o2", "tier": "spot", "quantity": 2, "rate_micros": spot, "charge_micros": 2 * spot},
    ]
    ends = {"spot": (spot, spot), "standard": (spot, spot), "guaranteed": (spot, 2_970_297)}
    sold = {"spot": 2, "standard": 0, "guaranteed": 8}
    prices: list[Row] = [
        {
            "pool": "o1", "site": "north", "hardware": "GPU", "firm": True, "slot": 0, "tier": tier, "rate_micros": (low + high) // 2,
            "rate_low_micros": low, "rate_high_micros": high, "sold": sold[tier], "offered": 10,
        }
        for tier, (low, high) in sorted(ends.items())
    ]  # fmt: skip
    money = {"transfer_micros": 0, "uplift_micros": 0}
    outcomes: list[Row] = [
        {"bid_id": bid, "status": status, "hours": hours, "reference_hours": hours, "paid_micros": paid, "fee_micros": fee, "reason": why}
        | money
        for bid, status, hours, paid, fee, why in (
            ("b1", "filled", 8.0, 8 * guaranteed, 198_020, ""),
            ("b2", "partial", 2.0, 2 * spot, 39_604, ""),
            ("b3", "rejected", 0.0, 0, 0, "priced out"),
        )
    ]
    shares = {"o1": 2_376_235, "o2": 1_584_157}  # 8 × 495,049 by 6 : 4, the odd micro to the larger remainder
    receipts: list[Row] = [
        {
            "offer_id": offer, "sold": sold, "received_micros": sold * spot + shares[offer],
            "premium_micros": shares[offer], "uplift_micros": 0,
        }
        for offer, sold in (("o1", 6), ("o2", 4))
    ]  # fmt: skip
    slotted = [{"slot": 0, **row} for row in awards], [{"slot": 0, **row} for row in receipts]
    frames = zip((AWARDS, PRICES, OUTCOMES, RECEIPTS), (slotted[0], prices, outcomes, slotted[1]), strict=True)
    return Clearing(**{table.name: frame_of(table, rows, slots=1) for table, rows in frames})


def test_a_result_worked_out_by_hand_is_certified():
    """Welfare: 8 × 2.970297 + 2 × 1.980198 − 6 × 1.00 − 4 × 1.20 = 16.922772; the prices allow no more."""
    certificate = certify(scarce(), by_hand(), path="convex")
    assert failing(certificate) == set()
    assert certificate.welfare_micros == certificate.bound_micros == 16_922_772
    assert certificate.gap == 0


def test_the_clearing_finds_what_the_hand_found():
    for name, frame in clear(scarce()).tables().items():
        assert frame.equals(by_hand().tables()[name]), name


@pytest.mark.parametrize(
    ("table", "row", "by", "named"),
    [
        ("awards", 0, {"quantity": 1, "charge_micros": 2_475_247}, {"capacity", "tier limits", "bids"}),
        ("awards", 2, {"quantity": -1, "charge_micros": -1_980_198}, {"bound"}),
        ("awards", 0, {"charge_micros": 1}, {"charges", "paid is received"}),
        ("awards", 0, {"rate_micros": 1, "charge_micros": 6}, {"charges"}),
        ("prices", 0, {"rate_micros": 1}, {"prices", "charges"}),
        ("prices", 0, {"rate_low_micros": 1, "rate_high_micros": -1}, {"low ends", "high ends"}),
        ("prices", 0, {"rate_low_micros": -1}, {"prices", "low ends"}),
        ("prices", 0, {"rate_high_micros": 1}, {"high ends"}),
        ("prices", 1, {"sold": 1}, {"prices"}),
        ("prices", 1, {"offered": -1}, {"prices"}),
        ("receipts", 0, {"received_micros": 1}, {"receipts", "paid is received"}),
        ("receipts", 1, {"premium_micros": -1}, {"receipts"}),
        ("receipts", 1, {"uplift_micros": 1}, {"receipts", "uplift"}),
        ("outcomes", 1, {"fee_micros": 1}, {"outcomes"}),
        ("outcomes", 2, {"transfer_micros": 1}, {"outcomes"}),
    ],
)
def test_each_kind_of_lie_is_named(table: str, row: int, by: dict[str, int], named: set[str]):
    certificate = certify(scarce(), changed(by_hand(), table, row=row, by=by), path="convex")
    assert named <= failing(certificate)


def test_an_ineligible_award_is_named():
    """The same result, after the second offer turned out to stand where the first buyer may not be."""
    market = scarce()
    denied = pl.when(pl.col("bid_id") == "b1").then(pl.lit(["SE"])).otherwise(pl.col("countries"))
    stricter = msgspec.structs.replace(market, bids=market.bids.with_columns(denied.alias("countries")))
    certificate = certify(stricter, by_hand(), path="convex")
    assert "eligibility" in failing(certificate)
    assert "bid b1 is at offer o1 in slot 0 against countries" in str(certificate.checks)


@pytest.mark.parametrize(
    ("table", "column", "whose", "value", "named"),
    [
        ("bids", "width", "b1", 7, "bids"),
        ("bids", "hours", "b1", 7.5, "bids"),
        ("bids", "limit_guaranteed_micros", "b1", 2_400_000, "winners"),
        ("bids", "data_tb", "b1", 9.0, "outcomes"),
        ("offers", "rate_micros", "o2", 1_990_000, "providers"),
        ("offers", "quantity", "o1", 5, "capacity"),
        ("offers", "node_size", "o1", 3, "tier limits"),
        ("offers", "firm", "o1", False, "tables"),
    ],
)
def test_the_same_result_of_another_book_is_refused(table: str, column: str, whose: str, value: object, named: str):
    """One fact of the book differs from the one the result was cleared from."""
    market = book_with_data()
    frame = market.tables()[table]
    here = pl.col(frame.columns[0]) == whose
    other = frame.with_columns(pl.when(here).then(pl.lit(value, dtype=frame.schema[column])).otherwise(pl.col(column)).alias(column))
    assert failing(certify(market, by_hand(), path="convex")) == set()
    assert named in failing(certify(msgspec.structs.replace(market, **{table: other}), by_hand(), path="convex"))


def book_with_data() -> MarketBook:
    """`scarce`, with a tariff for data that nobody has yet."""
    tariff = [{"from_country": "SE", "to_country": "FR", "micros_per_tb": 1, "gbps": 1.0}]
    frame = frame_of(TRANSFER, tariff, slots=1)
    return msgspec.structs.replace(scarce(), transfer=frame, bids=scarce().bids.with_columns(data_country=pl.lit("SE")))


def test_a_dearer_offer_may_not_sell_before_a_cheaper_one():
    awards = by_hand().awards.with_columns(quantity=pl.Series([5, 3, 2]))
    swapped = msgspec.structs.replace(by_hand(), awards=awards)
    assert "offer o2 sold in slot 0 before a cheaper one of its pool" in str(certify(scarce(), swapped, path="convex").checks)


def test_of_equal_bids_the_earlier_is_served_first():
    """Two bids alike but for their time, one accelerator: given to the later one."""
    bids = [a_bid("b1", entered=5, limit_spot_micros=2_000_000), a_bid("b2", entered=3, limit_spot_micros=2_000_000)]
    market = book(offers=[an_offer()], bids=bids)
    right = clear(market)
    assert right.awards["bid_id"].to_list() == ["b2"]
    swap = pl.col("bid_id").replace({"b1": "b2", "b2": "b1"})
    wrong = msgspec.structs.replace(right, awards=right.awards.with_columns(swap), outcomes=right.outcomes.with_columns(swap))
    assert failing(certify(market, right, path="convex")) == set()
    assert failing(certify(market, wrong, path="convex")) == {"choice"}


def test_the_better_of_equal_tiers_is_served_while_it_has_room():
    market = book(offers=[an_offer()], bids=[a_bid("b1", limit_standard_micros=2_000_000, limit_spot_micros=2_000_000)])
    right = clear(market)
    assert right.awards["tier"].to_list() == ["standard"]
    moved = right.prices.with_columns(sold=pl.when(pl.col("tier") == "spot").then(1).otherwise(0).cast(pl.Int64))
    wrong = msgspec.structs.replace(right, awards=right.awards.with_columns(tier=pl.lit("spot")), prices=moved)
    assert "choice" in failing(certify(market, wrong, path="convex"))


def test_an_uplift_beyond_the_fund_is_named():
    market = msgspec.structs.replace(scarce(), rules=msgspec.structs.replace(scarce().rules, uplift_fund_micros=0))
    certificate = certify(market, changed(by_hand(), "outcomes", row=0, by={"uplift_micros": 1}), path="convex")
    assert "uplift of 1 micros is due, the fund holds 0" in str(certificate.checks)


@pytest.mark.parametrize(
    ("by", "finding"),
    [
        ({"rate_high_micros": 1}, "what bid b1 gains and pool o1, slot 0, guaranteed are too far apart by 1 micros"),
        ({"rate_high_micros": -1}, "pool o1, slot 0, guaranteed could be higher"),
        ({"rate_low_micros": 1}, "pool o1, slot 0, guaranteed could be lower"),
        ({"rate_low_micros": -1}, "are too far apart by 1 micros"),
    ],
)
def test_an_end_is_neither_too_far_nor_too_near(by: dict[str, int], finding: str):
    assert finding in str(certify(scarce(), changed(by_hand(), "prices", row=0, by=by), path="convex").checks)


@pytest.mark.parametrize(
    ("table", "rows", "finding"),
    [
        ("prices", pl.col("tier") != "spot", "prices lack o1, slot 0, spot"),
        ("outcomes", pl.col("bid_id") != "b3", "bid b3 has no outcome"),
        ("receipts", pl.col("offer_id") != "o2", "offer o2, slot 0 has no receipt"),
    ],
)
def test_a_missing_row_is_named(table: str, rows: pl.Expr, finding: str):
    short = msgspec.structs.replace(by_hand(), **{table: by_hand().tables()[table].filter(rows)})
    assert finding in str(certify(scarce(), short, path="convex").checks)


def test_strangers_and_doubles_are_named_before_anything_else():
    awards = by_hand().awards
    stranger = msgspec.structs.replace(by_hand(), awards=awards.with_columns(offer_id=pl.lit("o9")))
    double = msgspec.structs.replace(by_hand(), awards=pl.concat([awards, awards]))
    assert "awards names o9, which is not in the book" in str(certify(scarce(), stranger, path="convex").checks)
    assert failing(certify(scarce(), double, path="convex")) == {"tables"}


@pytest.mark.parametrize(
    ("table", "change", "finding"),
    [
        ("outcomes", {"bid_id": pl.lit("b9")}, "outcomes names b9, which is not in the book"),
        ("awards", {"tier": pl.lit("gold")}, "awards names gold, which is not in the book"),
        ("prices", {"pool": pl.lit("o9")}, "prices names o9, which is not in the book"),
        ("receipts", {"slot": pl.lit(-1)}, "receipts names slot -1"),
        ("awards", {"quantity": pl.lit(0)}, "an award grants nothing"),
        ("prices", {"slot": pl.lit(None)}, "prices has an empty cell"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(table: str, change: dict[str, pl.Expr], finding: str):
    frame = by_hand().tables()[table]
    odd = frame.with_columns(**{name: cell.cast(frame.schema[name]) for name, cell in change.items()})
    certificate = certify(scarce(), msgspec.structs.replace(by_hand(), **{table: odd}), path="convex")
    assert failing(certificate) == {"tables"}
    assert finding in str(certificate.checks)


@pytest.mark.parametrize("table", ["awards", "prices", "outcomes", "receipts"])
def test_no_row_is_there_twice(table: str):
    frame = by_hand().tables()[table]
    double = msgspec.structs.replace(by_hand(), **{table: pl.concat([frame, frame.tail(1)])})
    assert f"{table} has a row twice" in str(certify(scarce(), double, path="convex").checks)


def test_a_worse_book_of_awards_fails_the_bound_alone():
    """Nothing sold at all, priced as nothing sold: every line adds up, but welfare is left lying."""
    empty = {table.name: table.empty() for table in RESULT_TABLES}
    prices = by_hand().prices.with_columns(pl.lit(1_000_000).alias(name) for name in ("rate_micros", "rate_low_micros", "rate_high_micros"))
    outcomes = by_hand().outcomes.with_columns(
        status=pl.lit("rejected"), reason=pl.lit("priced out"), hours=0.0, reference_hours=0.0, paid_micros=0, fee_micros=0
    )
    nothing = Clearing(**empty | {"prices": prices.with_columns(sold=0), "outcomes": outcomes.cast(OUTCOMES.schema)})  # type: ignore[arg-type]
    nothing = msgspec.structs.replace(nothing, prices=nothing.prices.cast(PRICES.schema))  # type: ignore[arg-type]
    assert {"bound"} <= failing(certify(scarce(), nothing, path="convex")) <= {"bound", "high ends", "low ends"}


def test_an_approximate_result_states_its_gap():
    """Prices no longer the middle of a range but one vector, a little off: the gap is above 0 and stated."""
    market = book(offers=[an_offer(quantity=2)], bids=[a_bid("b1", limit_spot_micros=2_000_000)])
    off = clear(market)
    ends = ("rate_micros", "rate_low_micros", "rate_high_micros")
    off = msgspec.structs.replace(off, prices=off.prices.with_columns(pl.col(ends) + 100))
    off = changed(off, "awards", row=0, by={"rate_micros": 100, "charge_micros": 100})
    off = changed(off, "receipts", row=0, by={"received_micros": 100})
    off = changed(off, "outcomes", row=0, by={"paid_micros": 100})
    assert failing(certify(market, off, path="auction")) == {"bound", "low ends", "high ends"}
    approximate = certify(market, off, path="auction", approximate=True)
    assert approximate.holds
    assert approximate.bound_micros == 1_000_100
    assert approximate.gap == pytest.approx(100 / 1_000_100)


@some
@given(market_books())
def test_every_clearing_is_certified(market: MarketBook):
    certificate = certify(market, clear(market), path="convex")
    assert failing(certificate) == set()
    assert certificate.paid_micros == certificate.received_micros
    assert certificate.welfare_micros == certificate.bound_micros


@few
@given(policy_books())
def test_every_clearing_under_every_policy_is_certified(market: MarketBook):
    assert failing(certify(market, clear(market), path="convex")) == set()


@some
@given(market_books(), st.data())
def test_no_number_of_a_result_may_differ_by_one(market: MarketBook, data: st.DataObject):
    clearing = clear(market)
    name = data.draw(st.sampled_from([name for name, frame in clearing.tables().items() if frame.height]))
    frame = clearing.tables()[name]
    columns = [column for column, kind in frame.schema.items() if kind.is_numeric() and column != "slot"]
    by = {data.draw(st.sampled_from(columns)): data.draw(st.sampled_from((-1, 1)))}
    lie = changed(clearing, name, row=data.draw(st.integers(0, frame.height - 1)), by=by)
    assert not certify(market, lie, path="convex").holds


@some
@given(market_books(), st.data())
def test_no_pair_of_ends_may_move_with_its_middle(market: MarketBook, data: st.DataObject):
    clearing = clear(market)
    assume(clearing.prices.height)
    row = data.draw(st.integers(0, clearing.prices.height - 1))
    step = data.draw(st.sampled_from((-1, 1)))
    assert not certify(
        market, changed(clearing, "prices", row=row, by={"rate_low_micros": step, "rate_high_micros": -step}), path="convex"
    ).holds


@few
@given(market_books(), st.data())
def test_no_prices_promise_less_than_the_optimum(market: MarketBook, data: st.DataObject):
    """Weak duality, against a linear programme: at any prices with premiums ≥ 0 the bound is at least the best welfare."""
    audit = audit_of(market)
    steps = [data.draw(st.lists(st.integers(0, 900), min_size=3, max_size=3)) for _ in range(audit.layout.rates[..., 0].size)]
    shape = audit.layout.rates.shape
    prices = np.array(steps).cumsum(axis=1)[:, ::-1].reshape(shape)
    best = Fraction(welfare_by_linear_programme(plain(market))) * market.rules.hours
    assert bound(audit, prices) >= best - Fraction(1, 1000)
    assert float(welfare(audit)) == pytest.approx(float(best), abs=1e-3)


def test_a_stored_certificate_is_held_to_its_figures_and_hashes():
    market, clearing = scarce(), by_hand()
    stored = certify(market, clearing, path="convex")
    assert verify(market, clearing, stored=stored).holds
    boast = msgspec.structs.replace(stored, welfare_micros=stored.welfare_micros + 1)
    assert failing(verify(market, clearing, stored=boast)) == {"figures"}
    other = msgspec.structs.replace(stored, hashes={**stored.hashes, "bids": "0" * 64})
    assert failing(verify(market, clearing, stored=other)) == {"hashes"}
    assert verify(market, clearing, stored=other, files={"bids": "0" * 64}).holds


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: path.stem)
def test_the_checks_import_nothing_from_the_paths(path: Path):
    """Only other checks, the slow policy and the hashes: a mistake of the clearing cannot be theirs too."""
    modules = {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    within = {module.split(".")[1].split("_")[0] for module in modules if module.startswith("pricing.")}
    assert within <= MAY_IMPORT
