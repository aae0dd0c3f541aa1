"""The operator's desk in memory: three providers, one offer nobody believes, two incidents; cycles are the fake market's own."""

from collections.abc import Callable
from datetime import datetime, timedelta

from broker.clock import Clock
from broker.services.explanations import ClearedBook
from broker.services.market import MarketReader
from broker.services.operator_views import Incident, ProviderStanding, Quarantined
from broker.services.operators import OperatorService
from broker.services.providers import Answers
from tests.fake_provider import FakePast


class FakeOperatorReader:
    """What the store would say."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def providers(self, now: datetime) -> list[ProviderStanding]:
        plain = {"sites": 2, "accelerators": 512, "leases": 3, "failed": 1}
        return [
            ProviderStanding(
                provider_id="prv_hyperstack", name="Hyperstack", country="GB", offers=4, delivered_bps=9907, feed="in_step",
                silent_at=now + timedelta(minutes=9), suspects=1, **plain,
            ),
            ProviderStanding(
                provider_id="prv_nebius", name="Nebius", country="NL", offers=1, delivered_bps=None, feed="none", silent_at=None,
                suspects=0, **plain,
            ),
            ProviderStanding(
                provider_id="prv_vultr", name="Vultr", country="US", offers=2, delivered_bps=10_000, feed="silent",
                silent_at=now - timedelta(minutes=3), suspects=0, **plain,
            ),
        ]  # fmt: skip

    async def quarantined(self) -> list[Quarantined]:
        return [
            Quarantined(
                provider_id="prv_hyperstack", offer_id="ofr_too_good", reason="0.01 is far below the usual 4.20 of B200", hardware="B200",
                site="hyperstack-norway-1", quantity=64, rate_micros=10_000, observed_at=self._clock.now() - timedelta(minutes=2),
            )
        ]  # fmt: skip

    async def incidents(self, limit: int) -> list[Incident]:
        now = self._clock.now()
        return [
            Incident(
                at=now - timedelta(hours=1), kind="lease failed", subject="lse_1", party="prv_vultr", words="its grid has been silent"
            ),
            Incident(at=now - timedelta(hours=7), kind="cycle failed", subject="cycle 1", party="", words="the bound does not hold"),
        ][:limit]

    async def running(self, now: datetime) -> dict[str, tuple[int, int]]:
        return {"spot": (4, 96), "guaranteed": (1, 32)}

    async def failovers_waiting(self) -> int:
        return 1


def fake_operators(cycles: int, read: Callable[[int], ClearedBook], *, market: MarketReader, clock: Clock) -> OperatorService:
    """The service on so many cleared gates, read by number."""
    return OperatorService(FakePast(cycles, read), market, reader=FakeOperatorReader(clock), clock=clock, answers=Answers("USD"))
