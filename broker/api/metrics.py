"""Figures for a monitor, in the text form that Prometheus reads."""

from litestar import MediaType, get
from litestar.di import NamedDependency

from broker.app import Services


@get("/metrics", operation_id="GetMetrics", summary="Figures", tags=["health"], media_type=MediaType.TEXT)
async def metrics(services: NamedDependency[Services]) -> str:
    """The trial balance, and the difference of every sum in the books that must be 0."""
    balance = await services.finance.trial_balance()
    found = await services.reconciliation.reconcile()
    lines = ["# HELP gridfare_trial_balance_micros Sum of every posting, 0 in sound books.", "# TYPE gridfare_trial_balance_micros gauge"]
    lines += [f'gridfare_trial_balance_micros{{currency="{name}"}} {micros}' for name, micros in sorted(balance.items())]
    lines += [
        "# HELP gridfare_reconciliation_difference What two sums that must agree differ by.",
        "# TYPE gridfare_reconciliation_difference gauge",
    ]
    lines += [f'gridfare_reconciliation_difference{{check="{each.name}"}} {each.difference}' for each in found.checks]
    return "\n".join([*lines, ""])
