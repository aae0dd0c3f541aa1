"""What a class of accelerator, or one offer, has cost hour by hour: what was asked, and what was paid."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Protocol

import msgspec

from broker.clock import Clock
from contracts.terms.errors import BadInput, NotFound
from contracts.terms.money import half_up
from contracts.terms.time import iso

HOUR = timedelta(hours=1)
HOURS_MAX = 2_160


class AskedHour(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked in the hour that begins then: of so many offers the 10th, 50th and 90th percentile, micros per accelerator-hour."""

    hour: datetime
    offers: int
    rate_p10_micros: int
    rate_p50_micros: int
    rate_p90_micros: int


class PricePoint(AskedHour, frozen=True, kw_only=True):
    """An hour of the history.

    cleared_micros  what was paid in it, the mean by quantity, micros per accelerator-hour; null where nothing was sold or is known
    sold            accelerator-slots that was paid for
    """

    cleared_micros: int | None
    sold: int


class PriceHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Prices by the hour, the latest last. An hour nobody looked at, or in which nothing was offered, is missing."""

    hardware: str | None
    offer_id: str | None
    currency: str
    points: list[PricePoint]


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A class, or one offer; and how many hours, up to the present one."""

    hardware: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    offer_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    hours: Annotated[int, msgspec.Meta(ge=1, le=HOURS_MAX)] = 168


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """What an offer asked in [since, until), micros per accelerator-hour."""

    since: datetime
    until: datetime
    rate_micros: int


class HistoryReader(Protocol):
    """The store's hours."""

    async def asked(self, hardware: str, *, start: datetime, end: datetime) -> list[AskedHour]:
        """What was asked for a class in the hours of [start, end), in order."""
        ...

    async def cleared(self, hardware: str, *, start: datetime, end: datetime) -> dict[datetime, tuple[int, int]]:
        """By hour, Σ rate × sold and what was sold."""
        ...

    async def versions(self, offer_id: str, *, start: datetime, end: datetime) -> Sequence[Version]:
        """Versions of one offer that stood in [start, end), in order."""
        ...


class PriceHistoryService:
    """Shows the hours."""

    def __init__(self, reader: HistoryReader, *, clock: Clock, currency: str) -> None:
        self._reader = reader
        self._clock = clock
        self._currency = currency

    async def history(self, query: HistoryQuery) -> PriceHistory:
        """Prices of a class or of an offer. Raises BadInput for both or neither, NotFound for an offer that was not there in that time."""
        if (query.hardware is None) == (query.offer_id is None):
            raise BadInput("a history is of one class or of one offer", would_do="hardware=H100-SXM")
        now = self._clock.now()
        end = hour_of(now) + HOUR
        start = end - HOUR * query.hours
        if query.hardware is not None:
            asked = await self._reader.asked(query.hardware, start=start, end=end)
            cleared = await self._reader.cleared(query.hardware, start=start, end=end)
            points = [_point(each, cleared.get(each.hour)) for each in asked]
        else:
            versions = await self._reader.versions(query.offer_id or "", start=start, end=end)
            if not versions:
                raise NotFound("no such offer stood in that time", offer_id=query.offer_id or "", hours=query.hours)
            points = [_point(each, None) for each in hours_of(versions, start=start, end=now)]
        return PriceHistory(hardware=query.hardware, offer_id=query.offer_id, currency=self._currency, points=points)


def hour_of(moment: datetime) -> datetime:
    """The hour a moment is in, UTC."""
    return moment.replace(minute=0, second=0, microsecond=0)


def hours_of(versions: Sequence[Version], *, start: datetime, end: datetime) -> list[AskedHour]:
    """What an offer asked at the end of each hour of [start, end), or last in an hour that is not over; nothing where it did not stand."""
    found = []
    hour = start
    while hour < end:
        last = min(hour + HOUR, end + timedelta(microseconds=1)) - timedelta(microseconds=1)
        rate = next((each.rate_micros for each in reversed(versions) if each.since <= last < each.until), None)
        if rate is not None:
            found.append(AskedHour(hour=hour, offers=1, rate_p10_micros=rate, rate_p50_micros=rate, rate_p90_micros=rate))
        hour += HOUR
    return found


def as_csv(history: PriceHistory) -> str:
    """The points as CSV, the times as in JSON, an unknown price empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = PricePoint.__struct_fields__
    writer.writerow(names)
    for point in history.points:
        row = msgspec.structs.asdict(point) | {"hour": iso(point.hour)}
        writer.writerow([row[name] for name in names])
    return out.getvalue()


def _point(asked: AskedHour, cleared: tuple[int, int] | None) -> PricePoint:
    weighted, sold = cleared or (0, 0)
    return PricePoint(**msgspec.structs.asdict(asked), cleared_micros=half_up(weighted, sold) if sold else None, sold=sold)
