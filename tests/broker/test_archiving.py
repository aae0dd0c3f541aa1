"""Closed usage is copied to segments and read from there: the same bills and the same hash, whatever is missing."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func
from sqlmodel import col, select

from broker.app import Market
from broker.archiving import SegmentDesk
from broker.closing import CloseReport
from broker.files.archive import UsageArchive
from broker.store.repositories.acts import ActRepository
from broker.store.repositories.settlements import SettlementRepository
from broker.store.rows import UsageRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.periods import Segment
from contracts.terms.errors import BadInput
from contracts.terms.time import month_of
from tests.broker.dying import die_everywhere
from tests.broker.small_market import pass_time
from tests.broker.test_close_steps import HOURS, correct
from tests.broker.test_closing import CLOSES_AT, FAITHFUL, MONTH, PEOPLE, delivered_market
from tests.object_store import object_store

pytestmark = pytest.mark.anyio
FEBRUARY = month_of(MONTH.end)


async def opened(sessions: Sessions) -> Market:
    """A market at the moment January closes: 16.00 USD delivered, in two records."""
    market: Market
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    return market


async def close_january(market: Market) -> CloseReport:
    """January, and a correction of its first hour to the half at the very moment it closes, which February finds."""
    await correct(market, seconds=4 * HOURS, rev=1)
    return await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)


async def close_february(market: Market) -> CloseReport:
    """February, and the same again when it is closed already."""
    closes_at = FEBRUARY.end + timedelta(hours=6)
    pass_time(market, max(timedelta(0), closes_at - market.clock.now()))
    return await market.close().run(FEBRUARY.start, closes_at=closes_at, people=PEOPLE)


async def segments(sessions: Sessions) -> dict[str, list[Segment]]:
    async with unit_of_work(sessions) as work:
        histories = await ActRepository(work).histories("segment")
    return {subject: [act.told(Segment) for act in history] for subject, history in histories.items()}


def files(place: Path) -> list[Path]:
    return sorted(place.iterdir())


def desk(market: Market) -> SegmentDesk:
    return SegmentDesk(sessions=market.sessions, archive=market.archive, clock=market.clock)


async def same_without(market: Market, report: CloseReport) -> None:
    """The store alone comes to the same record, bills and input files."""
    place, market.archive = market.archive, None
    again = await market.close().finalise(report.closed.period, actor="grace")
    market.archive = place
    assert (again.record, again.files) == (report.record, report.files)
    assert again.settlement.lines.equals(report.settlement.lines)


@pytest.mark.parametrize("kind", ["directory", "bucket"])
async def test_a_month_settled_from_segments_is_the_same(sessions: Sessions, tmp_path: Path, kind: str):
    """January has two records, which the segment gives back; February reads the correction alone from the store."""
    market = await opened(sessions)
    with object_store(f"archiving-{tmp_path.name.replace('_', '-')}"[:60].strip("-")) as bucket:
        market.archive = UsageArchive(str(tmp_path) if kind == "directory" else f"{bucket.url}/segments")
        await close_january(market)
        kept = await desk(market).kept(before=2)
        assert (kept.rows.height, kept.until) == (2, CLOSES_AT)
        second = await close_february(market)
        assert {period: [each.rows for each in of] for period, of in (await segments(sessions)).items()} == {"1": [2], "2": [1]}
    lines = second.settlement.lines.filter(kind="usage").select("period", "month", "amount_micros").rows()
    assert lines == [(1, 1, 16_000_000), (2, 1, -4_000_000)]
    await same_without(market, second)


async def test_what_a_segment_gives_is_not_read_from_the_store(sessions: Sessions, tmp_path: Path, monkeypatch):
    market = await opened(sessions)
    market.archive = UsageArchive(str(tmp_path))
    await close_january(market)
    asked = []
    received = SettlementRepository.received

    async def watched(self, until, *, since=None, **rest):
        asked.append(since)
        return await received(self, until, since=since, **rest)

    monkeypatch.setattr(SettlementRepository, "received", watched)
    await close_february(market)
    assert asked
    assert set(asked) == {CLOSES_AT}


async def test_a_missing_segment_is_read_from_the_store_and_written_again(sessions: Sessions, tmp_path: Path):
    market = await opened(sessions)
    market.archive = UsageArchive(str(tmp_path))
    await close_january(market)
    (file,) = files(tmp_path)
    content = file.read_bytes()
    file.unlink()
    assert await desk(market).kept(before=2) is None
    second = await close_february(market)
    assert file.read_bytes() == content
    assert len(files(tmp_path)) == 2
    await same_without(market, second)


async def test_a_spoilt_segment_stops_the_close_until_it_is_taken_away(sessions: Sessions, tmp_path: Path):
    market = await opened(sessions)
    market.archive = UsageArchive(str(tmp_path))
    await close_january(market)
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BadInput, match=file.name):
        await close_february(market)
    file.unlink()
    assert (await close_february(market)).record.holds


async def test_two_runs_at_once_note_one_segment(sessions: Sessions, tmp_path: Path):
    market = await opened(sessions)
    await close_january(market)
    market.archive = UsageArchive(str(tmp_path))
    await asyncio.gather(*(desk(market).write(actor=who) for who in PEOPLE))
    assert {name: len(of) for name, of in (await segments(sessions)).items()} == {"1": 1}
    assert len(files(tmp_path)) == 1


async def test_a_place_that_is_named_later_gets_what_was_closed_before(sessions: Sessions, tmp_path: Path):
    market = await opened(sessions)
    await close_january(market)
    market.archive = UsageArchive(str(tmp_path))
    await close_february(market)
    assert [path.name[:11] for path in files(tmp_path)] == ["usage-00001", "usage-00002"]


async def test_a_place_that_takes_nothing_does_not_stop_a_close(sessions: Sessions, tmp_path: Path):
    """The period is closed; the copy comes with a later close, once there is a place."""
    market = await opened(sessions)
    (tmp_path / "file").write_bytes(b"")
    market.archive = UsageArchive(str(tmp_path / "file"))
    await close_january(market)
    assert await segments(sessions) == {}
    (tmp_path / "file").unlink()
    second = await close_february(market)
    assert {name: len(of) for name, of in (await segments(sessions)).items()} == {"1": 1, "2": 1}
    await same_without(market, second)


async def test_a_close_that_dies_before_its_segment_is_noted_leaves_none(sessions: Sessions, tmp_path: Path):
    """At every statement of finalising: a segment is noted only when the period is closed, and the last run notes one."""
    market = await opened(sessions)
    market.archive = UsageArchive(str(tmp_path))
    close = market.close()
    await close.freeze(1, actor="ada", closes_at=CLOSES_AT)
    await close.rate(1, actor="ada")
    await close.review(1, actor="grace")

    async def right(_: int) -> None:
        async with unit_of_work(sessions) as work:
            closed = await SettlementRepository(work).closed()
            usage = int((await work.scalars(select(func.count()).select_from(UsageRow).where(col(UsageRow.received_at) < CLOSES_AT))).one())
        noted = await segments(sessions)
        assert len(noted) <= len(closed)
        kept = await desk(market).kept(before=2)
        assert kept is None or kept.rows.height == usage

    assert await die_everywhere(sessions, lambda: close.finalise(1, actor="grace"), after=right) > 20
    assert [each.rows for each in (await segments(sessions))["1"]] == [2]
    await same_without(market, await close_february(market))
