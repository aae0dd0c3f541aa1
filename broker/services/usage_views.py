"""What a provider's meter sends."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from contracts.terms.errors import BadInput
from contracts.usage import UsageRecord

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class UsageReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One revision of a metered delivery, as its meter saw it; when it arrived is for the broker to say.

    rev                  0 is the first report; a higher one replaces what lower ones said
    accelerator_seconds  whole; at most accelerators × time
    """

    usage_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    lease_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    start: Moment
    end: Moment
    accelerator_seconds: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    status: Literal["delivered", "provider_failed", "preempted"] = "delivered"
    rev: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0

    def record(self, received_at: datetime) -> UsageRecord:
        """The record as of its arrival. Raises BadInput for a span that ends before it starts."""
        facts = {name: getattr(self, name) for name in self.__struct_fields__}
        try:
            span = {"start": self.start.astimezone(UTC), "end": self.end.astimezone(UTC)}
            return UsageRecord(**(facts | span), received_at=received_at)
        except (ValueError, OverflowError) as error:
            raise BadInput(str(error), usage_id=self.usage_id) from error


class UsageReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """How many records came, and how many of them were new."""

    received: int
    new: int
