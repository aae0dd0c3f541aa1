"""The book by the column: every offer of the market as arrays, made once and swapped in whole.

Whoever searches holds one `BookView` from beginning to end, so a new one never shows half. Facts with few values are codes into a
list of them, null among them; what is asked of such a fact is decided once a value, not once an offer.
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from broker.services.offers import OfferRecord

CODED = ("hardware", "site", "country", "operator_country", "parent_country", "trust", "state")
SCHEMA: Mapping[str, pl.DataType] = {
    "offer_id": pl.String(),
    "provider": pl.String(),
    "provider_name": pl.String(),
    "source": pl.String(),
    "site": pl.String(),
    "country": pl.String(),
    "operator_country": pl.String(),
    "parent_country": pl.String(),
    "trust": pl.String(),
    "hardware": pl.String(),
    "memory_gb": pl.Float64(),
    "quantity": pl.Int64(),
    "rate_micros": pl.Int64(),
    "firm": pl.Boolean(),
    "uptime": pl.Float64(),
    "certifications": pl.List(pl.String()),
    "open_to": pl.List(pl.String()),
    "closed_to": pl.List(pl.String()),
    "observed_at": pl.Datetime("us", "UTC"),
    "state": pl.String(),
    "reason": pl.String(),
    "carbon_g": pl.Float64(),
}
Codes = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class BookView(msgspec.Struct, frozen=True, eq=False):
    """Every offer of the market at one moment, in order of id.

    frame        the columns of `SCHEMA`; carbon_g is grams of CO2 an accelerator-hour
    token        what the store said of itself when this was read: another token, another book
    values       by coded fact: its values in order, null last where there is one
    codes        by coded fact: (O,) the place of each offer's value in that list
    held         by certification: (O,) whether an offer has it
    access       the different (open_to, closed_to), and `access_code` (O,) which of them an offer has
    kinds        the first offer of each different (hardware, country), and `kind_code` (O,) which of them an offer is like: what work
                 is worth there, and what moving data there takes, is asked once a kind
    haystack     (O,) what a text is looked for in, lower case
    """

    frame: pl.DataFrame
    token: int
    values: dict[str, list[str | None]]
    codes: dict[str, Codes]
    held: dict[str, Bools]
    access: list[tuple[list[str], list[str]]]
    access_code: Codes
    kinds: Codes
    kind_code: Codes
    haystack: pl.Series

    def column(self, name: str) -> npt.NDArray[Any]:
        """A column as an array; an unknown figure is NaN."""
        return self.frame[name].to_numpy()

    def record(self, row: int) -> OfferRecord:
        """One offer as a search by the slow reading takes it."""
        found = self.frame.row(row, named=True)
        facts = {name: found[name] for name in OfferRecord.__struct_fields__}
        return OfferRecord(**facts)


def book_view(frame: pl.DataFrame, *, token: int = 0) -> BookView:
    """A view of offers given by the columns of `SCHEMA`, in any order."""
    frame = _in_schema(frame).sort("offer_id")
    values: dict[str, list[str | None]] = {}
    codes: dict[str, Codes] = {}
    for name in CODED:
        values[name], codes[name] = _coded(frame[name])
    access, access_code = _coded(_access_texts(frame))
    kinds, kind_code = _kinds(values, codes)
    return BookView(
        frame=frame,
        token=token,
        values=values,
        codes=codes,
        held=_held(frame["certifications"]),
        access=[_access(text or "") for text in access],
        access_code=access_code,
        kinds=kinds,
        kind_code=kind_code,
        haystack=_haystack(frame),
    )


def updated(view: BookView, rows: pl.DataFrame, *, gone: Collection[str], token: int) -> BookView:
    """The view with these rows in place of what it had under their ids, and nothing under the ids in `gone` that no row has.

    Equal to the view of all the rows, but for values that nothing has any more. What is new takes its place among what was there, so
    that the work is copying arrays, whatever has changed; a value of a coded fact never seen before has all of them made anew.
    """
    rows = _in_schema(rows).sort("offer_id")
    ids = view.frame["offer_id"]
    replaced = pl.Series("offer_id", [*gone, *rows["offer_id"]], dtype=pl.String())
    kept = np.flatnonzero(~ids.is_in(replaced.implode()).to_numpy())
    places = ids[kept].search_sorted(rows["offer_id"]).cast(pl.Int64).to_numpy()
    order = np.insert(kept, places, np.arange(ids.len(), ids.len() + rows.height))
    frame = pl.concat([view.frame, rows])[order]
    codes = {name: _codes_among(view.values[name], rows[name]) for name in CODED}
    access_code = _codes_among([_access_text(each) for each in view.access], _access_texts(rows))
    if access_code is None or any(each is None for each in codes.values()):
        return book_view(frame, token=token)

    def joined(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.concatenate([old, new])[order]

    all_codes = {name: joined(view.codes[name], new) for name, new in codes.items() if new is not None}
    kinds, kind_code = _kinds(view.values, all_codes)
    held = _held(rows["certifications"])
    nobody, none_new = np.zeros(ids.len(), dtype=np.bool_), np.zeros(rows.height, dtype=np.bool_)
    names = sorted(view.held.keys() | held.keys())
    return BookView(
        frame=frame,
        token=token,
        values=view.values,
        codes=all_codes,
        held={name: joined(view.held.get(name, nobody), held.get(name, none_new)) for name in names},
        access=view.access,
        access_code=joined(view.access_code, access_code),
        kinds=kinds,
        kind_code=kind_code,
        haystack=pl.concat([view.haystack, _haystack(rows)])[order],
    )


def _in_schema(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def _haystack(frame: pl.DataFrame) -> pl.Series:
    words = pl.concat_str("provider_name", "provider", "site", "hardware", pl.col("country").fill_null(""), separator=" ")
    return frame.select(words.str.to_lowercase()).to_series()


def _kinds(values: Mapping[str, list[str | None]], codes: Mapping[str, Codes]) -> tuple[Codes, Codes]:
    """The first offer of each different (hardware, country), and which of them each offer is like."""
    pairs = codes["hardware"] * max(1, len(values["country"])) + codes["country"]
    first = np.full(max(1, len(values["hardware"])) * max(1, len(values["country"])), -1, dtype=np.int64)
    # Of several assignments to one place the last stands: from the end, so that it is the first offer's.
    first[pairs[::-1]] = np.arange(len(pairs) - 1, -1, -1)
    there = first >= 0
    return first[there], (np.cumsum(there) - 1)[pairs]


def _codes_among(values: list[str | None], column: pl.Series) -> Codes | None:
    """The place of each value in a list; None when one of them is not in it."""
    places = {value: place for place, value in enumerate(values)}
    found = [places.get(value, -1) for value in column.to_list()]
    return None if -1 in found else np.array(found, dtype=np.int64)


def _coded(column: pl.Series) -> tuple[list[str | None], Codes]:
    values = column.unique().sort(nulls_last=True)
    places = pl.DataFrame({"value": values, "place": np.arange(values.len(), dtype=np.int64)})
    found = pl.DataFrame({"value": column}).join(places, on="value", how="left", nulls_equal=True, maintain_order="left")
    return values.to_list(), found["place"].to_numpy()


def _access_texts(frame: pl.DataFrame) -> pl.Series:
    """(open_to, closed_to) of each offer as one text."""
    lists = frame.select(pl.col("open_to").list.join("\x1f"), pl.col("closed_to").list.join("\x1f"))
    return lists.select(pl.concat_str("open_to", "closed_to", separator="\x1e")).to_series()


def _access_text(access: tuple[list[str], list[str]]) -> str | None:
    return "\x1e".join("\x1f".join(each) for each in access)


def _held(column: pl.Series) -> dict[str, Bools]:
    rows = pl.DataFrame({"row": np.arange(column.len(), dtype=np.int64), "name": column}).explode("name").drop_nulls("name")
    held: dict[str, Bools] = {}
    for (name,), part in rows.group_by("name"):
        held[str(name)] = np.zeros(column.len(), dtype=np.bool_)
        held[str(name)][part["row"].to_numpy()] = True
    return dict(sorted(held.items()))


def _access(text: str) -> tuple[list[str], list[str]]:
    opened, _, closed = text.partition("\x1e")
    return [each for each in opened.split("\x1f") if each], [each for each in closed.split("\x1f") if each]
