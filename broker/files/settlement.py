"""Settlement directories: usage, leases and plans in, a close out.

Every table may be Parquet or CSV. A reading names every fault at once; a writing removes the old close record first
and writes the new one last, so that a directory without one holds no result. The small tables are copied beside the
result, byte for byte: what was published can be exported, and settled again, without anything else.
"""

import tomllib
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import msgspec
import polars as pl

from broker.files.digests import digests, file_digest, files_digest
from broker.files.faults import Findings
from broker.files.kept import kept_tables, only_grown
from broker.files.remembered import Remembered, read_remembering
from broker.files.replacing import replace_file
from broker.files.segments import SegmentedUsage, held_batch, segmented_usage, segments_digest, segments_folder
from broker.files.tables import SUFFIXES, read_table, table_path
from broker.files.usage_parts import Progress, UsageParts, nothing_known, read_parts, silent, usage_files, usage_parts
from contracts.close import CloseRecord, PreviousClose
from contracts.ledger_checks import settlement_faults
from contracts.ledger_tables import (
    ACCOUNTS,
    HARDWARE,
    INVOICES,
    LINES,
    PARTIES,
    PAYOUTS,
    PERIODS,
    PLAN_TIERS,
    PLANS,
    POSTINGS,
    PROVIDERS,
    SETTLEMENT_TABLES,
    SLA,
    SMALL_TABLES,
    STATEMENT_TABLES,
    USAGE,
)
from contracts.settlement import Published, Settlement, SettlementBook, periods_until, settle, settle_reading, settlement_book
from contracts.statements import Seller, SettledBook
from contracts.terms.errors import BadInput
from contracts.terms.orders import RULES_VERSION
from contracts.terms.tables import Table
from contracts.usage_stream import UsageBatch

RECORD_FILE = "close.json"
SELLER_FILE = "seller.toml"
TARIFF = (HARDWARE.name, PLANS.name, PLAN_TIERS.name, SLA.name)
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.6fZ"


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """Who the ids of a book are: the tables `providers` and `parties`, and who issues the invoices."""

    providers: pl.DataFrame = PROVIDERS.empty()
    parties: pl.DataFrame = PARTIES.empty()
    seller: Seller = Seller()


class SettlementReading(msgspec.Struct, frozen=True, kw_only=True):
    """A settlement directory as read.

    book       its tables; without usage where there is too much of it to be held
    parts      that usage, to be read in batches
    earlier    what an earlier close remembers
    copied     the files a close carries along: small tables and the seller
    warnings   what was left out of the reading
    """

    book: SettlementBook
    parts: UsageParts | SegmentedUsage | None
    earlier: Remembered | None
    digests: dict[str, Future[str]]
    copied: tuple[Path, ...]
    warnings: tuple[str, ...]

    @property
    def inputs(self) -> dict[str, str]:
        """Table → SHA-256 of its file; of usage in parts, of a line each: name, tab, SHA-256, newline; of segments, of their manifest."""
        return {name: digest.result() for name, digest in self.digests.items()}

    @property
    def leases(self) -> pl.DataFrame:
        """lease_id, accelerators, in the order that the numbers of `batches` refer to."""
        return self.book.leases.select("lease_id", "accelerators") if self.parts is None else self.parts.leases

    def batches(self, *, progress: Progress = silent) -> Iterator[UsageBatch]:
        """The usage, coded, in order of the files. Raises BadInput for what cannot stand, and for segments, which have no names."""
        if self.parts is None:
            return iter([held_batch(self.book.usage, self.leases)])
        if isinstance(self.parts, SegmentedUsage):
            raise BadInput("the usage is in segments already", file=USAGE.name, would_do="the tables they were written from")
        return msgspec.structs.replace(self.parts, progress=progress).batches()

    def settle(
        self,
        *,
        as_of: int | None = None,
        progress: Progress = silent,
        remember: Path | None = None,
        previous: PreviousClose | None = None,
    ) -> Settlement:
        """Settle periods 1…as_of, all by default; `remember` beside a close what the next one need not read again.

        previous   the close that `earlier` is of: what it published is taken as it is, where settling all would find the same again
        Raises BadInput for what cannot stand, or does not fit 64 bits.
        """
        if self.parts is None:
            return settle(self.book, as_of=as_of)
        periods = periods_until(self.book.periods, as_of)
        parts = msgspec.structs.replace(self.parts, progress=progress)
        if isinstance(parts, SegmentedUsage):
            return settle_reading(parts.read(periods), self.book, periods=periods)
        earlier = self.earlier if self.earlier and self.earlier.serves(parts, periods) else None
        if not earlier and not remember:
            return settle_reading(parts.read(periods), self.book, periods=periods)
        published = self._published(earlier, previous) if earlier and previous else Published()
        found = read_remembering(parts, periods, earlier=earlier, out=remember)  # which may write over what was published
        standing = published.as_of <= found.standing
        return settle_reading(found, self.book, periods=periods, published=published if standing else Published())

    def _published(self, earlier: Remembered, previous: PreviousClose) -> Published:
        """The periods that need not be billed again if usage stands: proved to be as published, of the same tariff and leases."""
        record = previous.record
        sound = previous.proven and record.holds and record.rules == RULES_VERSION
        same = record.as_of == len(earlier.memory.periods)
        if not sound or not same or not only_grown(earlier.folder.parent, self.book):
            return Published()
        digests = {name: digest.result() for name, digest in self.digests.items() if name in TARIFF}
        if digests != {name: digest for name, digest in record.inputs.items() if name in TARIFF}:
            return Published()
        return Published(as_of=record.as_of, tables=previous.tables)


