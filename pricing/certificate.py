"""The certificate of a clearing: every claim a result makes, checked again from the book without a solver.

It shares no code with the paths that clear. Supply is counted again offer by offer, eligibility comes from the slow
reading of the policy, and optimality from the prices alone: a bound over all arcs that the welfare must meet.
"""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

import msgspec

from contracts.terms.clearing import Certificate, Check, Clearing
from contracts.terms.money import half_up
from contracts.terms.orders import MarketBook
from pricing.audit.bound import bound, welfare
from pricing.audit.ends import EndsOfTies
from pricing.audit.examination import Audit, count, examine, verdict
from pricing.audit.goods import check_goods
from pricing.audit.money import check_money
from pricing.audit.result import fit
from pricing.canonical import hashes_of, write_book_tables, write_result_tables
from pricing.merkle import result_root

NO_FILES: Mapping[str, str] = MappingProxyType({})


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a path says of its own result.

    path                   how it was found: convex, auction or exact
    approximate            whether prices are indicative: the gap is then stated, not required to be 0
    bound_integer_micros   branch and bound's claim for a book with blocks
    """

    path: str
    approximate: bool = False
    bound_integer_micros: int | None = None


def certify(
    book: MarketBook, clearing: Clearing, *, path: str, approximate: bool = False, bound_integer_micros: int | None = None
) -> Certificate:
    """Check every claim of a result against its book. Raises NotSupported for a block by work.

    A result that fails is still given its certificate, which then does not hold: it names what is wrong first.
    """
    claimed = clearing.bound_integer_micros if bound_integer_micros is None else bound_integer_micros
    claims = Claims(path=path, approximate=approximate, bound_integer_micros=claimed)
    counted = count(book)
    stock, bids = counted.stock, book.bids["bid_id"]
    layout, faults = fit(clearing, bids, stock=stock)
    fitting = verdict(
        "tables", faults, finding=f"the result speaks of {len(bids)} bids, {len(stock.offers)} offers and {len(stock.pools)} pools"
    )
    if layout is None:
        return _certificate(
            book, clearing, claims=claims, checks=[fitting], optimum=Optimum(made=Fraction(0), most=Fraction(0), lumpy=False)
        )
    audit = examine(counted, clearing, layout=layout, approximate=approximate)
    optimum = Optimum(made=welfare(audit), most=bound(audit, audit.layout.rates), lumpy=audit.demand.lumpy)
    checks = [fitting, *check_goods(audit), *check_money(audit), _check_gap(optimum, claims), *_check_ends(audit)]
    return _certificate(book, clearing, claims=claims, checks=checks, optimum=optimum)


def verify(book: MarketBook, clearing: Clearing, *, stored: Certificate, files: Mapping[str, str] = NO_FILES) -> Certificate:
    """Certify again and hold the stored certificate to it: hashes and every figure. Raises NotSupported as `certify`.

    files   table name → SHA-256 of the file it was read from, which a certificate may give instead of the table's own
    """
    fresh = certify(book, clearing, path=stored.path, approximate=stored.approximate, bound_integer_micros=stored.bound_integer_micros)
    changed = [name for name, was in sorted(stored.hashes.items()) if was not in (fresh.hashes.get(name), files.get(name))]
    unnamed = sorted(fresh.hashes.keys() - stored.hashes.keys())
    tables = [f"{name} is not the table that was certified" for name in changed] + [f"{name} was not certified" for name in unnamed]
    figures = [
        f"{name} is stated as {getattr(stored, name)}, it is {getattr(fresh, name)}"
        for name in FIGURES
        if getattr(fresh, name) != getattr(stored, name) and (name != "merkle_root" or stored.merkle_root)
    ]
    hashes = verdict("hashes", tables, finding=f"{len(fresh.hashes)} tables as certified")
    stated = verdict("figures", figures, finding=f"{len(FIGURES)} figures as stated")
    return msgspec.structs.replace(fresh, checks=(*fresh.checks, hashes, stated))


FIGURES = (
    "rules",
    "welfare_micros",
    "bound_micros",
    "gap",
    "lost_opportunity_micros",
    "paid_micros",
    "received_micros",
    "uplift_micros",
    "fee_micros",
    "transfer_micros",
    "merkle_root",
)


class Optimum(msgspec.Struct, frozen=True, kw_only=True):
    """Welfare made, and the most that the prices admit, exact micros; whether lumps (blocks, work) may lie between them."""

    made: Fraction
    most: Fraction
    lumpy: bool


def _check_gap(optimum: Optimum, claims: Claims) -> Check:
    made, most = optimum.made, optimum.most
    missing = most - made
    claimed = claims.bound_integer_micros
    if claimed is not None and half_up(made) > claimed:
        return verdict("bound", [f"welfare {half_up(made)} is above the {claimed} micros claimed by branch and bound"], finding="")
    text = f"welfare {half_up(made)}, no clearing can have more than {half_up(most)} micros"
    allowed = claims.approximate or optimum.lumpy
    return verdict("bound", [] if missing == 0 or (missing > 0 and allowed) else [f"{text}: {half_up(missing)} apart"], finding=text)


def _check_ends(audit: Audit) -> list[Check]:
    """With lumps the ends rest on the relaxation over columns, and an approximate result has none: their order is checked."""
    if audit.approximate or audit.demand.lumpy:
        return []
    return EndsOfTies(audit).check()


def _certificate(book: MarketBook, clearing: Clearing, *, claims: Claims, checks: list[Check], optimum: Optimum) -> Certificate:
    made, most = optimum.made, optimum.most
    outcomes, receipts = clearing.outcomes, clearing.receipts
    written = {**write_result_tables(clearing), **write_book_tables(book)}
    return Certificate(
        rules=book.rules.rules,
        path=claims.path,
        approximate=claims.approximate,
        welfare_micros=half_up(made),
        bound_micros=half_up(most),
        gap=float((most - made) / most) if most else 0.0,
        lost_opportunity_micros=half_up(most - made) if optimum.lumpy else 0,
        bound_integer_micros=claims.bound_integer_micros,
        paid_micros=int(clearing.awards["charge_micros"].sum()),
        received_micros=int(receipts["received_micros"].sum()),
        uplift_micros=int(outcomes["uplift_micros"].sum()) + int(receipts["uplift_micros"].sum()),
        fee_micros=int(outcomes["fee_micros"].sum()),
        transfer_micros=int(outcomes["transfer_micros"].sum()),
        checks=tuple(checks),
        hashes=hashes_of(written),
        merkle_root=result_root(written),
    )
