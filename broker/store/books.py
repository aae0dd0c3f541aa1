"""A market book as bytes: what a cycle keeps of what it saw, so that it can be replayed.

A ZIP of one Parquet file a table and the rules as JSON; entries carry a fixed date, so the same book is
the same bytes.
"""

import io
import zipfile

import msgspec
import polars as pl

from contracts.terms.orders import MarketBook, MarketRules

RULES = "market.json"
EPOCH = (1980, 1, 1, 0, 0, 0)


def encode_book(book: MarketBook) -> bytes:
    """The book as one ZIP archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _put(archive, RULES, data=msgspec.json.encode(book.rules))
        for name, frame in book.tables().items():
            table = io.BytesIO()
            frame.write_parquet(table, compression="zstd")
            _put(archive, f"{name}.parquet", data=table.getvalue())
    return buffer.getvalue()


def decode_book(data: bytes) -> MarketBook:
    """The book an archive holds. Raises KeyError or zipfile.BadZipFile for anything else."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        rules = msgspec.json.decode(archive.read(RULES), type=MarketRules)
        names = [name for name in archive.namelist() if name != RULES]
        frames = {name.removesuffix(".parquet"): pl.read_parquet(io.BytesIO(archive.read(name))) for name in names}
    return MarketBook(rules=rules, **frames)


def _put(archive: zipfile.ZipFile, name: str, *, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, EPOCH), data)
