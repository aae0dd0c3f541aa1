"""What searches read beside the book is read once, until it is forgotten."""

import pytest

from broker.services.offers import TransferRate
from broker.services.search_facts import Kept

pytestmark = pytest.mark.anyio


class Counting:
    """Facts that say how often they were read; `kept` is forgotten in the middle of a reading where it is told to be."""

    def __init__(self, forgetful: Kept | None = None) -> None:
        self.reads = 0
        self._forgetful = forgetful

    async def latencies(self, place: str) -> dict[str, float]:
        self.reads += 1
        if self._forgetful is not None:
            self._forgetful.forget()
        return {place: float(self.reads)}

    async def transfers(self, from_country: str) -> dict[str, TransferRate]:
        self.reads += 1
        return {from_country: TransferRate(self.reads, 1.0)}

    async def last_rates(self, tier: str) -> dict[tuple[str, str, bool], int]:
        self.reads += 1
        return {(tier, "", True): self.reads}


async def test_each_fact_is_read_once_until_it_is_forgotten():
    kept, reader = Kept(), Counting()
    facts = kept.over(reader)
    for _ in range(2):
        assert await facts.latencies("paris") == {"paris": 1.0}
        assert await facts.latencies("oslo") == {"oslo": 2.0}
        assert await kept.over(Counting()).last_rates("spot") == {("spot", "", True): 1}
        assert await facts.transfers("FR") == {"FR": TransferRate(3, 1.0)}
    kept.forget()
    assert await facts.latencies("paris") == {"paris": 4.0}


async def test_what_was_being_read_when_it_was_forgotten_is_read_again():
    kept = Kept()
    facts = kept.over(Counting(kept))
    assert await facts.latencies("paris") == {"paris": 1.0}
    assert await facts.latencies("paris") == {"paris": 2.0}


async def test_no_more_is_kept_than_there_is_room_for():
    kept = Kept(most=1)
    facts = kept.over(Counting())
    assert [await facts.latencies(place) for place in ("paris", "oslo", "oslo", "paris")] == [
        {"paris": 1.0},
        {"oslo": 2.0},
        {"oslo": 3.0},
        {"paris": 1.0},
    ]
