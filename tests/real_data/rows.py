"""Tables of orders from a few columns told and one usual row: builders for a market too large to build row by row."""

import polars as pl


def filled(told: pl.DataFrame, usual: pl.DataFrame, *, order: list[str]) -> pl.DataFrame:
    """The rows told, every other column as in the one usual row."""
    rest: pl.DataFrame = usual.drop(told.columns)
    return told.join(rest, how="cross").select(order).cast(usual.schema).sort(order[0])  # type: ignore[arg-type]
