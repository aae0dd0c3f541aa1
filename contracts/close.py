"""The close record: what went in, what came out, and that it all adds up.

Anyone with the same tables can settle them again and compare one hash. Records are chained: each holds the
hash of the one before, so that changing a closed period changes every record after it.
"""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
import polars as pl

from contracts.ledger_tables import INVOICES, LINES, PAYOUTS, POSTINGS, STATEMENT_TABLES
from contracts.settlement import Settlement
from contracts.terms.money import MICROS_PER_CENT
from contracts.terms.orders import RULES_VERSION
from contracts.terms.tables import Table

PERIOD_TABLES = (INVOICES, LINES, POSTINGS, PAYOUTS)
WIDE = pl.Int128()


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What the usage of a close was.

    usage_rows           rows given
    duplicates           copies of a (usage_id, rev) that were dropped
    conflicts            of these (usage_id, rev), how many had copies that differ
    rows_later           rows that arrived at or after the last close settled
    seconds_later        accelerator-seconds after the last month settled
    seconds_above_lease  accelerator-seconds beyond accelerators × time: counted, and billed as metered
    """

    usage_rows: int
    duplicates: int
    conflicts: int
    rows_later: int
    seconds_later: int
    seconds_above_lease: int


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must add up, and by how much it does not; micros, cents, seconds or rows as its name says."""

    name: str
    difference: int


class CloseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a close leaves behind (`close.json`).

    as_of      the last period settled
    previous   hash of the close before, or None
    inputs     table → SHA-256 of its file, hexadecimal
    outputs    table → SHA-256 of its canonical rows
    hash       SHA-256 of all the rest
    """

    rules: str
    as_of: int
    previous: str | None
    inputs: dict[str, str]
    outputs: dict[str, str]
    counts: Counts
    reconciliations: tuple[Reconciliation, ...]
    hash: str

    @property
    def holds(self) -> bool:
        """Whether everything adds up: only then may the close be applied."""
        return not any(line.difference for line in self.reconciliations)


class PreviousClose(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier close as it was published: its record and its tables, by name.

    proven   whether the tables are known to be those that the record has the hashes of
    """

    record: CloseRecord
    tables: dict[str, pl.DataFrame]
    proven: bool = False


def close_record(settlement: Settlement, *, inputs: Mapping[str, str], previous: PreviousClose | None = None) -> CloseRecord:
    """The record of a settlement.

    inputs     table → hash of what was read (the SHA-256 of the file)
    previous   the close of an earlier period of the same ledger, whose periods must be unchanged
    """
    frames = settlement.tables()
    lines = reconcile(settlement)
    if previous is not None:
        lines = (*lines, *unchanged(settlement, previous))
    record = CloseRecord(
        rules=RULES_VERSION,
        as_of=settlement.as_of,
        previous=previous.record.hash if previous else None,
        inputs=dict(sorted(inputs.items())),
        outputs={table.name: table_hash(table, frames[table.name]) for table in STATEMENT_TABLES},
        counts=_counts(settlement),
        reconciliations=lines,
        hash="",
    )
    return msgspec.structs.replace(record, hash=record_hash(record))


def record_hash(record: CloseRecord) -> str:
    """SHA-256 of the record without its hash, as JSON with sorted keys and no spaces."""
    fields = {name: msgspec.to_builtins(getattr(record, name)) for name in record.__struct_fields__ if name != "hash"}
    return hashlib.sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()


def table_hash(table: Table, frame: pl.DataFrame) -> str:
    """SHA-256 of a table's rows as text.

    Columns in published order joined by tab, null empty, lists joined by `;`; rows in order of their bytes, each
    ended by a newline. There is no header.
    """
    cells = [
        pl.col(column.name).list.join(";") if column.kind == "list" else pl.col(column.name).cast(pl.String) for column in table.columns
    ]
    texts = frame.select(pl.concat_str([cell.fill_null("") for cell in cells], separator="\t").alias("text"))["text"]
    lines = texts.sort().str.join("\n").cast(pl.Binary).item() if texts.len() else b""
    digest = hashlib.sha256(lines)
    digest.update(b"\n" if texts.len() else b"")
    return digest.hexdigest()


