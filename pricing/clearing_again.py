"""Clearing a book again from the result of the one before: tables in, tables out, by `pricing.reclearing`."""

import msgspec
import numpy as np
import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.errors import BadInput, NotSupported
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.arrays import NEVER, Ints
from pricing.auction import Indication
from pricing.auction_proof import welfare_of
from pricing.clearing import GAP
from pricing.convex import Progress
from pricing.exact import finish
from pricing.network import Flow
from pricing.problem import CompiledBook, compile_book
from pricing.reclearing import carry_over, find_pairs, reclear
from pricing.residual import PriceRange
from pricing.results import settle_flow, tables


class Before(msgspec.Struct, frozen=True, eq=False):
    """What was cleared before: the book, and its result."""

    book: MarketBook
    clearing: Clearing


def clear_again(book: MarketBook, previous: Before, *, gap: float = GAP, progress: Progress) -> Clearing:
    """The awards and prices of a book that differs a little from one that was cleared: who is not concerned keeps what it holds.

    Within `gap` of the best, prices indicative; where neither that nor an auction comes so near, it is finished exactly. Nothing
    rests on the result before but how quickly this one is found: a certificate of it proves as much as any.
    Raises BadInput for a result of another book, or over other slots, NotSupported for a book of blocks or work.
    """
    if _grid(book) != _grid(previous.book):
        raise BadInput("a book is cleared again over the same slots", found=_grid(book), would_do=_grid(previous.book))
    compiled, before = compile_book(book), compile_book(previous.book)
    if compiled.demand.lumpy or before.demand.lumpy:
        raise NotSupported("a book with blocks or work is not cleared again; it is cleared from the beginning")
    holdings = carry_over(compiled, previous=before, found=_found(before, previous.clearing))
    found = reclear(compiled.network, holdings, gap=gap, progress=progress)
    if found.gap <= gap:
        result = tables(settle_flow(compiled, found.flow, ends=PriceRange(low=found.price, high=found.price)), book.rules)
        return msgspec.structs.replace(result, path="auction", approximate=True)
    progress("not near enough: finished exactly")
    flow, ends = finish(compiled.network, found, progress=progress)
    return msgspec.structs.replace(tables(settle_flow(compiled, flow, ends=ends), book.rules), path="exact")


def _grid(book: MarketBook) -> str:
    rules = book.rules
    return f"{rules.slots} slots of {rules.hours} h from {rules.start.isoformat()} in {rules.currency}"


def _found(compiled: CompiledBook, clearing: Clearing) -> Indication:
    """The tables of a result as what an auction on its book would have found. Raises BadInput when they are of another book."""
    flow = _flow(compiled, clearing.awards)
    price = np.full((len(TIERS), compiled.pools, compiled.slots), NEVER, dtype=np.int64)
    prices = clearing.prices
    pool = _places(prices["pool"], (pl.Series(compiled.supply.offer_ids), compiled.supply.pool_of))
    price[_tiers(prices), pool, prices["slot"].to_numpy()] = prices["rate_micros"].to_numpy()
    welfare = welfare_of(compiled.network, flow)
    return Indication(flow=flow, price=price, welfare=welfare, bound=welfare)


def _flow(compiled: CompiledBook, awards: pl.DataFrame) -> Flow:
    """Awards by pair of group and pool: what equal bids have of equal offers is one row."""
    group = _places(awards["bid_id"], (compiled.demand.bid_ids, compiled.demand.group_of))
    pool = _places(awards["offer_id"], (pl.Series(compiled.supply.offer_ids), compiled.supply.pool_of))
    pair = find_pairs(compiled.network, group, pool)
    if np.any(pair < 0):
        row = int(np.flatnonzero(pair < 0)[0])
        raise _foreign(f"bid {awards['bid_id'][row]} cannot have been served by offer {awards['offer_id'][row]}")
    rows = pl.DataFrame(
        {"pair": pair, "slot": awards["slot"].to_numpy(), "tier": _tiers(awards), "quantity": awards["quantity"].to_numpy()}
    )
    summed = rows.group_by("pair", "slot", "tier").agg(pl.col("quantity").sum()).sort("pair", "slot", "tier")
    return Flow(**{name: summed[name].to_numpy().astype(np.int64) for name in summed.columns})


def _places(ids: pl.Series, members: tuple[pl.Series, Ints]) -> Ints:
    """The place of each id (n,) among members: their ids, and the place of each. Raises BadInput for one that is not there."""
    known = pl.DataFrame({"id": members[0], "place": members[1]})
    found = pl.DataFrame({"id": ids}).join(known, on="id", how="left", maintain_order="left")["place"]
    if found.null_count():
        raise _foreign(f"it does not have {ids.filter(found.is_null())[0]}")
    places: Ints = found.to_numpy().astype(np.int64)
    return places


def _tiers(rows: pl.DataFrame) -> Ints:
    numbers: Ints = rows["tier"].replace_strict(TIERS, range(len(TIERS)), return_dtype=pl.Int64).to_numpy()
    return numbers


def _foreign(why: str) -> BadInput:
    return BadInput(f"the result is not of the book it came with: {why}", would_do="the directory it was cleared from")
