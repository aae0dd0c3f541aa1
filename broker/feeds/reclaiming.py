"""What a feed's reclaim does: the lease is called back as its provider would over HTTP, by the same rules, or the refusal is told.

A message is taken whether or not the lease can be had back: the session knows no leases. So a refusal is an event of its own, kept
beside the reclaim and told to whoever listens.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from broker.clock import Clock
from broker.feeds.listeners import Told
from broker.services.accounts import PROVIDER
from broker.services.leases import LeaseService, Reclaim
from broker.services.resale import ResaleService
from broker.services.views import Caller
from broker.store.repositories.feed import FeedRepository
from broker.store.repositories.leases import LeaseRepository
from broker.store.repositories.quotes import QuoteRepository
from broker.store.repositories.resales import ResaleRepository
from broker.store.unit_of_work import WorkSession
from contracts.feed.session import Effect, LeaseReclaimed
from contracts.terms.errors import MarketError

REFUSED = "reclaim_refused"
UNSAID = "called back by its provider"


class ReclaimRefused(msgspec.Struct, frozen=True, kw_only=True, tag=REFUSED):
    """A lease that stays where it is: `code` and `detail` are those of the refusal the same call gives over HTTP."""

    lease_id: str
    code: str
    detail: str


async def call_back(work: WorkSession, provider_id: str, *, effects: Sequence[Effect], clock: Clock) -> list[Told]:
    """Call back the leases these effects reclaim; the refusals. A lease that is called back already is no news, whoever said so."""
    refused = []
    for effect in effects:
        if isinstance(effect, LeaseReclaimed):
            refusal = await _call_back(work, provider_id, effect=effect, clock=clock)
            if refusal is not None:
                facts = msgspec.json.encode(refusal)
                digest = hashlib.sha256(facts).digest()
                await FeedRepository(work).add_event(provider_id, REFUSED, facts=facts, digest=digest, at=clock.now())
                refused.append(Told(REFUSED, facts))
    return refused


async def _call_back(work: WorkSession, provider_id: str, *, effect: LeaseReclaimed, clock: Clock) -> ReclaimRefused | None:
    leases = LeaseRepository(work)
    may = frozenset({"leases:write"})
    grid = Caller(account_id=f"{PROVIDER}{provider_id}", account_name=provider_id, scopes=may, provider_id=provider_id)
    wish = Reclaim(deadline=effect.deadline, reason=effect.reason.replace("\0", "").strip() or UNSAID)
    try:
        # Refused before anything is written, so the rest of the batch goes on in the same transaction.
        resale = ResaleService(ResaleRepository(work), QuoteRepository(work), clock=clock)
        await LeaseService(leases, resale, clock=clock).reclaim(effect.lease_id, wish, caller=grid)
    except MarketError as refusal:
        said = ReclaimRefused(lease_id=effect.lease_id, code=refusal.code, detail=refusal.message)
        if refusal.code != "wrong_state":
            return said
        return None if (await leases.lease(effect.lease_id)).state == "reclaimed" else said
    return None
