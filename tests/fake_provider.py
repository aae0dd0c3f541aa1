"""A provider's desk on the shipped world: Hyperstack's offers at two cleared gates, a lease, a statement; the rest is the real service."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from broker.clock import Clock
from broker.services.explanations import ClearedBook
from broker.services.feed_views import FeedOffer, FeedView
from broker.services.provider_views import ProviderLease, SiteRecord
from broker.services.providers import Answers, Gate, OfferNow, ProviderService
from contracts.statements import PayoutAdvice
from contracts.terms.errors import NotFound

PROVIDER = "prv_hyperstack"


class FakePast:
    """The gates of a fake market, cleared when somebody asks for them."""

    def __init__(self, cycles: int, read: Callable[[int], ClearedBook]) -> None:
        self.cycles, self.read = cycles, read

    async def gates(self, count: int) -> list[Gate]:
        return [Gate(number, self.read(number).gate_at) for number in range(self.cycles, 0, -1)][:count]

    async def at(self, number: int) -> ClearedBook | None:
        return self.read(number) if 1 <= number <= self.cycles else None


class FakeProviderReader:
    """One provider as the store has it; nothing of any other."""

    def __init__(self, past: FakePast, clock: Clock) -> None:
        self._past, self._clock = past, clock

    async def offers(self, provider_id: str) -> list[OfferNow]:
        if not self._past.cycles:
            return []
        facts = [name for name in OfferNow.__struct_fields__ if name != "observed_at"]
        seen = self._clock.now() - timedelta(minutes=7)
        rows = self._past.read(self._past.cycles).book.offers.iter_rows(named=True)
        return [OfferNow(observed_at=seen, **{name: row[name] for name in facts}) for row in rows if row["provider"] == provider_id]

    async def leases(self, provider_id: str, *, limit: int) -> list[ProviderLease]:
        start = self._clock.now().replace(minute=0)
        lease = ProviderLease(
            lease_id="lse_running", offer_id="ofr_hyperstack-norway-1-h100-pcie", site="hyperstack-norway-1", hardware="H100-PCIE",
            tier="standard", state="active", accelerators=8, starts_at=start, ends_at=start + timedelta(hours=4), hours=32.0,
            value_micros=60_800_000,
        )  # fmt: skip
        return [lease] if provider_id == PROVIDER else []

    async def sites(self, provider_id: str) -> list[SiteRecord]:
        record = SiteRecord(
            site="hyperstack-norway-1", hardware="H100-PCIE", leases=14, running=3, failed=1, delivered_seconds=17_719_200,
            failed_seconds=165_600, delivered_bps=9907,
        )  # fmt: skip
        return [record] if provider_id == PROVIDER else []

    async def statements(self, provider_id: str) -> list[PayoutAdvice]:
        advice = PayoutAdvice(
            provider_id=PROVIDER, provider_name="Hyperstack", period=1, month_start=datetime(2026, 12, 1, tzinfo=UTC),
            month_end=datetime(2027, 1, 1, tzinfo=UTC), currency="USD", gross_micros=496_000_000, adjustments_micros=-1_500_000,
            net_micros=494_500_000,
        )  # fmt: skip
        return [advice] if provider_id == PROVIDER else []

    async def money(self, provider_id: str) -> tuple[dict[str, int], dict[str, int]]:
        return ({"USD": 94_508_776}, {"USD": 40_000}) if provider_id == PROVIDER else ({}, {})


class FakeFeeds:
    """Hyperstack announces two offers, of which one is damped."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def view(self, provider_id: str, *, after: str | None = None, limit: int = 100) -> FeedView:
        if provider_id != PROVIDER:
            raise NotFound("no feed has been opened for this provider")
        now = self._clock.now()
        states = {"ofr_hyperstack-norway-1-a100-80": ("damped", "it changed too often"), "ofr_hyperstack-norway-1-h100-pcie": ("live", "")}
        offers = [
            FeedOffer(
                offer_id=name, version=9, quantity=64, rate_micros=1_350_000, state=state, reason=reason,
                heard_at=now - timedelta(seconds=40), age_seconds=40,
                ends_at=now + timedelta(hours=1),
            )
            for name, (state, reason) in sorted(states.items())
        ]  # fmt: skip
        return FeedView(
            provider=provider_id, epoch=3, seq=41, synced=True, silent_seconds=40, hold_seconds=600, offers_shown=2, offers=offers,
            next_cursor=None,
        )  # fmt: skip


def fake_providers(cycles: int, read: Callable[[int], ClearedBook], *, clock: Clock) -> ProviderService:
    """The service on so many cleared gates, read by number."""
    past = FakePast(cycles, read)
    return ProviderService(past, FakeProviderReader(past, clock), feeds=FakeFeeds(clock), clock=clock, answers=Answers("USD"))
