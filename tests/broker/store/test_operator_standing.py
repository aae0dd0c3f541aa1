"""What the operator's desk reads of a provider."""

from decimal import Decimal

from broker.store.repositories.operator_desk import standing_of
from tests.fake_market import NOW


def test_sums_are_read_however_the_store_writes_them():
    """A sum of round figures comes back as 5.76E+6 seconds; of 7.2E+6 due, 80 %."""
    counts = (3, 1, Decimal("2.4E+1"), 2, 0, Decimal("5.76E+6"), Decimal("7.2E+6"))
    standing = standing_of("prv_a", "A", "FR", *counts, True, None, 0, now=NOW)
    assert (standing.accelerators, standing.delivered_bps, standing.feed) == (24, 8_000, "new")
