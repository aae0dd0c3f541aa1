"""The book by the column: every offer of the market as arrays, made once and swapped in whole.

Whoever searches holds one `BookView` from beginning to end, so a new one never shows half. What offers share is held by cells
(`broker.services.book_cells`); of an offer alone there are its id, its cell, three figures and, where there is one, a reason.
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from broker.services.book_cells import NO_CELLS, OWN, SHARED, Bools, Cells, Codes, Fact, Shared, cell_key
from broker.services.offers import OfferRecord
from broker.services.sifting import Offers
from contracts.terms.time import EPOCH

SCHEMA: Mapping[str, pl.DataType] = SHARED | OWN
Ids = npt.NDArray[np.object_]


class BookView(msgspec.Struct, frozen=True, eq=False):
    """Every offer of the market at one moment, in order of id.

    token      what the store said of itself when this was read: another token, another book
    ids        (O,) each offer's
    cell       (O,) the number of the cell it is in
    rate       (O,) micros an accelerator-hour
    quantity   (O,) accelerators
    observed   (O,) when its provider last said so, microseconds since 1970
    reasons    why an offer is in the state it is, by id, where something is said of that
    cells      what offers share; of a book brought up to date some may be nobody's
    by_cell    the offers by the cell, as a search goes through them
    rate_max   the greatest rate of all
    """

    token: int
    ids: Ids
    cell: npt.NDArray[np.int32]
    rate: Codes
    quantity: Codes
    observed: Codes
    reasons: dict[str, str]
    cells: Cells
    by_cell: Offers
    rate_max: int

    def __len__(self) -> int:
        return len(self.ids)

    def offers(self) -> Codes:
        """(C,) how many offers each cell has."""
        offers: Codes = self.by_cell.start[1:] - self.by_cell.start[:-1]
        return offers

    def shared(self, rows: Codes) -> list[Shared]:
        """What each of these offers shares with those like it."""
        return [self.cells.shared[cell] for cell in self.cell[rows].tolist()]

    def records(self, rows: Codes) -> list[OfferRecord]:
        """Offers as a search by the slow reading takes them."""
        return [
            msgspec.structs.replace(
                shared.offer, offer_id=offer_id, quantity=quantity, rate_micros=rate, observed_at=EPOCH + timedelta(microseconds=observed)
            )
            for shared, offer_id, quantity, rate, observed in zip(
                self.shared(rows),
                *(column[rows].tolist() for column in (self.ids, self.quantity, self.rate, self.observed)),
                strict=True,
            )
        ]


def parted(view: BookView, away: Bools) -> BookView:
    """The same book with the offers of each cell in two: those that are not away (O,) as they were, the others C cells further on.

    So what is asked of offers one by one, by one search in many, can be decided of cells.
    """
    count = len(view.cells.shared)
    cells = msgspec.structs.replace(
        view.cells,
        shared=view.cells.shared * 2,
        facts={name: Fact(fact.places, np.tile(fact.codes, 2)) for name, fact in view.cells.facts.items()},
    )
    figures = _Figures(view.ids, (view.cell + count * away).astype(np.int32), view.rate, view.quantity, view.observed)
    return msgspec.structs.replace(view, cell=figures.cell, cells=cells, by_cell=_by_cell(figures, 2 * count))


class _Figures(msgspec.Struct, frozen=True, eq=False):
    """Offers in order of id: what a view holds of each."""

    ids: Ids
    cell: npt.NDArray[np.int32]
    rate: Codes
    quantity: Codes
    observed: Codes

    def columns(self) -> list[npt.NDArray[Any]]:
        """The five of them."""
        return [self.ids, self.cell, self.rate, self.quantity, self.observed]


def book_view(frame: pl.DataFrame, *, token: int = 0) -> BookView:
    """A view of offers given by the columns of `SCHEMA`, in any order."""
    frame = _typed(frame)
    cells, figures = _read(NO_CELLS, frame)
    return _view(figures, cells, reasons=_reasons(frame), token=token)


def updated(view: BookView, rows: pl.DataFrame, *, gone: Collection[str], token: int) -> BookView:
    """The view with these rows in place of what it had under their ids, and nothing under the ids in `gone` that no row has.

    Whoever reads the old view goes on reading it: nothing of it is written. Offers that stay where they were cost a copy of four
    arrays. Cells only ever come; those nobody is in any more are left behind by the next view made anew.
    """
    rows = _typed(rows)
    cells, new = _read(view.cells, rows)
    old = _Figures(view.ids, view.cell, view.rate, view.quantity, view.observed)
    left = sorted(set(gone) - set(new.ids))
    places, known = _places(view.ids, np.array(left, dtype=object))
    if known.any():
        old = _Figures(*(np.delete(column, places[known]) for column in old.columns()))
    places, known = _places(old.ids, new.ids)
    # The ids are the same where none comes or goes, and are not copied then.
    figures = [old.ids, *(column.copy() for column in old.columns()[1:])]
    for column, fresh in zip(figures[1:], new.columns()[1:], strict=True):
        column[places[known]] = fresh[known]
    if not known.all():
        figures = [np.insert(column, places[~known], fresh[~known]) for column, fresh in zip(figures, new.columns(), strict=True)]
    silent = {*left, *new.ids}
    kept = {offer_id: reason for offer_id, reason in view.reasons.items() if offer_id not in silent}
    return _view(_Figures(*figures), cells, reasons=kept | _reasons(rows), token=token)


def _view(figures: _Figures, cells: Cells, *, reasons: dict[str, str], token: int) -> BookView:
    return BookView(
        token=token,
        ids=figures.ids,
        cell=figures.cell,
        rate=figures.rate,
        quantity=figures.quantity,
        observed=figures.observed,
        reasons=reasons,
        cells=cells,
        by_cell=_by_cell(figures, len(cells.shared)),
        rate_max=int(figures.rate.max(initial=0)),
    )


def _by_cell(figures: _Figures, cells: int) -> Offers:
    start = np.zeros(cells + 1, dtype=np.int64)
    np.cumsum(np.bincount(figures.cell, minlength=cells), out=start[1:])
    # Numbers of two bytes are sorted in one go, longer ones by comparing them, which takes ten times as long.
    row = np.argsort(figures.cell.astype(np.uint16) if cells <= 1 << 16 else figures.cell, kind="stable")
    return Offers(start=start, row=row, rate=figures.rate[row], quantity=figures.quantity[row])


def _typed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())


def _read(cells: Cells, rows: pl.DataFrame) -> tuple[Cells, _Figures]:
    """Rows as figures in order of id, and the cells with theirs among them."""
    alike = rows.select(*SHARED, row=pl.int_range(pl.len())).group_by(list(SHARED), maintain_order=True).agg("row")
    keys = [cell_key(values) for values in alike.drop("row").iter_rows()]
    cells = cells.grown(keys)
    cell = np.zeros(rows.height, dtype=np.int32)
    numbers = np.array([cells.places[key] for key in keys], dtype=np.int32)
    cell[alike["row"].explode(empty_as_null=False).to_numpy()] = np.repeat(numbers, alike["row"].list.len().to_numpy())
    order = rows["offer_id"].arg_sort()
    return cells, _Figures(
        ids=np.array(rows["offer_id"].gather(order).to_list(), dtype=object),
        cell=cell[order.to_numpy()],
        rate=rows["rate_micros"].gather(order).to_numpy(),
        quantity=rows["quantity"].gather(order).to_numpy(),
        observed=rows["observed_at"].gather(order).to_physical().to_numpy(),
    )


def _places(ids: Ids, wanted: Ids) -> tuple[Codes, Bools]:
    """Where each wanted id stands or would stand among the ids, and whether it does."""
    among = ids.tolist()  # NumPy compares Python's strings five times slower than Python
    places = np.array([bisect_left(among, each) for each in wanted.tolist()], dtype=np.int64)
    known = np.zeros(len(wanted), dtype=np.bool_)
    inside = places < len(ids)
    known[inside] = ids[places[inside]] == wanted[inside]
    return places, known


def _reasons(rows: pl.DataFrame) -> dict[str, str]:
    return dict(rows.select("offer_id", "reason").filter(pl.col("reason") != "").iter_rows())
