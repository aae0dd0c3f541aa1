"""Many readers at once: what they see is worked out once, and anew when its moment has passed."""

import asyncio

import pytest

from web.pages.kept import KEPT_MAX, Kept

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
    kept, maker = Kept[int](), Maker()
    shown = await asyncio.gather(*(kept.get("H100-SXM", maker, moment=1) for _ in range(100)))
    assert (set(shown), maker.made) == ({1}, 1)


async def test_another_class_or_moment_is_worked_out_anew():
    kept, maker = Kept[int](), Maker()
    asked = [("a", 1), ("b", 1), ("a", 1), ("a", 2), ("a", 3), ("a", 3), ("a", 1)]
    shown = [await kept.get(key, maker, moment=moment) for key, moment in asked]
    assert shown == [1, 2, 1, 3, 4, 4, 5]


async def test_nobody_waits_for_another_class():
    kept, maker, gate = Kept[int](), Maker(), asyncio.Event()

    async def slow() -> int:
        await gate.wait()
        return 0

    waiting = asyncio.create_task(kept.get("slow", slow, moment=1))
    await asyncio.sleep(0)
    assert await kept.get("quick", maker, moment=1) == 1
    gate.set()
    assert await waiting == 0


async def test_what_is_refused_is_not_kept():
    kept, maker = Kept[int](), Maker()

    async def refuse() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        await kept.get("a", refuse, moment=1)
    assert await kept.get("a", maker, moment=1) == 1


async def test_no_more_is_kept_than_there_is_room_for():
    kept, maker = Kept[int](), Maker()
    for key in range(KEPT_MAX + 1):
        await kept.get(key, maker, moment=1)
    assert await kept.get(KEPT_MAX, maker, moment=1) == KEPT_MAX + 1
    assert await kept.get(0, maker, moment=1) == KEPT_MAX + 2, "the first had to make room"
