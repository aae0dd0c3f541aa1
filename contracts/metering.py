"""The buyer's meter beside the provider's: where the two differ by more than meters do."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from contracts.terms.money import BASIS_POINTS

TOLERANCE_BPS = 100


class CounterReading(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer's own meter counted on a lease from `start` to `end`, whole accelerator-seconds."""

    lease_id: str
    start: datetime
    end: datetime
    accelerator_seconds: int
    received_at: datetime


class MeterPair(msgspec.Struct, frozen=True, kw_only=True):
    """A reading, and what the provider reported for the same lease and span: delivered and preempted seconds of its latest records."""

    account_id: str
    provider_id: str
    lease_id: str
    start: datetime
    end: datetime
    buyer_seconds: int
    provider_seconds: int


class MeterDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A pair that differs; above 0 the provider reported more than the buyer saw."""

    pair: MeterPair
    seconds: int


def differences(pairs: Iterable[MeterPair]) -> tuple[MeterDifference, ...]:
    """The pairs that differ by more than the tolerance of the larger figure, the greatest difference first."""
    found = [MeterDifference(pair=each, seconds=each.provider_seconds - each.buyer_seconds) for each in pairs]
    wide = [
        each
        for each in found
        if abs(each.seconds) * BASIS_POINTS > TOLERANCE_BPS * max(each.pair.buyer_seconds, each.pair.provider_seconds)
    ]
    return tuple(sorted(wide, key=lambda each: (-abs(each.seconds), each.pair.lease_id, each.pair.start)))
