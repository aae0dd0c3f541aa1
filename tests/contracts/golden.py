"""The golden settlement months: directories read with the project's own reader, results as text."""

from pathlib import Path

import polars as pl

from broker.files.settlement import read_settlement
from contracts.settlement import Settlement, SettlementBook

GOLDEN = Path(__file__).parents[1] / "golden" / "settle"
NAMES = ("plans", "corrections")


def golden_book(name: str) -> SettlementBook:
    return read_settlement(GOLDEN / name / "month").book


def golden_rows(name: str, table: str) -> set[tuple[str | None, ...]]:
    return set(pl.read_csv(GOLDEN / name / "expected" / f"{table}.csv", infer_schema=False).iter_rows())


def rows_of(settlement: Settlement) -> dict[str, set[tuple[object, ...]]]:
    """The published tables as sets of rows, lists joined by `;`."""
    frames = dict(settlement.tables())
    frames["conflicts"] = frames["conflicts"].with_columns(pl.col("differs").list.join(";"))
    return {name: set(frame.iter_rows()) for name, frame in frames.items()}


def texts_of(settlement: Settlement) -> dict[str, set[tuple[str | None, ...]]]:
    """The same rows as a CSV shows them."""
    return {name: {tuple(None if c is None else str(c) for c in row) for row in rows} for name, rows in rows_of(settlement).items()}
