"""What the store knows of the whole market, for its operator."""

from datetime import datetime
from decimal import Decimal

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from broker.services.operator_views import Incident, ProviderStanding, Quarantined
from contracts.terms.leases import HOLDING, IN_FORCE
from contracts.terms.money import BASIS_POINTS, half_up

PROVIDERS = text("""
    WITH offered AS (
        SELECT provider, count(*) AS offers, count(DISTINCT site) AS sites, sum(quantity) AS accelerators
        FROM offers WHERE superseded_at IS NULL GROUP BY provider),
    leased AS (
        SELECT provider_id, count(*) FILTER (WHERE state = ANY(:running)) AS running, count(*) FILTER (WHERE state = 'failed') AS failed
        FROM leases GROUP BY provider_id),
    latest AS (
        SELECT DISTINCT ON (u.usage_id) l.provider_id, u.accelerator_seconds AS seconds, u.status
        FROM usage_records u JOIN leases l ON l.id = u.lease_id ORDER BY u.usage_id, u.rev DESC),
    metered AS (
        SELECT provider_id, sum(seconds) FILTER (WHERE status <> 'provider_failed') AS delivered, sum(seconds) AS due
        FROM latest GROUP BY provider_id),
    doubted AS (SELECT provider_id, count(*) AS suspects FROM feed_offers WHERE suspect <> '' AND NOT staged GROUP BY provider_id)
    SELECT p.id, p.name, p.country, coalesce(o.offers, 0), coalesce(o.sites, 0), coalesce(o.accelerators, 0), coalesce(l.running, 0),
        coalesce(l.failed, 0), coalesce(m.delivered, 0), coalesce(m.due, 0), f.provider_id IS NOT NULL, f.silent_at, coalesce(d.suspects, 0)
    FROM providers p LEFT JOIN offered o ON o.provider = p.id LEFT JOIN leased l ON l.provider_id = p.id
        LEFT JOIN metered m ON m.provider_id = p.id LEFT JOIN feed_sessions f ON f.provider_id = p.id
        LEFT JOIN doubted d ON d.provider_id = p.id
    ORDER BY p.name, p.id""")
QUARANTINED = text("""
    SELECT f.provider_id, f.offer_id, f.suspect, o.hardware, o.site, o.quantity, o.rate_micros, o.observed_at
    FROM feed_offers f LEFT JOIN offers o ON o.id = f.offer_id AND o.provider = f.provider_id AND o.superseded_at IS NULL
    WHERE f.suspect <> '' AND NOT f.staged ORDER BY f.provider_id, f.offer_id""")
INCIDENTS = text("""
    SELECT * FROM (
        SELECT e.at, 'lease ' || e.state AS kind, e.lease_id AS subject, l.provider_id AS party, e.reason AS words
        FROM lease_events e JOIN leases l ON l.id = e.lease_id WHERE e.state IN ('failed', 'reclaimed')
        UNION ALL SELECT c.gate_at, 'cycle failed', 'cycle ' || c.number, '', c.finding FROM cycles c WHERE c.status = 'failed'
        UNION ALL SELECT f.at, 'feed ' || replace(f.kind, '_', ' '), f.provider_id, f.provider_id, encode(f.facts, 'hex')
        FROM feed_events f WHERE f.kind IN ('lease_reclaimed', 'protocol_error')) AS found
    ORDER BY at DESC, kind, subject LIMIT :limit""")
RUNNING = text("""
    SELECT l.tier, count(DISTINCT l.id), coalesce(sum(s.quantity), 0) FROM leases l JOIN lease_slots s ON s.lease_id = l.id
    WHERE l.state = ANY(:holding) AND s.slot_start <= :now AND s.slot_end > :now AND s.quantity > 0 GROUP BY l.tier""")


class FeedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a feed's event."""

    lease_id: str = ""
    reason: str = ""
    detail: str = ""


class OperatorRepository:
    """Reading the market as a whole."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def providers(self, now: datetime) -> list[ProviderStanding]:
        """Every provider, by name."""
        rows = await self._session.execute(PROVIDERS, {"running": list(IN_FORCE)})
        return [standing_of(*row, now=now) for row in rows]

    async def quarantined(self) -> list[Quarantined]:
        """Offers nobody is sold since nobody should believe them, by provider and id."""
        names = ("provider_id", "offer_id", "reason", "hardware", "site", "quantity", "rate_micros", "observed_at")
        return [Quarantined(**dict(zip(names, row, strict=True))) for row in await self._session.execute(QUARANTINED)]

    async def incidents(self, limit: int) -> list[Incident]:
        """What went wrong, the latest first."""
        rows = await self._session.execute(INCIDENTS, {"limit": limit})
        names = Incident.__struct_fields__
        return [_in_words(Incident(**dict(zip(names, row, strict=True)))) for row in rows]

    async def running(self, now: datetime) -> dict[str, tuple[int, int]]:
        """Leases and accelerators delivering at a moment, by tier."""
        rows = await self._session.execute(RUNNING, {"holding": list(HOLDING), "now": now})
        return {tier: (int(leases), int(accelerators)) for tier, leases, accelerators in rows}

    async def failovers_waiting(self) -> int:
        """Leases that broke off and whose rest has no place yet."""
        counted = await self._session.execute(text("SELECT count(*) FROM lease_failovers WHERE state = 'waiting'"))
        return int(counted.scalar_one())


def _in_words(found: Incident) -> Incident:
    """A feed's event has its facts in place of words, as JSON in hexadecimal: what they say in words is picked out."""
    if not found.kind.startswith("feed "):
        return found
    facts = msgspec.json.decode(bytes.fromhex(found.words), type=FeedFacts)
    return msgspec.structs.replace(found, subject=facts.lease_id or found.subject, words=facts.reason or facts.detail)


def standing_of(*row: object, now: datetime) -> ProviderStanding:
    """A provider's row as the desk shows it. Sums come as decimals, which may be written 5.76E+6."""
    provider_id, name, country, *counts, has_feed, silent_at, suspects = row
    offers, sites, accelerators, leases, failed, delivered, due = (int(Decimal(str(count))) for count in counts)
    assert silent_at is None or isinstance(silent_at, datetime), "a time, or none before the first hello"
    heard = "new" if silent_at is None else "silent" if silent_at <= now else "in_step"
    return ProviderStanding(
        provider_id=str(provider_id),
        name=str(name),
        country=str(country),
        offers=offers,
        sites=sites,
        accelerators=accelerators,
        leases=leases,
        failed=failed,
        delivered_bps=half_up(delivered * BASIS_POINTS, due) if due else None,
        feed=heard if has_feed else "none",
        silent_at=silent_at,
        suspects=int(str(suspects)),
    )
