"""One look a tick for everybody who listens, whatever they do; and nothing while nobody does."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.services.market_watch import BOOK_LOOKS, MarketWatch, Pulse

pytestmark = pytest.mark.anyio
LONG = 60.0


def a_pulse(cycle: int = 1, *, book: int = 0) -> Pulse:
    return Pulse(cycle=str(cycle), gate="open", indication="none", book=str(book))


class Stage:
    """A store that says what it is told to, and a clock that ticks when it is told to."""

    def __init__(self, *pulses: Pulse) -> None:
        self.pulses, self.looks, self.ticks = list(pulses), 0, asyncio.Semaphore(0)
        self.watch = MarketWatch(self._look, tick=self._tick)

    async def _look(self) -> Pulse:
        self.looks += 1
        return self.pulses[min(self.looks, len(self.pulses)) - 1]

    async def _tick(self) -> None:
        await self.ticks.acquire()

    async def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.ticks.release()
            await settle()


async def settle() -> None:
    """Let everybody who is awake go on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def hear(stream: AsyncIterator[Pulse | None], heard: list[Pulse | None]) -> None:
    async for pulse in stream:
        heard.append(pulse)


def listeners(stage: Stage, count: int) -> tuple[list[asyncio.Task[None]], list[list[Pulse | None]]]:
    heard: list[list[Pulse | None]] = [[] for _ in range(count)]
    return [asyncio.create_task(hear(stage.watch.listen(patience=LONG), each)) for each in heard], heard


async def test_two_hundred_listeners_cost_one_look_a_tick():
    stage = Stage(*(a_pulse(number // 3) for number in range(30)))
    tasks, heard = listeners(stage, 200)
    await settle()
    assert stage.looks == 1
    await stage.tick(29)
    assert stage.looks == 30
    assert all([pulse.cycle for pulse in each] == [str(number) for number in range(10)] for each in heard)
    stage.watch.close()
    await asyncio.gather(*tasks)


async def test_nobody_listening_nobody_looks_and_who_comes_back_hears_what_is_so_now():
    stage = Stage(a_pulse(1), a_pulse(2))
    (task,), _ = listeners(stage, 1)
    await settle()
    task.cancel()
    await settle()
    assert stage.watch.listeners == 0
    await stage.tick(5)
    assert stage.looks == 1
    (task,), (heard,) = listeners(stage, 1)
    await settle()
    assert [pulse.cycle for pulse in heard] == ["2"]
    stage.watch.close()
    await task


async def test_one_who_leaves_takes_nobody_along():
    stage = Stage(a_pulse(1), a_pulse(2))
    (leaving, staying), (_, heard) = listeners(stage, 2)
    await settle()
    leaving.cancel()
    await stage.tick()
    assert [pulse.cycle for pulse in heard] == ["1", "2"]
    stage.watch.close()
    await staying


async def test_a_busy_book_is_told_once_in_ten_looks_and_a_cycle_at_once():
    stage = Stage(*(a_pulse(1 if number < 5 else 2, book=number) for number in range(21)))
    (task,), (heard,) = listeners(stage, 1)
    await settle()
    await stage.tick(20)
    assert [(pulse.cycle, pulse.book) for pulse in heard] == [("1", "0"), ("2", "0"), ("2", str(BOOK_LOOKS)), ("2", str(2 * BOOK_LOOKS))]
    stage.watch.close()
    await task


async def test_a_store_that_cannot_be_asked_ends_the_streams_and_the_next_listener_tries_again():
    stage = Stage(a_pulse(1))

    async def broken() -> Pulse:
        raise ConnectionError("the store is away")

    stage.watch._look, whole = broken, stage.watch._look
    (task,), (heard,) = listeners(stage, 1)
    await asyncio.wait_for(task, LONG)
    assert heard == []
    stage.watch._look = whole
    (task,), (heard,) = listeners(stage, 1)
    await settle()
    assert [pulse.cycle for pulse in heard] == ["1"]
    stage.watch.close()
    await task


async def test_silence_is_broken_so_that_the_line_is_seen_to_be_open():
    stage = Stage(a_pulse(1))
    stream = stage.watch.listen(patience=0.001)
    assert [await anext(stream) for _ in range(3)] == [a_pulse(1), None, None]
    await stream.aclose()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
async def test_whoever_listens_hears_every_change_and_no_pulse_twice_running(cycles):
    stage = Stage(*map(a_pulse, cycles))
    (task,), (heard,) = listeners(stage, 1)
    await settle()
    await stage.tick(len(cycles))
    assert heard == [a_pulse(cycle) for place, cycle in enumerate(cycles) if place == 0 or cycle != cycles[place - 1]]
    stage.watch.close()
    await task
