"""Usage as it was received up to a close, one Parquet file a period, in a directory or in an object store.

A file is a copy: the store has the same rows, and reads them itself where a file is missing. What a file must hold is known
by the SHA-256 of its rows as CSV, in the total order of all their columns, which no version of the file format changes; the name
holds the first digits of it, so that two markets that share a place never write over each other.
"""

import hashlib
import io
from pathlib import Path

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from broker.files.replacing import replace_file
from contracts.ledger_tables import USAGE
from contracts.periods import Segment
from contracts.settlement_book import in_total_order
from contracts.terms.errors import BadInput

SCHEME_MARK = "://"
DIGITS = 16


class UsageArchive(msgspec.Struct, frozen=True):
    """Where segments are kept: a directory, or `s3://bucket/prefix`, whose keys and endpoint Polars takes from AWS_* variables."""

    place: str

    def write(self, period: int, rows: pl.DataFrame) -> Segment:
        """Keep the usage of a period (columns of `USAGE`), and say what was kept. Raises BadInput where the place takes no files."""
        ordered = in_total_order(rows)
        digest = rows_digest(ordered)
        name = f"usage-{period:05d}-{digest[:DIGITS]}.parquet"
        try:
            if self._remote:
                ordered.write_parquet(self._path(name))  # an object appears whole or not at all
            else:
                content = io.BytesIO()
                ordered.write_parquet(content)
                Path(self.place).mkdir(parents=True, exist_ok=True)
                replace_file(Path(self._path(name)), content.getvalue())
        except (OSError, PolarsError) as error:
            raise BadInput(
                f"the segment cannot be written: {error}", file=self._path(name), would_do="a place in GRIDFARE_SEGMENTS that takes files"
            ) from error
        return Segment(name=name, rows=ordered.height, sha256=digest)

    def read(self, segment: Segment) -> pl.DataFrame | None:
        """The rows of a segment, in order; None where its file is missing.

        Raises BadInput for a file that is not as it was written, or a place that does not answer.
        """
        path = self._path(segment.name)
        would_do = "the file taken away, or GRIDFARE_SEGMENTS unset: the rows are then read from the store"
        try:
            rows = pl.read_parquet(path, glob=False)
        except FileNotFoundError:
            return None
        except (OSError, PolarsError) as error:
            raise BadInput(f"the segment cannot be read: {error}", file=path, would_do=would_do) from error
        if rows.schema != USAGE.schema or rows_digest(rows) != segment.sha256:
            raise BadInput("the segment is not as it was written", file=path, found=f"{rows.height} rows", would_do=would_do)
        return rows

    def holds(self, segment: Segment) -> bool:
        """Whether there is a file for a segment; what is wrong with it is said by `read`."""
        try:
            pl.scan_parquet(self._path(segment.name), glob=False).select(pl.len()).collect()
        except FileNotFoundError:
            return False
        except (OSError, PolarsError):
            return True
        return True

    @property
    def _remote(self) -> bool:
        return SCHEME_MARK in self.place

    def _path(self, name: str) -> str:
        return f"{self.place.rstrip('/')}/{name}"


def rows_digest(usage: pl.DataFrame) -> str:
    """SHA-256 of rows as CSV, in the order they have."""
    return hashlib.sha256(usage.write_csv().encode()).hexdigest()
