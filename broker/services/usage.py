"""Taking in what providers metered: judged against the leases, kept once, and nothing lost."""

import polars as pl

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.ports import Usage
from broker.services.usage_views import AsideRecord, RefusedReport, UsageReceipt, UsageReport, as_batch
from broker.services.views import Caller, Page
from contracts.ledger_tables import USAGE
from contracts.plausibility import WORDS, alone, spans, together
from contracts.terms.errors import BadInput

COLUMNS = list(USAGE.schema)


class UsageService:
    """Keeps usage records, once each, and those that cannot be true beside them."""

    def __init__(self, usage: Usage, *, clock: Clock) -> None:
        self._usage = usage
        self._clock = clock

    async def report(self, reports: list[UsageReport], caller: Caller) -> UsageReceipt:
        """Keep a batch: what is new counts, what is known is no news, what cannot be true or contradicts is set aside.

        A provider reports on its own leases; another's is to it a lease that does not exist. Raises NotPermitted, and
        BadInput for moments outside four-digit years.
        """
        require(caller, "usage:write")
        if not reports:
            return UsageReceipt(received=0, new=0)
        batch = as_batch(reports, self._clock.now())
        judged = await self._judged(batch, caller)
        merged = await self._usage.merge(judged.filter(pl.col("reason").is_null()).drop("reason"))
        conflicts = merged.conflicts.with_columns(reason=pl.lit("other_content"))
        wrong = judged.filter(pl.col("reason").is_not_null()).with_columns(differs=pl.lit(""))
        aside = pl.concat([wrong.select(conflicts.columns), conflicts]).sort("row")
        await self._usage.set_aside(aside.select(*COLUMNS, "reason", reported_by=pl.lit(caller.account_id)))
        known = batch.height - merged.new - aside.height
        return UsageReceipt(received=batch.height, new=merged.new, known=known, set_aside=_told(aside))

    async def set_aside(self, caller: Caller, *, cursor: str | None, limit: int) -> Page[AsideRecord]:
        """What was set aside of the caller's reports, or of everybody's for finance, in order of arrival. Raises NotPermitted."""
        everyone = "finance:read" in caller.scopes
        if not everyone:
            require(caller, "usage:write")
        found = await self._usage.aside(None if everyone else caller.account_id, after=_number(cursor), limit=limit + 1)
        return Page(items=found[:limit], next_cursor=str(found[limit - 1].id) if len(found) > limit else None)

    async def _judged(self, batch: pl.DataFrame, caller: Caller) -> pl.DataFrame:
        """The batch with `reason`, null where a report is plausible."""
        leases, slots = await self._usage.leased(batch, provider_id=caller.provider_id)
        judged = alone(batch, leases=leases, slots=slots, now=self._clock.now())
        sound = judged.filter(pl.col("reason").is_null())
        if sound.is_empty():
            return judged
        above = together(sound, slots=slots, known=await self._usage.within(spans(sound)))
        beyond = pl.when(pl.col("row").is_in(above.implode())).then(pl.lit("above_lease_together"))
        return judged.with_columns(reason=pl.coalesce("reason", beyond)) if above.len() else judged


def _told(aside: pl.DataFrame) -> list[RefusedReport]:
    rows = aside.select("row", "usage_id", "rev", "reason", "differs").iter_rows()
    return [
        RefusedReport(
            row=row, usage_id=usage_id, rev=rev, reason=reason, detail=WORDS[reason], differs=differs.split(";") if differs else []
        )
        for row, usage_id, rev, reason, differs in rows
    ]


def _number(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and int(cursor) < 2**63):
        raise BadInput("this cursor is none of ours", found=cursor, would_do="next_cursor of the page before")
    return int(cursor)
