"""Many readers of the same minute: what they see is worked out once, and anew when its cycle or its minute has passed."""

import asyncio
from datetime import timedelta

import pytest

from tests.fake_market import NOW
from web.pages.market_kept import KEPT_MAX, KeptMinute

pytestmark = pytest.mark.anyio


class Maker:
    """Counts what it makes."""

    def __init__(self) -> None:
        self.made = 0

    async def __call__(self) -> int:
        await asyncio.sleep(0)
        self.made += 1
        return self.made


async def test_a_hundred_readers_at_once_are_shown_one_thing():
    kept, maker = KeptMinute[int](), Maker()
    shown = await asyncio.gather(*(kept.get("H100-SXM", maker, cycle="cyc_1", now=NOW) for _ in range(100)))
    assert (set(shown), maker.made) == ({1}, 1)


async def test_another_class_cycle_or_minute_is_worked_out_anew():
    kept, maker = KeptMinute[int](), Maker()
    asked = [("a", "cyc_1", NOW), ("b", "cyc_1", NOW), ("a", "cyc_1", NOW + timedelta(seconds=59)), ("a", "cyc_2", NOW),
             ("a", "cyc_2", NOW + timedelta(minutes=1)), ("a", "cyc_2", NOW + timedelta(minutes=1))]  # fmt: skip
    shown = [await kept.get(key, maker, cycle=cycle, now=now) for key, cycle, now in asked]
    assert shown == [1, 2, 1, 3, 4, 4]


async def test_what_is_refused_is_not_kept():
    kept, maker = KeptMinute[int](), Maker()

    async def refuse() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        await kept.get("a", refuse, cycle="cyc_1", now=NOW)
    assert await kept.get("a", maker, cycle="cyc_1", now=NOW) == 1


async def test_no_more_is_kept_than_there_is_room_for():
    kept, maker = KeptMinute[int](), Maker()
    for key in range(KEPT_MAX + 1):
        await kept.get(key, maker, cycle="cyc_1", now=NOW)
    assert await kept.get(KEPT_MAX, maker, cycle="cyc_1", now=NOW) == KEPT_MAX + 1
    assert await kept.get(0, maker, cycle="cyc_1", now=NOW) == KEPT_MAX + 2, "the first had to make room"
