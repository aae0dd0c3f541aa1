"""The invoices as FOCUS 1.2, 1.3 or 1.4: the same rows and sums, with the columns and datasets each version adds.

1.3 says who sold and who hosted (`ServiceProviderName`, `HostProviderName`), what counts towards a commitment
(`ContractApplied`), and lists the commitments. 1.4 drops `ProviderName` and `PublisherName`, and lists the lines of the
invoices (`InvoiceDetailId`). The issuer is always the broker. A provider is named as seller of a metered_cleared plan's
usage, and as host of any usage, where one provider alone is owed for the invoice: a line of several has no one to name.
"""

import io
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl

from contracts.exports.focus import MONEY, TIME, cost_and_usage, csv_text
from contracts.exports.focus import export as export_1_2
from contracts.statements import SettledBook
from contracts.terms.errors import BadInput

VERSIONS = ("1.2", "1.3", "1.4")
GONE_IN_1_4 = ("ProviderName", "PublisherName")
ALLOCATED = ("AllocatedMethodDetails", "AllocatedMethodId", "AllocatedResourceId", "AllocatedResourceName", "AllocatedTags")
COUNTED = ("Usage", "Purchase")
COMMITMENT_1_3 = (
    "BillingCurrency", "ContractCommitmentCategory", "ContractCommitmentCost", "ContractCommitmentDescription", "ContractCommitmentId",
    "ContractCommitmentPeriodEnd", "ContractCommitmentPeriodStart", "ContractCommitmentQuantity", "ContractCommitmentType",
    "ContractCommitmentUnit", "ContractId", "ContractPeriodEnd", "ContractPeriodStart",
)  # fmt: skip
JSON = msgspec.json.Encoder(decimal_format="number")


def export(book: SettledBook, version: str) -> dict[str, bytes]:
    """The files of one version: name → content. Raises BadInput for a version that is not written here."""
    if version not in VERSIONS:
        raise BadInput("there is no such version of FOCUS here", found=version, would_do=", ".join(VERSIONS))
    if version == "1.2":
        return export_1_2(book)
    frame = charges(book, version)
    parquet = io.BytesIO()
    frame.write_parquet(parquet)
    files = {"focus.csv": csv_text(frame), "focus.parquet": parquet.getvalue()}
    commitments = contract_commitments(book)
    if version == "1.3":
        return files | {"contract_commitment.csv": csv_text(commitments.select(COMMITMENT_1_3))}
    return files | {"contract_commitment.csv": csv_text(commitments), "invoice_detail.csv": csv_text(invoice_details(book))}


def charges(book: SettledBook, version: str) -> pl.DataFrame:
    """The Cost and Usage dataset of 1.3 or 1.4, 65 columns by name; rows as in 1.2, and the same costs."""
    rows = cost_and_usage(book)
    plans = book.accounts.join(book.plans.select("plan_id", "kind"), on="plan_id").select(
        pl.col("account_id").alias("BillingAccountId"), "plan_id", "kind"
    )
    rows = rows.join(plans, on="BillingAccountId", how="left", maintain_order="left")
    rows = rows.join(_sole_providers(book), on="InvoiceId", how="left", maintain_order="left")
    used = (pl.col("ChargeCategory") == "Usage") & (pl.col("ConsumedUnit") == "Accelerator-Seconds")
    passed_on = used & (pl.col("kind") == "metered_cleared")
    seller = pl.when(passed_on).then(pl.coalesce("provider", "InvoiceIssuerName")).otherwise("InvoiceIssuerName")
    committed = (pl.col("kind") == "committed") & pl.col("ChargeCategory").is_in(COUNTED)
    contract = pl.format("{}:{}", "BillingAccountId", "plan_id")
    month = pl.col("ChargePeriodStart").dt.strftime("%Y-%m")
    applied = pl.struct(contract.alias("contract"), month.alias("month"), "EffectiveCost").map_elements(_applied, return_dtype=pl.String())
    nothing = [pl.lit(None, pl.String()).alias(name) for name in ALLOCATED]
    # The newer versions want what nothing amortises, a tax or credit, to cost what is billed: to the cent.
    billed = pl.when(pl.col("ChargeCategory").is_in(["Tax", "Credit"])).then("BilledCost")
    exact = [billed.otherwise(name).alias(name) for name in ("EffectiveCost", "PricingCurrencyEffectiveCost")]
    rows = rows.with_columns(
        *nothing,
        *exact,
        ServiceProviderName=seller,
        HostProviderName=pl.when(used).then("provider"),
        ContractApplied=pl.when(committed).then(applied),
    )
    if version == "1.4":
        number = pl.int_range(pl.len()).over("InvoiceId")
        details = {
            "InvoiceDetailId": pl.format("{}:{}", "InvoiceId", number),
            "CommitmentProgramEligibilityDetails": pl.lit(None, pl.String()),
        }
        rows = rows.with_columns(**details).drop(GONE_IN_1_4)
    rows = rows.drop("plan_id", "kind", "provider")
    return rows.select(sorted(rows.columns))


