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
# What a record has of them.
FACTS = list(OfferRecord.__struct_fields__)
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
                 is worth there, and what moving data there takes, is asked once a kind; `likeness` has these offers as records
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
    likeness: list[OfferRecord]
    kind_code: Codes
    haystack: pl.Series

    def column(self, name: str) -> npt.NDArray[Any]:
        """A column as an array; an unknown figure is NaN."""
        return self.frame[name].to_numpy()

    def records(self, rows: Codes) -> list[OfferRecord]:
        """Offers as a search by the slow reading takes them."""
        return _records(self.frame, rows)


def book_view(frame: pl.DataFrame, *, token: int = 0) -> BookView:
    """A view of offers given by the columns of `SCHEMA`, in any order."""
    frame = frame.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()).sort("offer_id")
    values: dict[str, list[str | None]] = {}
    codes: dict[str, Codes] = {}
    for name in CODED:
        values[name], codes[name] = _coded(frame[name])
    lists = frame.select(pl.col("open_to").list.join("\x1f"), pl.col("closed_to").list.join("\x1f")).select(
        pl.concat_str("open_to", "closed_to", separator="\x1e")
    )
    access, access_code = _coded(lists.to_series())
    _, kinds, kind_code = np.unique(
        codes["hardware"] * max(1, len(values["country"])) + codes["country"], return_index=True, return_inverse=True
    )
    return BookView(
        frame=frame,
        token=token,
        values=values,
        codes=codes,
        held=_held(frame["certifications"]),
        access=[_access(text or "") for text in access],
        access_code=access_code,
        kinds=kinds,
        likeness=_records(frame, kinds),
        kind_code=kind_code,
        haystack=frame.select(
            pl.concat_str(
                "provider_name", "provider", "site", "hardware", pl.col("country").fill_null(""), separator=" "
            ).str.to_lowercase()
        ).to_series(),
    )


def updated(view: BookView, rows: pl.DataFrame, *, gone: Collection[str], token: int) -> BookView:
    """The view with these rows in place of what it had under their ids, and nothing under the ids in `gone` that no row has.

    The offers that stay are not read again, which is what takes long; the arrays are made anew in a twentieth of a second for 100,000.
    """
    replaced = pl.Series([*gone, *rows["offer_id"]], dtype=pl.String())
    kept = view.frame.filter(~pl.col("offer_id").is_in(replaced.implode()))
    return book_view(pl.concat([kept, rows.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())]), token=token)


def _records(frame: pl.DataFrame, rows: Codes) -> list[OfferRecord]:
    return [OfferRecord(**facts) for facts in frame[rows, FACTS].iter_rows(named=True)]


def _coded(column: pl.Series) -> tuple[list[str | None], Codes]:
    values = column.unique().sort(nulls_last=True)
    places = pl.DataFrame({"value": values, "place": np.arange(values.len(), dtype=np.int64)})
    found = pl.DataFrame({"value": column}).join(places, on="value", how="left", nulls_equal=True, maintain_order="left")
    return values.to_list(), found["place"].to_numpy()


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
