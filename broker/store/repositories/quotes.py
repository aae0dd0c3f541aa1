"""Quotes, what they hold, and the turns that keep two of them from holding the same accelerators."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import func, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.services.quote_ports import HeldAt, Shelf, ShelfPlace
from broker.store.repositories.book import BookRepository
from broker.store.repositories.feed import believed
from broker.store.rows import CycleRow, OfferRow, PriceRow, QuoteRow
from contracts.terms.bids import Bid
from contracts.terms.clearing import Cycle
from contracts.terms.errors import NotFound
from contracts.terms.orders import MarketRules
from contracts.terms.quotes import Quote, QuoteRequest
from contracts.terms.time import Period

NOT_FACTS = {"version", "observed_at", "superseded_at"}


class QuoteRepository:
    """Quotes by id."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def take_turn(self, hardware: Sequence[str]) -> None:
        """Until the transaction ends, be the only one that holds or takes these classes, and keep a cycle from reading its book.

        Classes are taken in order, so that two requests for the same ones wait for each other and never for ever. Advisory
        locks, and not locks of the offers' rows: a new version of an offer is another row, and two requests must not lock one each.
        """
        await self._session.execute(text("SELECT pg_advisory_xact_lock_shared(hashtextextended('quotes', 0))"))
        for name in sorted(set(hardware)):
            await self._session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))"), {"name": name})

    async def stop_turns(self) -> None:
        """Until the transaction ends nothing is held or taken: a cycle reads its book and says so."""
        await self._session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('quotes', 0))"))

    async def being_cleared(self, span: Period) -> bool:
        """Whether a cycle that has read its book and is not applied yet decides about slots of a span."""
        rows = await self._session.scalars(select(CycleRow).where(col(CycleRow.status) == "clearing"))
        cycles = [Cycle(**{name: getattr(row, name) for name in Cycle.__struct_fields__}) for row in rows]
        return any(each.start < span.end and each.grid.period(each.slots - 1).end > span.start for each in cycles)

    async def place(self, offer_id: str) -> ShelfPlace | None:
        """Where an offer stands, with its current version; None when it is withdrawn, not believed, or was never there."""
        statement = select(OfferRow.site, OfferRow.hardware, OfferRow.version).where(
            col(OfferRow.id) == offer_id, col(OfferRow.superseded_at).is_(None), believed()
        )
        found = (await self._session.execute(statement)).first()
        return ShelfPlace(site=found[0], hardware=found[1], version=found[2]) if found else None

    async def facts(self, offer_id: str, *, version: int | None = None) -> dict[str, object] | None:
        """What one version of an offer says, or the current one, which then stays so until the transaction ends; or None."""
        statement = select(OfferRow).where(col(OfferRow.id) == offer_id)
        if version is None:
            statement = statement.where(col(OfferRow.superseded_at).is_(None), believed()).with_for_update(read=True)
        else:
            statement = statement.where(col(OfferRow.version) == version)
        row = (await self._session.scalars(statement)).first()
        return {name: value for name, value in row.model_dump().items() if name not in NOT_FACTS} if row else None

    async def shelf(self, rules: MarketRules, bid: Bid, *, site: str | None, held: HeldAt) -> Shelf:
        """What one wish may be served from, at one site or at any: a book of it alone, with what leases and open quotes leave."""
        book, versions = await BookRepository(self._session).shelf(rules, bid, site=site, held=held)
        return Shelf(book=book, versions=versions, last=await self._last(rules, bid))

    async def _last(self, rules: MarketRules, bid: Bid) -> dict[str, int]:
        """The greatest price of the last applied cycle by pool, at the bid's tier, in the slots of the grid."""
        latest = (
            select(col(CycleRow.id))
            .where(col(CycleRow.applied_at).is_not(None))
            .order_by(col(CycleRow.number).desc())
            .limit(1)
            .scalar_subquery()
        )
        (tier,) = [name for name, limit in bid.request.limits.items() if limit is not None]
        statement = (
            select(PriceRow.pool, func.max(PriceRow.rate_micros))
            .where(
                col(PriceRow.cycle_id) == latest,
                col(PriceRow.tier) == tier,
                col(PriceRow.hardware).in_(list(bid.request.hardware)),
                col(PriceRow.slot_start) >= rules.start,
                col(PriceRow.slot_start) < rules.grid.period(rules.slots - 1).end,
            )
            .group_by(col(PriceRow.pool))
        )
        return {pool: int(rate) for pool, rate in await self._session.execute(statement)}

    async def add(self, quote: Quote) -> None:
        """Keep a new quote."""
        facts: dict[str, Any] = {name: getattr(quote, name) for name in QuoteRow.model_fields if name != "request"}
        self._session.add(QuoteRow(**facts, request=msgspec.to_builtins(quote.request)))
        await self._session.flush()

    async def quote(self, quote_id: str, *, locked: bool = False) -> Quote:
        """One quote. Raises NotFound."""
        row = await self._session.get(QuoteRow, quote_id, with_for_update=locked, populate_existing=locked)
        if row is None:
            raise NotFound(f"no quote has the id {quote_id}", quote_id=quote_id)
        return _quote(row)

    async def of_account(self, account_id: str, *, after: str | None, limit: int, newest_first: bool = False) -> list[Quote]:
        """An account's quotes by id, or those held last first; those after a given one. Raises NotFound when that is no quote."""
        statement = select(QuoteRow).where(col(QuoteRow.account_id) == account_id)
        if newest_first:
            place = tuple_(col(QuoteRow.created_at), col(QuoteRow.id))
            if after:
                last = await self.quote(after)
                statement = statement.where(place < tuple_(last.created_at, last.id))
            statement = statement.order_by(col(QuoteRow.created_at).desc(), col(QuoteRow.id).desc())
        else:
            statement = statement.where(col(QuoteRow.id) > (after or "")).order_by(col(QuoteRow.id))
        return [_quote(row) for row in await self._session.scalars(statement.limit(limit))]

    async def open_count(self, account_id: str, now: datetime) -> int:
        """How many quotes an account holds."""
        held = (col(QuoteRow.account_id) == account_id, col(QuoteRow.state) == "open", col(QuoteRow.expires_at) > now)
        return int((await self._session.scalars(select(func.count()).select_from(QuoteRow).where(*held))).one())

    async def any_open(self, now: datetime) -> bool:
        """Whether anybody holds a quote."""
        held = select(QuoteRow.id).where(col(QuoteRow.state) == "open", col(QuoteRow.expires_at) > now).limit(1)
        return (await self._session.scalars(held)).first() is not None

    async def close(self, quote: Quote) -> None:
        """Write what may change of a quote: its state."""
        await self._session.execute(update(QuoteRow).where(col(QuoteRow.id) == quote.id).values(state=quote.state))

    async def expire(self, now: datetime) -> int:
        """Mark the quotes whose time is over; returns how many. They hold nothing from that time on, marked or not."""
        over = update(QuoteRow).where(col(QuoteRow.state) == "open", col(QuoteRow.expires_at) <= now)
        return len((await self._session.scalars(over.values(state="expired").returning(col(QuoteRow.id)))).all())


def _quote(row: QuoteRow) -> Quote:
    facts = {name: getattr(row, name) for name in Quote.__struct_fields__ if name != "request"}
    return Quote(**facts, request=msgspec.convert(row.request, QuoteRequest))