def contract_commitments(book: SettledBook) -> pl.DataFrame:
    """The Contract Commitment dataset: one row an account on a committed plan and a month settled, all columns of 1.4."""
    settled = book.periods.filter(pl.col("period") <= book.record.as_of).sort("period")
    committed = book.accounts.join(book.plans.filter(pl.col("kind") == "committed"), on="plan_id").sort("account_id")
    rows = committed.join(settled, how="cross", maintain_order="left_right")
    contract = pl.format("{}:{}", "account_id", "plan_id")
    cost = (pl.col("commit_micros").fill_null(0).cast(pl.Decimal(38, 0)) / 1_000_000).cast(MONEY)
    said = {
        "BenefitCategory": "Entitlement", "Category": "Spend", "DurationType": "1 Month", "FulfillmentInterval": "Monthly",
        "LifecycleStatus": "Expired", "Model": "Discontinuous", "OfferCategory": "Public", "PaymentInterval": "Monthly",
        "PaymentModel": "No Upfront", "Type": "Monthly Spend",
    }  # fmt: skip
    columns = {f"ContractCommitment{name}": pl.lit(value) for name, value in said.items()} | {
        "BillingCurrency": pl.col("currency"),
        "ContractCommitmentApplicability": pl.col("account_id").map_elements(_applicability, return_dtype=pl.String()),
        "ContractCommitmentCost": cost,
        "ContractCommitmentCreated": pl.col("month_start"),
        "ContractCommitmentDescription": pl.format("Monthly commitment of plan {}", "plan_id"),
        "ContractCommitmentDiscountPercentage": pl.lit(None, MONEY),
        "ContractCommitmentId": pl.format("{}:{}", contract, pl.col("month_start").dt.strftime("%Y-%m")),
        "ContractCommitmentLastUpdated": pl.col("closes_at"),
        "ContractCommitmentPaymentUpfrontPercentage": pl.lit(Decimal(0)).cast(MONEY),
        "ContractCommitmentPeriodEnd": pl.col("month_end"),
        "ContractCommitmentPeriodStart": pl.col("month_start"),
        "ContractCommitmentQuantity": pl.lit(None, MONEY),
        "ContractCommitmentUnit": pl.lit(None, pl.String()),
        "ContractId": contract,
        "ContractPeriodEnd": pl.lit(settled["month_end"].max()).cast(TIME),
        "ContractPeriodStart": pl.lit(settled["month_start"].min()).cast(TIME),
        "InvoiceIssuerName": pl.lit(book.seller.name),
        "PricingCurrency": pl.col("currency"),
        "PricingCurrencyContractCommitmentCost": cost,
        "ServiceProviderName": pl.lit(book.seller.name),
    }
    return rows.select(columns[name].alias(name) for name in sorted(columns))


def invoice_details(book: SettledBook) -> pl.DataFrame:
    """The Invoice Detail dataset of 1.4: one row a charge, whose BilledCost adds up to what is payable, all its columns."""
    issued = book.periods.select(pl.col("month_start").alias("BillingPeriodStart"), pl.col("closes_at"))
    rows = charges(book, "1.4").join(issued, on="BillingPeriodStart", how="left", maintain_order="left")
    columns = {name: pl.col(name) for name in (
        "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
        "InvoiceDetailId", "InvoiceId", "InvoiceIssuerName",
    )} | {
        "InvoiceDetailCreated": pl.col("closes_at"),
        "InvoiceDetailDescription": pl.col("ChargeDescription"),
        "InvoiceDetailGrain": pl.lit(None, pl.String()),
        "InvoiceDetailLastUpdated": pl.col("closes_at"),
        "InvoiceIssueDate": pl.col("closes_at"),
        "InvoiceIssueStatus": pl.lit("Issued"),
        "PaymentCurrency": pl.col("BillingCurrency"),
        "PaymentCurrencyBilledCost": pl.col("BilledCost"),
        "PaymentCurrencyInvoiceDetailId": pl.col("InvoiceDetailId"),
        "PaymentDueDate": pl.lit(None, TIME),
        "PaymentTerms": pl.lit(book.seller.payment_terms),
        "PurchaseOrderNumber": pl.lit(None, pl.String()),
        "ReferenceInvoiceId": pl.col("InvoiceId"),
    }  # fmt: skip
    return rows.select(columns[name].alias(name) for name in sorted(columns))


def _sole_providers(book: SettledBook) -> pl.DataFrame:
    """The provider of each invoice that owes to one alone: InvoiceId, provider."""
    owed = book.postings.filter(pl.col("account") == "provider_payable").group_by("account_id", "period").agg("party")
    sole = owed.filter(pl.col("party").list.n_unique() == 1).with_columns(provider_id=pl.col("party").list.first())
    named = sole.join(book.providers.select("provider_id", "name"), on="provider_id", how="left")
    return named.select(pl.format("{}:{}", "account_id", "period").alias("InvoiceId"), provider=pl.coalesce("name", "provider_id"))


def _applied(row: dict[str, Any]) -> str:
    """What a charge counts towards its account's commitment of the month."""
    element = {
        "ContractId": row["contract"],
        "ContractCommitmentId": f"{row['contract']}:{row['month']}",
        "ContractCommitmentAppliedCost": row["EffectiveCost"],
    }
    return JSON.encode({"Elements": [element]}).decode()


def _applicability(account_id: str) -> str:
    """All that the account is charged for."""
    rule = {"Dimension": "BillingAccountId", "Operator": "In", "Values": [account_id]}
    return JSON.encode({"Inclusions": [rule], "InclusionOperator": "And"}).decode()
