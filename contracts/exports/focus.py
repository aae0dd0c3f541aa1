"""The invoices as FOCUS 1.2: all 57 columns, one row a line and one Tax row for an invoice that has tax.

BilledCost is what the invoice says, in cents, so that it adds up to what is payable; the other costs are the same
amounts to the micro. Every line is priced as one charge (or one month), whose unit price is the charge itself:
tiers, fair use, commitments and grants have no unit price of their own, and the metered seconds stand beside it
as the consumed quantity. Issuer, provider and publisher are the broker, who sells every plan in its own name.
"""

import io
from decimal import Decimal

import msgspec
import polars as pl

from contracts.statements import Invoice, InvoiceLine, SettledBook, invoices
from contracts.terms.time import iso

TEXT_COLUMNS = [
    "AvailabilityZone",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "CapacityReservationId",
    "CapacityReservationStatus",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
    "ConsumedUnit",
    "InvoiceId",
    "InvoiceIssuerName",
    "PricingCategory",
    "PricingCurrency",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
]
DECIMAL_COLUMNS = [
    "BilledCost",
    "CommitmentDiscountQuantity",
    "ConsumedQuantity",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "ListCost",
    "ListUnitPrice",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingQuantity",
]
TIME_COLUMNS = ("BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart")
COLUMNS = tuple(sorted([*TEXT_COLUMNS, *DECIMAL_COLUMNS]))
MONEY = pl.Decimal(precision=38, scale=6)
TIME = pl.Datetime("us", "UTC")
CATEGORIES = {"usage": "Usage", "take": "Usage", "fee": "Purchase", "trueup": "Purchase", "credit": "Credit"}
PRICING = {"metered_cleared": "Dynamic", "committed": "Committed"}

Cell = str | Decimal | None


class _Sold(msgspec.Struct, frozen=True):
    """What all rows of one invoice say alike: the seller and the kind of the plan."""

    seller: str
    plan_kind: str


def export(book: SettledBook) -> dict[str, bytes]:
    """The files of this export: name → content."""
    frame = cost_and_usage(book)
    parquet = io.BytesIO()
    frame.write_parquet(parquet)
    return {"focus.csv": csv_text(frame), "focus.parquet": parquet.getvalue()}


def cost_and_usage(book: SettledBook) -> pl.DataFrame:
    """The Cost and Usage dataset: decimals of six places, times as UTC, rows by account, period, month, kind, hardware; tax last."""
    kinds = dict(book.plans.select("plan_id", "kind").iter_rows())
    ends = dict(book.periods.select("month_start", "month_end").iter_rows())
    rows: list[dict[str, Cell]] = []
    for invoice in invoices(book):
        sold = _Sold(book.seller.name, kinds[invoice.plan_id])
        rows += [_line_row(line, invoice, sold=sold) | {"ChargePeriodEnd": iso(ends[line.month_start])} for line in invoice.lines]
        if invoice.tax_cents:
            rows.append(_tax_row(invoice, sold))
    schema = {name: MONEY if name in DECIMAL_COLUMNS else pl.String() for name in COLUMNS}
    times = [pl.col(name).str.to_datetime("%+", time_unit="us", time_zone="UTC") for name in TIME_COLUMNS]
    return pl.DataFrame([_complete(row) for row in rows], schema=schema).with_columns(times)


def _complete(row: dict[str, Cell]) -> dict[str, Cell]:
    return {name: row.get(name) for name in COLUMNS}


def _line_row(line: InvoiceLine, invoice: Invoice, *, sold: _Sold) -> dict[str, Cell]:
    category = CATEGORIES[line.kind]
    correction = line.month_start < invoice.month_start
    row = _row(invoice, sold, category=category, cents=line.amount_cents, micros=line.amount_micros)
    row |= {
        "ChargeClass": "Correction" if correction else None,
        "ChargeDescription": _description(line),
        "ChargeFrequency": "Usage-Based" if category == "Usage" else "Recurring" if category == "Purchase" else "One-Time",
        "ChargePeriodStart": iso(line.month_start),
    }
    if category == "Credit":
        return row
    return row | _consumption(line) | _pricing(line, invoice, sold=sold)


def _tax_row(invoice: Invoice, sold: _Sold) -> dict[str, Cell]:
    row = _row(invoice, sold, category="Tax", cents=invoice.tax_cents, micros=invoice.tax_micros)
    return row | {
        "ChargeDescription": f"Tax on invoice {invoice.id}",
        "ChargeFrequency": "One-Time",
        "ChargePeriodStart": iso(invoice.month_start),
        "ChargePeriodEnd": iso(invoice.month_end),
    }


def _row(invoice: Invoice, sold: _Sold, *, category: str, cents: int, micros: int) -> dict[str, Cell]:
    """What a row says whatever it is for: whose, when, what it costs."""
    cost = Decimal(micros).scaleb(-6)
    return {
        "BilledCost": Decimal(cents).scaleb(-2),
        "BillingAccountId": invoice.account_id,
        "BillingAccountName": invoice.account_name,
        "BillingAccountType": "Account",
        "BillingCurrency": invoice.currency,
        "BillingPeriodStart": iso(invoice.month_start),
        "BillingPeriodEnd": iso(invoice.month_end),
        "ChargeCategory": category,
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceId": invoice.id,
        "InvoiceIssuerName": sold.seller,
        "ListCost": cost,
        "PricingCurrency": invoice.currency,
        "PricingCurrencyEffectiveCost": cost,
        "ProviderName": sold.seller,
        "PublisherName": sold.seller,
        "ServiceCategory": "Compute",
        "ServiceName": "Accelerator-hours",
        "ServiceSubcategory": "Other (Compute)",
    }


def _consumption(line: InvoiceLine) -> dict[str, Cell]:
    if line.kind == "usage":
        return {"ConsumedQuantity": Decimal(line.quantity_seconds or 0), "ConsumedUnit": "Accelerator-Seconds"}
    return {"ConsumedQuantity": Decimal(1), "ConsumedUnit": "Charges"} if line.kind == "take" else {}


def _pricing(line: InvoiceLine, invoice: Invoice, *, sold: _Sold) -> dict[str, Cell]:
    """One charge at the price of the charge; a charge that gives back counts −1, because prices are never negative."""
    price = Decimal(abs(line.amount_micros)).scaleb(-6)
    sku = f"{invoice.plan_id}/{line.hardware or line.kind}"
    return {
        "ContractedUnitPrice": price,
        "ListUnitPrice": price,
        "PricingCategory": PRICING.get(sold.plan_kind, "Standard"),
        "PricingCurrencyContractedUnitPrice": price,
        "PricingCurrencyListUnitPrice": price,
        "PricingQuantity": Decimal(-1 if line.amount_micros < 0 else 1),
        "PricingUnit": "Charges" if CATEGORIES[line.kind] == "Usage" else "Months",
        "SkuId": sku,
        "SkuMeter": "Accelerator-Seconds" if line.kind == "usage" else line.kind,
        "SkuPriceId": sku,
    }


def _description(line: InvoiceLine) -> str:
    words = {"take": "Broker's take", "fee": "Monthly fee", "trueup": "Commitment true-up", "credit": "SLA credit"}
    what = f"Accelerator time on {line.hardware}" if line.hardware else words.get(line.kind, line.kind)
    return f"{what}, {line.month_start:%B %Y}"


def csv_text(frame: pl.DataFrame) -> bytes:
    """Times as FOCUS writes them, decimals plain."""
    times = pl.selectors.datetime().dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return frame.with_columns(times).write_csv().encode()
