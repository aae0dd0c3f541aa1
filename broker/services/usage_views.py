"""What a provider's meter sends, and what it is told."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
import polars as pl

from contracts.ledger_tables import USAGE
from contracts.terms.errors import BadInput
from contracts.terms.time import EPOCH, MICROSECOND, utc

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\u0000]*$")]
# Between these every moment has a date of four digits, wherever it goes.
EARLIEST, LATEST = ((utc(text) - EPOCH) // MICROSECOND for text in ("1970-01-01T00:00:00Z", "2970-01-01T00:00:00Z"))


class UsageReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One revision of a metered delivery, as its meter saw it; when it arrived is for the broker to say.

    rev                  0 is the first report; a higher one replaces what lower ones said
    accelerator_seconds  whole; at most what was leased in that time
    """

    usage_id: Name
    lease_id: Name
    start: Moment
    end: Moment
    accelerator_seconds: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    status: Literal["delivered", "provider_failed", "preempted"] = "delivered"
    rev: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0


class RefusedReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report that was set aside.

    row      its number in the batch, from 0
    reason   a word for programs; `detail` says it for people
    differs  the columns in which it is not what is known; empty unless the reason is `other_content`
    """

    row: int
    usage_id: str
    rev: int
    reason: str
    detail: str
    differs: list[str] = []


class UsageReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch came to: received = new + known + set aside.

    known      records that had come before, word for word
    set_aside  reports that are kept and not counted, by row
    """

    received: int
    new: int
    known: int = 0
    set_aside: list[RefusedReport] = []


class AsideRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A report that was set aside, as it came, and why."""

    id: int
    usage_id: str
    rev: int
    lease_id: str
    start: datetime
    end: datetime
    accelerator_seconds: int
    status: str
    received_at: datetime
    reason: str
    reported_by: str


def as_batch(reports: Sequence[UsageReport], received_at: datetime) -> pl.DataFrame:
    """Reports as a frame: the columns of `USAGE`, and `row`. Raises BadInput for a moment no market has seen."""
    spans = {name: [(getattr(each, name) - EPOCH) // MICROSECOND for each in reports] for name in ("start", "end")}
    for moments in spans.values():
        if moments and (min(moments) < EARLIEST or max(moments) >= LATEST):
            row = next(row for row, moment in enumerate(moments) if not EARLIEST <= moment < LATEST)
            raise BadInput("start and end must lie in 1970 to 2969", row=row, usage_id=reports[row].usage_id)
    plain = {name: [getattr(each, name) for each in reports] for name in ("usage_id", "rev", "lease_id", "accelerator_seconds", "status")}
    schema = USAGE.schema
    columns = [pl.Series(name, spans[name], dtype=pl.Int64()).cast(schema[name]) for name in spans]
    columns += [pl.Series(name, values, dtype=schema[name]) for name, values in plain.items()]
    arrival = pl.lit(received_at).cast(schema["received_at"]).alias("received_at")
    return pl.DataFrame(columns).with_columns(arrival).select(list(schema)).with_row_index("row")
