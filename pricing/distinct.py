"""Rows told apart: what many orders say alike is decided once and spread by index."""

from typing import Any

import numpy as np
import polars as pl

from pricing.arrays import Ints

Values = tuple[Any, ...]
LIST = pl.List(pl.String)
ROW = "row of the frame"


def distinct(frame: pl.DataFrame) -> tuple[pl.DataFrame, Ints]:
    """The distinct rows in order of first sight, and the number of each row (n,). Lists are told apart by their order, null is a value."""
    number = np.empty(frame.height, dtype=np.int64)
    if frame.is_empty():
        return frame, number
    found = frame.with_row_index(ROW).group_by(frame.columns, maintain_order=True).agg(ROW)
    rows = found[ROW].list
    number[rows.explode(keep_nulls=False, empty_as_null=False).to_numpy()] = np.repeat(np.arange(found.height), rows.len().to_numpy())
    return found.drop(ROW), number


def values_of(frame: pl.DataFrame) -> list[Values]:
    """Rows as plain tuples, lists as tuples."""
    return [tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in frame.iter_rows()]


def as_sets(cells: pl.Series) -> pl.Series:
    """Lists of text sorted, each name once; a null stays null."""
    kinds, number = distinct(cells.to_frame())
    return kinds.to_series().list.unique().list.sort().gather(number)


def numbered_sets(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with each list of text replaced by a number, the same for lists of the same names."""
    numbers = []
    for name, dtype in frame.schema.items():
        if dtype == LIST:
            kinds, number = distinct(frame.select(name))
            _, of_kind = distinct(kinds.select(as_sets(kinds[name])))
            numbers.append(pl.Series(name, of_kind[number]))
    return frame.with_columns(numbers)
