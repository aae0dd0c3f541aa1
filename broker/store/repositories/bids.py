"""Bids and what clearings gave them."""

from datetime import datetime

import msgspec
from sqlalchemy import func, tuple_, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.ports import BidOutcome
from broker.store.rows import BidRow, CycleRow, OutcomeRow
from contracts.terms.accounts import DEFAULT_PROJECT
from contracts.terms.bids import Bid, BidRequest
from contracts.terms.errors import NotFound


class BidRepository:
    """Accepted bids."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, bid: Bid) -> None:
        """Keep a new bid."""
        self._session.add(_row(bid))
        await self._session.flush()

    async def add_many(self, bids: list[Bid]) -> None:
        """Keep many new bids."""
        self._session.add_all([_row(bid) for bid in bids])
        await self._session.flush()

    async def known(self, bid_ids: list[str]) -> set[str]:
        """Which of these ids are there already."""
        return set(await self._session.scalars(select(BidRow.id).where(col(BidRow.id).in_(bid_ids))))

    async def bid(self, bid_id: str, *, locked: bool = False) -> Bid:
        """One bid. Raises NotFound."""
        row = await self._session.get(BidRow, bid_id, with_for_update=locked)
        if row is None:
            raise NotFound(f"no bid has the id {bid_id}", bid_id=bid_id)
        return _bid(row)

    async def of_account(self, account_id: str, *, after: str | None, limit: int, newest_first: bool = False) -> list[Bid]:
        """An account's bids by id, or those entered last first; those after a given one. Raises NotFound when that is no bid."""
        statement = select(BidRow).where(col(BidRow.account_id) == account_id)
        if newest_first:
            place = tuple_(col(BidRow.entered_at), col(BidRow.id))
            if after:
                last = await self.bid(after)
                statement = statement.where(place < tuple_(last.entered_at, last.id))
            statement = statement.order_by(col(BidRow.entered_at).desc(), col(BidRow.id).desc())
        else:
            statement = statement.where(col(BidRow.id) > (after or "")).order_by(col(BidRow.id))
        return [_bid(row) for row in await self._session.scalars(statement.limit(limit))]

    async def open_between(self, start: datetime, end: datetime) -> list[Bid]:
        """Open bids whose window touches a span, by id."""
        statement = select(BidRow).where(col(BidRow.status) == "open", col(BidRow.window_start) < end, col(BidRow.window_end) > start)
        return [_bid(row) for row in await self._session.scalars(statement.order_by(col(BidRow.id)))]

    async def ended_before(self, moment: datetime) -> list[Bid]:
        """Open bids whose window has passed, by id."""
        statement = select(BidRow).where(col(BidRow.status) == "open", col(BidRow.window_end) <= moment)
        return [_bid(row) for row in await self._session.scalars(statement.order_by(col(BidRow.id)))]

    async def withdrawn(self, bid_ids: list[str]) -> list[str]:
        """Which of these bids their buyers took back, by id."""
        statement = select(BidRow.id).where(col(BidRow.id).in_(bid_ids), col(BidRow.status) == "withdrawn")
        return list(await self._session.scalars(statement.order_by(col(BidRow.id))))

    async def replace(self, bid: Bid) -> None:
        """Write what may change of a bid: status and hours_left."""
        changed = {"status": bid.status, "hours_left": bid.hours_left}
        await self._session.execute(update(BidRow).where(col(BidRow.id) == bid.id).values(changed))

    async def outcomes(self, bid_ids: list[str]) -> dict[str, BidOutcome]:
        """What clearings gave these bids: hours and paid added up, the latest reason."""
        newest_first = aggregate_order_by(col(OutcomeRow.reason), col(CycleRow.number).desc())
        statement = (
            select(
                OutcomeRow.bid_id,
                func.sum(OutcomeRow.hours),
                func.sum(OutcomeRow.paid_micros),
                func.array_agg(newest_first),
            )
            .join(CycleRow, col(CycleRow.id) == col(OutcomeRow.cycle_id))
            .where(col(OutcomeRow.bid_id).in_(bid_ids))
            .group_by(col(OutcomeRow.bid_id))
        )
        rows = await self._session.execute(statement)
        return {bid_id: BidOutcome(float(hours), int(paid), reasons[0]) for bid_id, hours, paid, reasons in rows}


def _row(bid: Bid) -> BidRow:
    return BidRow(
        id=bid.id,
        account_id=bid.account_id,
        project_id=bid.request.project or DEFAULT_PROJECT,
        entered_at=bid.entered_at,
        window_start=bid.request.window_start,
        window_end=bid.request.window_end,
        width=bid.request.width,
        hours=bid.request.hours,
        hours_left=bid.hours_left,
        status=bid.status,
        requirements=msgspec.to_builtins(bid.request),
    )


def _bid(row: BidRow) -> Bid:
    return Bid(
        id=row.id,
        account_id=row.account_id,
        entered_at=row.entered_at,
        request=msgspec.convert(row.requirements, BidRequest),
        hours_left=row.hours_left,
        status=row.status,  # type: ignore[arg-type]
    )
