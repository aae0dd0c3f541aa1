"""Two meters on one lease."""

from datetime import UTC, datetime

from contracts.metering import MeterPair, differences

NOW = datetime(2027, 2, 1, tzinfo=UTC)


def pair(buyer: int, provider: int, lease: str = "lse_1") -> MeterPair:
    return MeterPair(account_id="a", provider_id="p", lease_id=lease, start=NOW, end=NOW, buyer_seconds=buyer, provider_seconds=provider)


def test_one_per_cent_is_how_meters_differ_and_more_is_listed():
    """Of 10,000 seconds, 100 fewer are within 1 %, 101 are not."""
    assert not differences([pair(9_900, 10_000)])
    (found,) = differences([pair(9_899, 10_000)])
    assert found.seconds == 101


def test_the_greatest_difference_comes_first_whoever_saw_more():
    found = differences([pair(100, 0, "lse_a"), pair(0, 0, "lse_b"), pair(0, 500, "lse_c")])
    assert [(each.pair.lease_id, each.seconds) for each in found] == [("lse_c", 500), ("lse_a", -100)]
