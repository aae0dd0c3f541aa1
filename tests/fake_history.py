"""A price history that fits on a hand: two hours of one class."""

from collections.abc import Sequence
from datetime import datetime

from broker.services.price_history import HOUR, AskedHour, Version, hour_of


class FakeHistory:
    """H100s asked at 1.00, 2.00 and 3.00 in this hour and the one before; four accelerator-slots sold at 1.50 in this one."""

    async def asked(self, hardware: str, *, start: datetime, end: datetime) -> list[AskedHour]:
        if hardware != "H100-SXM":
            return []
        rates = {"rate_p10_micros": 1_000_000, "rate_p50_micros": 2_000_000, "rate_p90_micros": 3_000_000}
        return [AskedHour(hour=hour, offers=3, **rates) for hour in (end - 2 * HOUR, end - HOUR) if hour >= start]

    async def cleared(self, hardware: str, *, start: datetime, end: datetime) -> dict[datetime, tuple[int, int]]:
        return {end - HOUR: (6_000_000, 4)}

    async def versions(self, offer_id: str, *, start: datetime, end: datetime) -> Sequence[Version]:
        return [Version(since=hour_of(start), until=end, rate_micros=2_000_000)] if offer_id == "ofr_a" else []
