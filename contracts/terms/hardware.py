"""Accelerator hardware: what a class is, and how its hours translate into reference work.

The reference hour is what one H100 SXM does in an hour at dense FP16 peak; 1 PF-day = 8.64e19 FLOP.
The catalogue itself is data, read at the edge and handed in.
"""

from decimal import Decimal

import msgspec

from contracts.terms.money import half_up

REFERENCE_CLASS = "H100-SXM"
TFLOP_SECONDS_PER_PF_DAY = 86_400_000
MILLION = 1_000_000


class HardwareClass(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of accelerator.

    name         the class as traded, e.g. `H100-SXM`
    tflops       dense FP16/BF16 peak, TFLOP/s, whole
    memory_gb    per accelerator, GB
    watts        board power, W
    chip_origin  country of the designer, ISO 3166-1 alpha-2 (export rules read it)
    source       where the figures come from
    """

    name: str
    vendor: str
    variant: str
    tflops: int
    memory_gb: float | None
    watts: float | None
    chip_origin: str
    confidence: str
    source: str

    def __post_init__(self) -> None:
        if self.tflops < 1:
            raise ValueError(f"hardware {self.name}: tflops must be at least 1, was {self.tflops}")


def factor(tflops: int, reference_tflops: int, *, portability_loss: Decimal = Decimal(0)) -> Decimal:
    """Reference hours per accelerator-hour: throughput ratio less what translating the stack costs, six places."""
    kept = int((1 - portability_loss) * MILLION)
    return Decimal(half_up(tflops * kept, reference_tflops)) / MILLION