def read_settlement(directory: Path, *, previous: Path | None = None) -> SettlementReading:
    """The tables of a settlement directory, checked; what the previous close remembers need not be read again.

    Raises BadInput naming file, row and column of every fault.
    """
    earlier = Remembered.beside(previous)
    if not directory.is_dir():
        raise BadInput(
            "there is no such directory", file=str(directory), would_do="a directory with usage, leases, accounts, plans, periods"
        )
    findings = Findings()
    segments = segments_folder(directory)
    usage = () if segments else usage_files(directory)
    paths = _paths(directory, SMALL_TABLES, findings=findings, would_do="{name}.csv or {name}.parquet")
    if not usage and not segments:
        findings.fault(
            "the directory has no such table", file="usage.csv", would_do="usage.csv, usage.parquet or a folder usage of such files"
        )
    findings.stop_if_faulty()
    frames = {table.name: read_table(paths[table.name], table, findings=findings) for table in SMALL_TABLES if table.name in paths}
    findings.stop_if_faulty()
    findings.take(settlement_faults(frames), files={name: path.name for name, path in paths.items()})
    known = {name: frames[name] for name in ("leases", "periods")}
    counted = earlier.height_of if earlier else nothing_known
    parts = segmented_usage(segments, known["leases"]) if segments else usage_parts(usage, **known, findings=findings, known=counted)
    rows = USAGE.empty() if parts else read_parts(usage, **known, findings=findings)
    findings.stop_if_faulty()
    seller = directory / SELLER_FILE
    copied = [*paths.items(), *([("seller", seller)] if seller.is_file() else [])]
    return SettlementReading(
        book=settlement_book(frames | {USAGE.name: rows}),
        parts=parts,
        earlier=earlier,
        digests=digests(
            {name: partial(file_digest, path) for name, path in copied}
            | {
                USAGE.name: partial(segments_digest, segments)
                if segments
                else partial(files_digest, usage, known=earlier.digest_of if earlier else None)
            }
        ),
        copied=tuple(path for _, path in copied),
        warnings=tuple(findings.warnings),
    )


