"""The parties of the demo: grids and buyers of the shipped world, the plans they signed, the keys they use."""

import hashlib
from datetime import UTC, datetime

from broker.cycle import Timetable
from broker.services.views import ShownKey
from broker.world.catalogue import accounts, providers
from contracts.statements import Seller
from contracts.terms.accounts import Account, Provider

TAX_BPS = {"DE": 1900, "FR": 2000, "NL": 2100, "IT": 2200, "ES": 2100, "SE": 2500, "FI": 2550, "GB": 2000, "PL": 2300, "AT": 2000}
# The two people of the demo's finance team, and a small buyer who pays in advance.
FINANCE = ("ada", "grace")
FINANCE_STORY = "One of the two people who close a month: who rates it neither reviews nor finalises it."
FINANCE_SCOPES = ["finance:read", "finance:write", "finance:approve"]
# Who runs the demo's market.
OPERATOR, OPERATOR_SCOPES = "hedy", ["operator"]
OPERATOR_STORY = "Runs the market: cycles and their certificates, providers, what is not believed, what broke."
# Two providers whose desks may be looked at: one whose offers were entered for it, and the one that announces by feed.
SELLERS = ("prv_hyperstack", "prv_datacrunch")
SELLER_STORY = "A provider: sees why its offers sell or not, what another rate would have done, what it earned."
PAYS_AHEAD = "acct_lotus"
# Invented, like every buyer: the bank account is the one that textbooks show.
SELLER = Seller(
    name="Gridfare",
    address="2 Example Quay, 1011 AB Amsterdam",
    country="NL",
    vat_id="NL000000000B00",
    iban="DE89370400440532013000",
    bic="COBADEFFXXX",
)
FIRST_JOINED = datetime(2026, 9, 1, tzinfo=UTC)
PLANS: dict[str, dict[str, object]] = {
    "metered": {"name": "Metered: what the gate said, and one per cent", "kind": "metered_cleared"},
    "flat-rate": {
        "name": "Flat rate: 750 USD a month, 12 PF-days in it, then 30 USD a PF-day",
        "kind": "flat_rate",
        "fee_micros": 750_000_000,
        "fair_use_units": 12 * 86_400_000,
        "overage": "charge",
        "unit_price_micros": 30_000_000,
    },
    "grant": {"name": "Grant: 100 PF-days", "kind": "grant", "grant_units": 100 * 86_400_000, "unit_price_micros": 60_000_000},
}


def grids() -> list[Provider]:
    """The provider grids, by id."""
    rows = providers().sort("provider").iter_rows(named=True)
    return [
        Provider(
            id=row["provider"],
            name=row["name"],
            country=row["operator_country"],
            kind=row["kind"],
            source=row["source"],
            joined_at=FIRST_JOINED,
        )
        for row in rows
    ]


def buyers(timetable: Timetable) -> list[Account]:
    """The buyers' accounts, by id; tax by country where the demo knows the rate."""
    return [
        Account(
            id=row["account_id"],
            name=row["name"],
            country=row["country"],
            parent_country=row["parent_country"],
            plan_id=row["plan_id"],
            currency=timetable.currency,
            tax_bps=TAX_BPS.get(row["country"], 0),
            take_bps=timetable.fee_bps if row["plan_id"] == "metered" else 0,
            credit_limit_micros=row["credit_limit_micros"],
            story=row["story"],
            legal_name=row["name"],
            address="1 Example Street",
        )
        for row in accounts().sort("account_id").iter_rows(named=True)
    ]


def finance_keys() -> dict[str, str]:
    """A key for each of the finance team, as little a secret as the buyers'."""
    return {name: f"gf_demo_finance_{name}" for name in FINANCE}


def operator_keys() -> dict[str, str]:
    """A key for the operator of the market."""
    return {OPERATOR: f"gf_demo_operator_{OPERATOR}"}


def seller_keys() -> dict[str, str]:
    """A key for somebody of each provider that may be looked at."""
    return {provider: f"gf_demo_desk_{provider}" for provider in SELLERS}


def keys() -> dict[str, str]:
    """An API key for every buyer of the demo. They open nothing but the demo, so they may be known."""
    return {
        row["account_id"]: f"gf_demo_{hashlib.sha256(row['account_id'].encode()).hexdigest()[:24]}"
        for row in accounts().iter_rows(named=True)
    }


def shown_keys(timetable: Timetable, *, first: str) -> list[ShownKey]:
    """The same keys for the sign-in page: one account's first, then the rest by name, then finance, providers, the operator."""
    known = keys()
    accounts_by_name = sorted(buyers(timetable), key=lambda account: (account.id != first, account.name))
    shown = [ShownKey(account_name=account.name, story=account.story, key=known[account.id]) for account in accounts_by_name]
    team = finance_keys().items()
    shown += [ShownKey(account_name=f"{name.title()}, finance team", story=FINANCE_STORY, key=key) for name, key in team]
    names = {each.id: each.name for each in grids()}
    shown += [ShownKey(account_name=f"{names[seller]}, provider", story=SELLER_STORY, key=key) for seller, key in seller_keys().items()]
    return shown + [
        ShownKey(account_name=f"{name.title()}, operator", story=OPERATOR_STORY, key=key) for name, key in operator_keys().items()
    ]
