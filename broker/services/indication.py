"""What the next gate would clear at if it closed now: a price nobody is bound by, and nobody's bid can be read from.

A class and tier is shown where at least `BUYERS_MIN` buyers would win some of it, to the cent. What is shown changes only when the orders
of none, or of so many buyers, have changed since it was last worked out: one who enters a bid sees nothing move.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

BUYERS_MIN = 3


class IndicativePrice(msgspec.Struct, frozen=True, kw_only=True):
    """The mean price of a class at a tier, micros per accelerator-hour, to the cent."""

    hardware: str
    tier: str
    rate_micros: int


class Indication(msgspec.Struct, frozen=True, kw_only=True):
    """The indicative prices of one gate, by class and tier.

    gate_at        whose prices these would be; null where there are none now
    worked_out_at  from the book as it stood then; null where there are none now
    """

    currency: str
    gate_at: datetime | None = None
    worked_out_at: datetime | None = None
    prices: list[IndicativePrice] = []

    @property
    def mark(self) -> str:
        """Differs whenever these prices are worked out anew."""
        return self.worked_out_at.isoformat() if self.worked_out_at else "none"

    def of(self, hardware: str) -> list[IndicativePrice]:
        """Those of one class."""
        return [price for price in self.prices if price.hardware == hardware]


class Indications:
    """The last indication of this process, for as long as its gate is ahead."""

    def __init__(self, currency: str) -> None:
        self._last = Indication(currency=currency)

    def put(self, indication: Indication) -> None:
        """Show this one from now on."""
        self._last = indication

    def at(self, now: datetime) -> Indication:
        """What is shown at a moment: nothing once its gate has closed."""
        last = self._last
        return last if last.gate_at is not None and now < last.gate_at else Indication(currency=last.currency)


def may_be_told(buyers_moved: Iterable[str]) -> bool:
    """Whether a new indication may be shown, by the buyers whose orders came or went since the last: of none, or of enough."""
    moved = len(set(buyers_moved))
    return moved == 0 or moved >= BUYERS_MIN