def write_settlement(out: Path, settlement: Settlement, *, record: CloseRecord, copied: tuple[Path, ...]) -> None:
    """The close as CSV tables, the small tables as they came, and last of all `close.json`."""
    sources = {path: path.read_bytes() for path in copied}
    if any(path.parent.resolve() == out.resolve() for path in copied):
        raise BadInput("a close may not be written over what it is made from", file=str(out), would_do="another directory for --out")
    out.mkdir(parents=True, exist_ok=True)
    (out / RECORD_FILE).unlink(missing_ok=True)
    for table in (*STATEMENT_TABLES, *SMALL_TABLES):
        for suffix in SUFFIXES:
            (out / f"{table.name}{suffix}").unlink(missing_ok=True)
    (out / SELLER_FILE).unlink(missing_ok=True)
    for path, content in sources.items():
        replace_file(out / path.name, content)
    for table in STATEMENT_TABLES:
        replace_file(out / f"{table.name}.csv", _csv(table, settlement.tables()[table.name]))
    replace_file(out / RECORD_FILE, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")


def month_files(book: SettlementBook, names: Names) -> dict[str, bytes]:
    """A book as the files of a settlement directory, name → content: what anyone needs to settle it again.

    Optional tables without rows are left out: no credits and no tiers are the same as no such tables. So is a seller who only
    has a name.
    """
    frames = {table.name: getattr(book, table.name) for table in SETTLEMENT_TABLES if hasattr(book, table.name)}
    frames |= {"providers": names.providers, "parties": names.parties}
    tables = {table.name: table for table in (*SETTLEMENT_TABLES, PROVIDERS, PARTIES)}
    files = {f"{name}.csv": _csv(tables[name], frame) for name, frame in frames.items() if frame.height or not tables[name].optional}
    return files if names.seller == Seller() else files | {SELLER_FILE: _seller_lines(names.seller)}


def read_previous(out: Path) -> PreviousClose:
    """An earlier close, as it was published. Raises BadInput for a missing or unreadable part."""
    record = _record(out)
    kept = kept_tables(out, record)
    return PreviousClose(record=record, tables=_read(out, STATEMENT_TABLES) if kept is None else kept, proven=kept is not None)


def read_settled(out: Path) -> SettledBook:
    """A close with the small tables beside it: all that an export needs. Raises BadInput for a missing or unreadable part."""
    record = _record(out)
    frames = _read(out, (INVOICES, LINES, POSTINGS, PAYOUTS, ACCOUNTS, PLANS, PERIODS, PROVIDERS, PARTIES))
    return SettledBook(record=record, seller=_seller(out / SELLER_FILE), **frames)


def _paths(directory: Path, tables: tuple[Table, ...], *, findings: Findings, would_do: str) -> dict[str, Path]:
    """Where each table is; a missing one that must be there is a fault."""
    found = {table.name: table_path(directory, table) for table in tables}
    for table in tables:
        if found[table.name] is None and not table.optional:
            findings.fault("the directory has no such table", file=f"{table.name}.csv", would_do=would_do.format(name=table.name))
    return {name: path for name, path in found.items() if path is not None}


def _read(out: Path, tables: tuple[Table, ...]) -> dict[str, pl.DataFrame]:
    findings = Findings()
    paths = _paths(out, tables, findings=findings, would_do="a directory written by `gridfare settle`")
    findings.stop_if_faulty()
    frames = {table.name: read_table(paths[table.name], table, findings=findings) for table in tables if table.name in paths}
    findings.stop_if_faulty()
    return frames


def _record(out: Path) -> CloseRecord:
    path = out / RECORD_FILE
    if not path.is_file():
        raise BadInput("the directory has no close record", file=str(path), would_do="a directory written by `gridfare settle`")
    try:
        return msgspec.json.decode(path.read_bytes(), type=CloseRecord)
    except msgspec.MsgspecError as error:
        raise BadInput(f"the close record cannot be read: {error}", file=str(path), would_do="the file as it was written") from error


def _seller(path: Path) -> Seller:
    return read_seller(path) if path.is_file() else Seller()


def read_seller(path: Path) -> Seller:
    """Who issues the invoices, as a file says it. Raises BadInput for one that is not there or says something else."""
    if not path.is_file():
        raise BadInput("there is no such file", file=str(path), would_do='a file with a line such as name = "Gridfare"')
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Seller)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadInput(f"the file cannot be read: {error}", file=path.name, would_do='a line such as name = "Gridfare"') from error


def _seller_lines(seller: Seller) -> bytes:
    """As TOML, whose text is quoted as JSON's is."""
    facts = msgspec.structs.asdict(seller)
    return "".join(f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in facts.items()).encode()


def _csv(table: Table, frame: pl.DataFrame) -> bytes:
    lists = [pl.col(column.name).list.join(";") for column in table.columns if column.kind == "list"]
    return frame.select(list(table.schema)).with_columns(lists).write_csv(datetime_format=TIME_FORMAT).encode()
