"""A drop: offers a provider writes down itself, as CSV or JSON, in columns of ours.

For whoever has no feed and no catalogue anybody reads. Unlike a price list a drop says how much there is and who stands behind it, so
its rows become offers as they are. JSON is an array of objects of the same members; in CSV lists are joined by `;`.
"""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

import msgspec
import polars as pl

from broker.feeds.adapters.offering import RATE_MAX, nothing, unread_rows
from broker.feeds.adapters.plausible import plausible
from broker.feeds.adapters.prices import REJECTED, Parsed, Terms
from broker.feeds.adapters.sheet import Unread, read_sheet
from contracts.feed.attributes import OfferAttributes, Text
from contracts.terms.ids import derived_id
from contracts.terms.money import MICROS, half_up
from contracts.terms.tables import OFFERS

TRUST = "community"
RATE_LARGEST = Decimal(1_000_000)


class DropRow(OfferAttributes, frozen=True, kw_only=True):
    """One offer: what the feed's attributes say of it, and

    provider  who sells
    name      the provider's own name for it, where site, hardware, node_size and firm do not tell it from its others
    quantity  accelerators
    rate      per accelerator-hour, in `currency` (the market's where it is not said)
    """

    provider: Text
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    rate: Decimal
    currency: Text | None = None
    name: Text | None = None


COLUMNS = tuple(field.name for field in msgspec.structs.fields(DropRow))
REQUIRED = tuple(field.name for field in msgspec.structs.fields(DropRow) if field.required)
LISTS = ("certifications", "open_to", "closed_to")
EXAMPLE = {
    "provider": "prv_lyon",
    "site": "lyon-1",
    "country": "FR",
    "hardware": "H100-SXM",
    "quantity": "64",
    "rate": "2.15",
    "currency": "EUR",
    "node_size": "8",
    "memory_gb": "80",
    "uptime": "99.9",
    "certifications": "iso27001;hds",
    "watts": "700",
    "pue": "1.2",
}


def template() -> str:
    """A file to fill in: every column once, those that must be there first, and one example."""
    names = [*REQUIRED, *(name for name in COLUMNS if name not in REQUIRED)]
    return f"{','.join(names)}\n{','.join(EXAMPLE.get(name, '') for name in names)}\n"


def parse(payload: bytes, terms: Terms) -> Parsed:
    """Offers and rejections from a drop; JSON where it begins with a bracket, CSV otherwise. Never raises."""
    is_json = payload.lstrip()[:1] == b"["
    unread: list[Unread] = []
    try:
        facts = list(_json_rows(payload)) if is_json else list(_csv_rows(payload, unread))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return nothing(str(error))
    rows: list[tuple[int, DropRow, int]] = []
    seen: dict[str, int] = {}
    for number, fact in facts:
        found = _read(fact, terms)
        if isinstance(found, str):
            unread.append((number, *_split(found)))
            continue
        row, rate = found
        first = seen.setdefault(_offer_id(row), number)
        if first == number:
            rows.append((number, row, rate))
        else:
            unread.append((number, "told twice", f"as row {first}"))
    return _parsed(rows, terms, unread=unread)


def _json_rows(payload: bytes) -> Iterator[tuple[int, object]]:
    yield from enumerate(msgspec.json.decode(payload, type=list[msgspec.Raw]))


def _csv_rows(payload: bytes, unread: list[Unread]) -> Iterator[tuple[int, object]]:
    """Rows as mappings of what is there; rows that are no rows go to `unread`. Raises ValueError for what is no such file."""
    sheet = read_sheet(payload, REQUIRED, optional=[name for name in COLUMNS if name not in REQUIRED])
    if sheet.fault:
        raise ValueError(sheet.fault)
    unread += sheet.unread
    for cells in sheet.frame.iter_rows(named=True):
        number = cells.pop("row")
        facts = {name: text.split(";") if name in LISTS else text for name, text in cells.items() if text is not None}
        # An empty cell of a column that must be there is unknown, where unknown is allowed.
        yield number, facts | {name: None for name in REQUIRED if name not in facts}


def _read(facts: object, terms: Terms) -> tuple[DropRow, int] | str:
    """A row and its rate in micros of the market's currency, or why not: `reason: detail`."""
    try:
        is_raw = isinstance(facts, msgspec.Raw)
        row = msgspec.json.decode(facts, type=DropRow) if is_raw else msgspec.convert(facts, DropRow, strict=False)  # type: ignore[call-overload]
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return f"not an offer: {error}"
    if row.hardware not in terms.hardware:
        return f"accelerator not in the hardware catalogue: {row.hardware}"
    currency = row.currency or terms.currency
    if currency != terms.currency and currency not in terms.exchange:
        return f"currency without a rate: {currency}"
    if not row.rate.is_finite() or not 0 < row.rate <= RATE_LARGEST:
        return f"no price: {row.rate}"
    rate = half_up(Fraction(row.rate) * Fraction(terms.exchange.get(currency, Decimal(1))) * MICROS)
    return (row, rate) if 0 < rate <= RATE_MAX else f"implausible rate: {row.rate}"


def _split(said: str) -> tuple[str, str]:
    reason, _, detail = said.partition(": ")
    return reason, detail


def _offer_id(row: DropRow) -> str:
    """The same offer at another rate or quantity is the same offer."""
    return derived_id("ofr", row.provider, row.site, row.hardware, row.node_size, str(row.firm), row.name or "")


def _parsed(rows: list[tuple[int, DropRow, int]], terms: Terms, *, unread: list[Unread]) -> Parsed:
    made = pl.DataFrame([_offer(row, rate, terms=terms) for _, row, rate in rows], schema=OFFERS.schema, orient="row")
    made = made.with_columns(
        row=pl.Series([number for number, _, _ in rows], dtype=pl.Int64), reason=pl.lit(None, pl.String), detail=pl.lit(None, pl.String)
    )
    good, implausible = plausible(made)
    held = implausible.with_columns(region="site", instance_type=pl.lit(None, pl.String), accelerator="hardware")
    rejected = pl.concat([held.select(list(REJECTED)).cast(REJECTED), unread_rows(unread)])  # type: ignore[arg-type]
    return Parsed(
        good.select(list(OFFERS.schema)).sort("offer_id"),
        rejected.sort("row"),
        made.filter("firm").height + len(unread),
        made.filter(~pl.col("firm")).height,
    )


def _offer(row: DropRow, rate: int, *, terms: Terms) -> list[object]:
    operator = row.operator_country or row.country
    chip = terms.hardware[row.hardware]
    facts = {
        "offer_id": _offer_id(row),
        "trust": TRUST,
        "rate_micros": rate,
        "slot_first": 0,
        "slot_end": terms.slots,
        "operator_country": operator,
        "parent_country": row.parent_country or operator,
        "chip_origin": row.chip_origin or chip.chip_origin,
        "memory_gb": row.memory_gb if row.memory_gb is not None else chip.memory_gb,
        "certifications": list(row.certifications or ()),
        "open_to": list(row.open_to),
        "closed_to": list(row.closed_to),
    }
    return [facts[name] if name in facts else getattr(row, name) for name in OFFERS.schema]
