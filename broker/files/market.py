"""Market directories: a book in, a certified result out.

Every table may be Parquet or CSV. A reading names every fault at once; a writing leaves either the whole new
result or none: the certificate goes last, and a directory without one holds no result.
"""

import hashlib
import io
from pathlib import Path

import msgspec
import polars as pl

from broker.files.faults import Findings
from broker.files.market_checks import MarketChecks
from broker.files.market_toml import FILE as RULES_FILE
from broker.files.market_toml import read_rules, rules_text
from broker.files.replacing import replace_file
from broker.files.tables import read_table, table_path
from contracts.terms.clearing import Certificate, Check, Clearing, clearing_of
from contracts.terms.errors import BadInput
from contracts.terms.orders import MarketBook, canonical_book
from contracts.terms.tables import MARKET_TABLES, RESULT_TABLES, Table
from pricing.canonical import canonical_text

CERTIFICATE_FILE = "certificate.json"
TIMING_FILE = "timing.json"


class MarketReading(msgspec.Struct, frozen=True):
    """A book as read, and what was left out of it on the way."""

    book: MarketBook
    warnings: tuple[str, ...]


class Result(msgspec.Struct, frozen=True):
    """A stored result: what was decided and the certificate that came with it."""

    clearing: Clearing
    certificate: Certificate


def read_market(directory: Path) -> MarketBook:
    """The book in a directory. Raises BadInput naming file, row and column of every fault."""
    return read_market_aloud(directory).book


def read_market_aloud(directory: Path) -> MarketReading:
    """The book in a directory, with the warnings of the reading. Raises BadInput as `read_market`."""
    if not directory.is_dir():
        raise BadInput("there is no such directory", file=str(directory), would_do=f"a directory with {RULES_FILE}, offers and bids")
    rules = read_rules(directory)
    findings = Findings()
    paths = {table.name: table_path(directory, table) for table in MARKET_TABLES}
    for table in MARKET_TABLES:
        if paths[table.name] is None and not table.optional:
            findings.fault("the market directory has no such table", file=f"{table.name}.csv", would_do=f"{table.name}.csv or .parquet")
    findings.stop_if_faulty()
    found = [(table, path) for table in MARKET_TABLES if (path := paths[table.name]) is not None]
    frames = {table.name: read_table(path, table, findings=findings, slots=rules.slots) for table, path in found}
    findings.stop_if_faulty()
    files = {table.name: path.name for table, path in found}
    MarketChecks(frames, files, rules=rules, findings=findings).run()
    findings.stop_if_faulty()
    return MarketReading(canonical_book(rules, frames), tuple(findings.warnings))


def write_market(directory: Path, book: MarketBook, *, parquet: bool = False) -> None:
    """A book as a market directory that reads back as the same book; empty optional tables are left out."""
    directory.mkdir(parents=True, exist_ok=True)
    frames = book.tables()
    for table in MARKET_TABLES:
        frame = frames.get(table.name)
        if frame is not None and (frame.height or not table.optional or table.name == "transfer"):
            _write_table(directory, table, frame=frame, parquet=parquet)
        else:
            _remove_table(directory, table)
    replace_file(directory / RULES_FILE, rules_text(book.rules).encode())


def write_result(
    directory: Path, clearing: Clearing, *, certificate: Certificate, timing: dict[str, str | float], parquet: bool = False
) -> None:
    """The result tables, the timing, and last of all the certificate with its verdict (`holds`)."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / CERTIFICATE_FILE).unlink(missing_ok=True)
    frames = clearing.tables()
    for table in RESULT_TABLES:
        _write_table(directory, table, frame=frames[table.name], parquet=parquet)
    replace_file(directory / TIMING_FILE, _json(timing))
    replace_file(directory / CERTIFICATE_FILE, _json({"holds": certificate.holds, **msgspec.to_builtins(certificate)}))


def read_result(directory: Path) -> Result:
    """A stored result. Raises BadInput for a missing or unreadable part."""
    findings = Findings()
    frames = {}
    for table in RESULT_TABLES:
        path = table_path(directory, table)
        if path is None:
            findings.fault("the result has no such table", file=f"{table.name}.csv", would_do="the directory given to --out")
            continue
        frames[table.name] = read_table(path, table, findings=findings).sort(table.key)
    findings.stop_if_faulty()
    clearing = clearing_of(frames)
    return Result(clearing, _read_certificate(directory / CERTIFICATE_FILE, clearing))


def market_file_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of the file of each table of a market directory, by table name."""
    paths = ((table.name, table_path(directory, table)) for table in MARKET_TABLES)
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths if path is not None}


class _StoredCertificate(msgspec.Struct, kw_only=True):
    """What a certificate file must say, and what it may leave to the tables."""

    rules: str
    path: str
    approximate: bool
    welfare_micros: int
    bound_micros: int
    gap: float
    paid_micros: int
    received_micros: int
    uplift_micros: int
    hashes: dict[str, str]
    lost_opportunity_micros: int = 0
    bound_integer_micros: int | None = None
    fee_micros: int | None = None
    transfer_micros: int | None = None
    checks: tuple[Check, ...] = ()
    merkle_root: str = ""


def _read_certificate(path: Path, clearing: Clearing) -> Certificate:
    if not path.is_file():
        raise BadInput("the result has no certificate", file=path.name, would_do="a result that was written to its end")
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_StoredCertificate)
    except msgspec.MsgspecError as error:
        raise BadInput(f"the certificate cannot be read: {error}", file=path.name, would_do="the file as it was written") from error
    sums = {name: int(clearing.outcomes[name].sum()) for name in ("fee_micros", "transfer_micros")}
    said = {name: value for name, value in msgspec.structs.asdict(stored).items() if value is not None or name not in sums}
    return Certificate(**sums | said)


def _write_table(directory: Path, table: Table, *, frame: pl.DataFrame, parquet: bool) -> None:
    """One table in its canonical order, in one format; a file of the other format is removed."""
    _remove_table(directory, table)
    if parquet:
        keys = [pl.col(name).cast(pl.String) for name in table.key]
        parquet_bytes = io.BytesIO()
        frame.sort(keys).select(list(table.schema)).write_parquet(parquet_bytes)
        replace_file(directory / f"{table.name}.parquet", parquet_bytes.getvalue())
    else:
        replace_file(directory / f"{table.name}.csv", canonical_text(table, frame).encode())


def _remove_table(directory: Path, table: Table) -> None:
    for suffix in (".csv", ".parquet"):
        (directory / f"{table.name}{suffix}").unlink(missing_ok=True)


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
