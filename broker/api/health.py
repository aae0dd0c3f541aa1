"""Whether the process lives, and whether it can serve."""

import msgspec
from litestar import get
from litestar.di import NamedDependency

from broker.app import Services
from contracts.terms.errors import MarketError


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe is told. `trial_balance` is micros by currency: zero, or the books are broken."""

    status: str
    trial_balance: dict[str, int] = {}


class NotReady(MarketError):
    """The store answers, but the books do not balance."""

    code = "not_ready"
    status = 503


@get("/healthz", operation_id="GetHealth", summary="Alive", tags=["health"])
async def healthz() -> Health:
    """Answers while the process lives; touches nothing."""
    return Health(status="alive")


@get("/readyz", operation_id="GetReadiness", summary="Ready", tags=["health"])
async def readyz(services: NamedDependency[Services]) -> Health:
    """Answers 200 when the store can be read and the books balance, else 503."""
    balance = await services.finance.trial_balance()
    if any(balance.values()):
        raise NotReady(
            "the posted journal does not sum to zero", **{f"balance_{name.lower()}": off for name, off in balance.items() if off}
        )
    return Health(status="ready", trial_balance=balance)
