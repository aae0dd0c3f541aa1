"""The tables of a close that remembers, kept as they were, so that the next one need neither read nor reckon them again.

In `remembered/tables`: what was published, the leases and accounts it was made from, and a manifest with the SHA-256 of each of these
files and of the published ones. As long as all of them are as they were, what the close record says of its tables is true of what
is kept; otherwise the published tables are read, and put to their proof.
"""

from pathlib import Path

import msgspec
import polars as pl

from broker.files.digests import file_digest
from broker.files.remembered import FOLDER, Remembered
from broker.files.replacing import replace_file
from contracts.close import CloseRecord, record_hash
from contracts.ledger_tables import ACCOUNTS, LEASES, STATEMENT_TABLES
from contracts.settlement import Settlement, SettlementBook

TABLES = f"{FOLDER}/tables"
MANIFEST = "kept.json"
CHARGED_UNUSED = ("flat_rate", "committed")


class KeptTables(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest, written last. close: the hash of its record; files: path from the close → SHA-256, hexadecimal."""

    close: str
    files: dict[str, str]


def keep_tables(out: Path, settlement: Settlement, *, record: CloseRecord, book: SettlementBook) -> None:
    """Keep the tables of a close written to `out`, if it has a memory of the same periods to go with."""
    beside = Remembered.beside(out)
    if beside is None or len(beside.memory.periods) != record.as_of:
        return
    (out / TABLES).mkdir(exist_ok=True)
    frames = {name: settlement.tables()[name] for name in _STATEMENTS} | {name: getattr(book, name) for name in _SOURCES}
    for name, frame in frames.items():
        frame.write_ipc(out / _kept(name))
    files = [*(_kept(name) for name in frames), *(f"{name}.csv" for name in _STATEMENTS)]
    kept = KeptTables(close=record.hash, files={name: file_digest(out / name) for name in files})
    replace_file(out / TABLES / MANIFEST, msgspec.json.encode(kept))


def kept_tables(out: Path, record: CloseRecord) -> dict[str, pl.DataFrame] | None:
    """The published tables by name; None where they are not kept, or any file of them is not what it was."""
    try:
        kept = msgspec.json.decode((out / TABLES / MANIFEST).read_bytes(), type=KeptTables)
    except (OSError, msgspec.MsgspecError):
        return None
    if kept.close != record.hash or record_hash(record) != record.hash:
        return None
    if not all((out / name).is_file() and file_digest(out / name) == digest for name, digest in kept.files.items()):
        return None
    return {name: pl.read_ipc(out / _kept(name)) for name in _STATEMENTS}


def only_grown(out: Path, book: SettlementBook) -> bool:
    """Whether leases and accounts are those kept, and more that earlier periods would not have billed."""
    leases, accounts = (pl.read_ipc(out / _kept(name)) for name in _SOURCES)
    new = book.accounts.join(accounts, on="account_id", how="anti").join(book.plans, on="plan_id")
    charged = new.filter(pl.col("kind").is_in(CHARGED_UNUSED))
    return not charged.height and not any(
        before.join(now, on=before.columns, how="anti", nulls_equal=True).height
        for before, now in ((leases, book.leases), (accounts, book.accounts))
    )


def _kept(name: str) -> str:
    return f"{TABLES}/{name}.arrow"


_STATEMENTS = tuple(table.name for table in STATEMENT_TABLES)
_SOURCES = (LEASES.name, ACCOUNTS.name)
