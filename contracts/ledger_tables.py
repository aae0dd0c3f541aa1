"""The columns of every settlement table: what a close reads and what it leaves behind.

Beside the market's tables (`contracts.terms.tables`) and in the same words. Quantities are integers of
accelerator-seconds or of units (TFLOP·s), money is integer micros, basis points are integers.
"""

from contracts.terms.tables import TIERS, Column, Kind, Table, table

STATUSES = ("delivered", "provider_failed", "preempted")
PLAN_KINDS = ("metered_tiers", "metered_cleared", "flat_rate", "committed", "grant")
TIERINGS = ("graduated", "volume")
OVERAGES = ("charge", "throttle")
LINE_KINDS = ("credit", "fee", "take", "trueup", "usage")
REASONS = ("invoice", "credit_note")


def _key(name: str, kind: Kind = "text", *, minimum: int | None = None) -> Column:
    return Column(name, kind, required=True, minimum=minimum)


def _count(name: str, *, minimum: int = 0) -> Column:
    return Column(name, "int", required=True, minimum=minimum)


def _amount(name: str) -> Column:
    return Column(name, "int", required=True)


def _term(name: str) -> Column:
    """A figure only some kinds of plan have; where it is missing it counts as 0."""
    return Column(name, "int", nullable=True, minimum=0)


USAGE = table(
    "usage",
    "usage_id rev",
    columns=[
        _key("usage_id"),
        Column("rev", "int", default=0, minimum=0),
        _key("lease_id"),
        Column("start", "time", required=True),
        Column("end", "time", required=True),
        _count("accelerator_seconds"),
        Column("status", required=True, one_of=STATUSES),
        Column("received_at", "time", required=True),
    ],
)
LEASES = table(
    "leases",
    "lease_id",
    columns=[
        _key("lease_id"),
        _key("account_id"),
        _key("provider_id"),
        _key("hardware"),
        _count("accelerators"),
        _count("rate_micros"),
        Column("tier", required=True, one_of=TIERS),
    ],
)
ACCOUNTS = table(
    "accounts",
    "account_id",
    columns=[
        _key("account_id"),
        Column("name", required=True),
        _key("plan_id"),
        _count("tax_bps"),
        _count("take_bps"),
        _key("currency"),
        Column("country", nullable=True),
    ],
)
HARDWARE = table("hardware", "hardware", columns=[_key("hardware"), _count("tflops", minimum=1)])
PLANS = table(
    "plans",
    "plan_id",
    columns=[
        _key("plan_id"),
        Column("kind", required=True, one_of=PLAN_KINDS),
        Column("tiering", nullable=True, one_of=TIERINGS),
        _term("unit_price_micros"),
        _term("fee_micros"),
        _term("fair_use_units"),
        Column("overage", nullable=True, one_of=OVERAGES),
        _term("commit_micros"),
        _term("grant_units"),
    ],
)
PLAN_TIERS = table(
    "plan_tiers",
    "plan_id lo_units",
    columns=[
        _key("plan_id"),
        _count("lo_units"),
        Column("hi_units", "int", nullable=True, minimum=0),
        _count("unit_price_micros"),
    ],
    optional=True,
)
PERIODS = table(
    "periods",
    "period",
    columns=[
        _key("period", "int", minimum=1),
        Column("month_start", "time", required=True),
        Column("month_end", "time", required=True),
        Column("closes_at", "time", required=True),
    ],
)
SLA = table("sla", "tier", columns=[Column("tier", required=True, one_of=TIERS), _count("credit_bps")], optional=True)
PROVIDERS = table(
    "providers",
    "provider_id",
    columns=[
        _key("provider_id"),
        Column("name", nullable=True),
        Column("country", nullable=True),
        Column("iban", nullable=True),
        Column("bic", nullable=True),
    ],
    optional=True,
)
PARTIES = table(
    "parties",
    "account_id",
    columns=[
        _key("account_id"),
        Column("legal_name", nullable=True),
        Column("address", nullable=True),
        Column("country", nullable=True),
        Column("vat_id", nullable=True),
    ],
    optional=True,
)

INVOICES = table(
    "invoices",
    "account_id period",
    columns=[
        _key("account_id"),
        _key("period", "int"),
        _key("currency"),
        _amount("subtotal_micros"),
        _amount("tax_micros"),
        _amount("total_micros"),
        _amount("subtotal_cents"),
        _amount("tax_cents"),
        _amount("payable_cents"),
        _amount("cost_micros"),
        _amount("take_micros"),
    ],
)
LINES = table(
    "lines",
    "account_id period month kind hardware",
    columns=[
        _key("account_id"),
        _key("month", "int"),
        _key("period", "int"),
        Column("kind", required=True, one_of=LINE_KINDS),
        Column("hardware", nullable=True),
        Column("quantity_seconds", "int", nullable=True),
        _amount("amount_micros"),
        _amount("amount_cents"),
    ],
)
POSTINGS = table(
    "postings",
    "account_id period account party",
    columns=[
        _key("entry_id"),
        _key("account_id"),
        _key("period", "int"),
        _key("currency"),
        _key("account"),
        Column("party", nullable=True),
        _amount("amount_micros"),
        Column("reason", required=True, one_of=REASONS),
    ],
)
PAYOUTS = table(
    "payouts",
    "provider_id period currency",
    columns=[
        _key("provider_id"),
        _key("period", "int"),
        _key("currency"),
        _amount("gross_micros"),
        _amount("adjustments_micros"),
        _amount("net_micros"),
    ],
)
CONFLICTS = table(
    "conflicts",
    "usage_id rev",
    columns=[_key("usage_id"), _key("rev", "int"), Column("differs", "list", required=True)],
)

SMALL_TABLES: tuple[Table, ...] = (LEASES, ACCOUNTS, HARDWARE, PLANS, PLAN_TIERS, PERIODS, SLA, PROVIDERS, PARTIES)
SETTLEMENT_TABLES: tuple[Table, ...] = (USAGE, *SMALL_TABLES)
STATEMENT_TABLES: tuple[Table, ...] = (INVOICES, LINES, POSTINGS, PAYOUTS, CONFLICTS)