def reconcile(settlement: Settlement) -> tuple[Reconciliation, ...]:
    """Every sum that must agree with another, taken from the published tables. Differences are absolute and added up.

    Periods that stand as an earlier close left them added up then; every sum but that of seconds is of one period, or of such sums.
    """
    own = pl.col("period") > settlement.published
    invoices, lines, postings, payouts = (getattr(settlement, name).filter(own) for name in ("invoices", "lines", "postings", "payouts"))
    bill = ["account_id", "period"]
    owed = postings.filter(pl.col("account") == "receivable").with_columns(pl.col("amount_micros").cast(WIDE))
    due = postings.filter(pl.col("account") == "provider_payable").select(
        "period", "currency", provider_id="party", amount_micros=0 - pl.col("amount_micros").cast(WIDE)
    )
    return (
        _line("entries sum to zero, micros", _off(postings, ["entry_id", "currency"], amount="amount_micros")),
        _line("trial balance per currency, micros", _off(postings, ["currency"], amount="amount_micros")),
        _line("lines add up to subtotals, micros", _apart(lines, invoices, bill, "amount_micros", "subtotal_micros")),
        _line("lines add up to subtotals, cents", _apart(lines, invoices, bill, "amount_cents", "subtotal_cents")),
        _line(
            "receivables are the payables, micros",
            _apart(owed, invoices.with_columns(owed=pl.col("payable_cents").cast(WIDE) * MICROS_PER_CENT), bill, "amount_micros", "owed"),
        ),
        _line(
            "subtotal and tax are what is payable, cents",
            _sum(invoices, (_wide("subtotal_cents") + _wide("tax_cents") - _wide("payable_cents")).abs()),
        ),
        _line(
            "providers are owed their payouts, micros",
            _apart(due, payouts, ["provider_id", "period", "currency"], "amount_micros", "net_micros"),
        ),
        _line(
            "seconds metered are settled or later, seconds",
            abs(settlement.reading.seconds - settlement.seconds_settled - settlement.reading.seconds_later),
        ),
    )


def unchanged(settlement: Settlement, previous: PreviousClose) -> tuple[Reconciliation, ...]:
    """Whether the periods of an earlier close are what they were, and its record still proves them.

    The first difference counts rows that were added, taken away or changed; the second, hashes that no longer match.
    """
    frames = settlement.tables()
    rows = 0
    for table in PERIOD_TABLES if settlement.published < previous.record.as_of else ():
        mine = frames[table.name].filter(pl.col("period") <= previous.record.as_of)
        theirs = previous.tables[table.name].select(mine.columns)
        rows += sum(
            one.join(other, on=mine.columns, how="anti", nulls_equal=True).height for one, other in ((mine, theirs), (theirs, mine))
        )
    unproven = {} if previous.proven else previous.tables
    stale = [name for name, frame in unproven.items() if _hash_of(name, frame) != previous.record.outputs.get(name)]
    broken = record_hash(previous.record) != previous.record.hash
    return (
        _line("earlier periods are unchanged, rows", rows),
        _line("the previous close proves itself, hashes", len(stale) + broken),
    )


def _counts(settlement: Settlement) -> Counts:
    reading = settlement.reading
    return Counts(
        usage_rows=reading.rows,
        duplicates=reading.duplicates,
        conflicts=settlement.conflicts.height,
        rows_later=reading.rows_later,
        seconds_later=reading.seconds_later,
        seconds_above_lease=reading.seconds_above,
    )


def _line(name: str, difference: int) -> Reconciliation:
    return Reconciliation(name=name, difference=difference)


def _off(frame: pl.DataFrame, keys: Sequence[str], *, amount: str) -> int:
    """Σ over groups of |Σ amount|."""
    return _sum(frame.group_by(keys).agg(pl.col(amount).cast(WIDE).sum()), pl.col(amount).abs())


def _apart(left: pl.DataFrame, right: pl.DataFrame, keys: list[str], *amounts: str) -> int:
    """Σ over groups of |Σ left − Σ right|, the two columns of amounts given in that order."""
    sides = [
        frame.select(*keys, amount=pl.col(amount).cast(WIDE) * sign)
        for frame, amount, sign in zip((left, right), amounts, (1, -1), strict=True)
    ]
    return _off(pl.concat(sides), keys, amount="amount")


def _wide(name: str) -> pl.Expr:
    return pl.col(name).cast(WIDE)


def _sum(frame: pl.DataFrame, amount: pl.Expr) -> int:
    return int(frame.select(amount.cast(WIDE).sum()).item() or 0)


def _hash_of(name: str, frame: pl.DataFrame) -> str:
    return table_hash(next(table for table in STATEMENT_TABLES if table.name == name), frame)
