"""Builders: a market's book in a few words, with whatever the test does not care about filled in.

    book(offers=[an_offer("a", quantity=8, rate_micros=1_000_000)],
         bids=[a_bid("x", width=4, limit_spot_micros=3_000_000)])

An offer is firm, of class GPU at site `north`, one accelerator at 1.00; a bid wants one accelerator of
class GPU for one hour of slot 0 at any tier it names a limit for. Headroom and fee are nothing unless said.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from contracts.terms.orders import MarketBook, MarketRules, canonical_book
from contracts.terms.tables import BIDS, COMMITMENTS, LATENCY, OFFER_SLOTS, OFFERS, TRANSFER, ZONES, Table

START = datetime(2027, 1, 1, tzinfo=UTC)
GPU = "GPU"

Cell = Any
Row = dict[str, Cell]


def an_offer(offer_id: str = "o1", **fields: Cell) -> Row:
    """A row of `offers`; country FR unless said."""
    usual: Row = {"provider": "prv", "site": "north", "country": "FR", "hardware": GPU, "quantity": 1, "rate_micros": 1_000_000}
    return {"offer_id": offer_id, **usual, **fields}


def a_bid(bid_id: str = "b1", *, entered: int = 0, **fields: Cell) -> Row:
    """A row of `bids`, entered so many seconds after the first; its hours are its width over one hour unless said."""
    usual: Row = {
        "buyer": "buyer",
        "buyer_country": "FR",
        "entered_at": START - timedelta(days=1) + timedelta(seconds=entered),
        "width": 1,
        "hardware": [f"{GPU}:1"],
    }
    row = {"bid_id": bid_id, **usual, **fields}
    return {"hours": float(row["width"]), **row}


def book(*, offers: Sequence[Row], bids: Sequence[Row], around: Mapping[str, Sequence[Row]] | None = None, **rules: object) -> MarketBook:
    """A canonical book. `around` holds rows of the other tables by name; `rules` overrides the market's settings."""
    usual: dict[str, object] = {
        "currency": "USD",
        "start": START,
        "slots": 1,
        "headroom_standard": Decimal(0),
        "headroom_guaranteed": Decimal(0),
    }
    settings = MarketRules(**{**usual, **rules})  # type: ignore[arg-type]
    rows = {"offers": offers, "bids": bids, **(around or {})}
    tables = (OFFERS, BIDS, OFFER_SLOTS, COMMITMENTS, ZONES, TRANSFER, LATENCY)
    frames = {table.name: frame_of(table, rows[table.name], slots=settings.slots) for table in tables if table.name in rows}
    return canonical_book(settings, frames)


def frame_of(table: Table, rows: Iterable[Row], *, slots: int) -> pl.DataFrame:
    """Rows of a table with every missing column at its default."""
    filled = [_filled(table, row, slots=slots) for row in rows]
    return pl.DataFrame(filled, schema=table.schema, orient="row")


def rows_of(frame: pl.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    """Some columns of a result as plain tuples, in its order."""
    return frame.select(columns).rows()


def _filled(table: Table, row: Row, *, slots: int) -> Row:
    unknown = row.keys() - table.schema.keys()
    assert not unknown, f"{table.name} has no column {', '.join(unknown)}"
    filled: Row = {}
    for column in table.columns:
        if column.name in row:
            filled[column.name] = row[column.name]
        elif column.default == "=slots":
            filled[column.name] = slots
        elif isinstance(column.default, str) and column.default.startswith("="):
            filled[column.name] = filled[column.default[1:]]
        else:
            filled[column.name] = [] if column.kind == "list" else column.default
    return filled
