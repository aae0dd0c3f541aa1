"""The columns of every public table, in order, with their kinds and defaults.

One declaration serves the readers, the writers, the hashes, the manual and the error messages.
Kinds: text, int, float, bool, time (UTC), list (of text; `;`-separated in CSV).
`required` columns must be present; `default` fills a column that is missing, or names another column
whose value it takes (`=country`). `nullable` says that an empty cell is read as null (unknown).
A missing *column* takes its default; an empty *cell* of a nullable column is unknown.
"""

from typing import Literal

import msgspec
import polars as pl

Kind = Literal["text", "int", "float", "bool", "time", "list"]

DTYPES: dict[str, pl.DataType] = {
    "text": pl.String(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "time": pl.Datetime("us", "UTC"),
    "list": pl.List(pl.String()),
}


class Column(msgspec.Struct, frozen=True):
    """One column: its name, kind, whether it must be there, what stands in for it, what it may hold."""

    name: str
    kind: Kind = "text"
    required: bool = False
    nullable: bool = False
    default: str | int | float | bool | None = None
    minimum: int | float | None = None
    one_of: tuple[str, ...] = ()

    @property
    def dtype(self) -> pl.DataType:
        """The Polars type the column is kept in."""
        return DTYPES[self.kind]


class Table(msgspec.Struct, frozen=True):
    """A named table: columns in published order, and the key its rows are sorted and told apart by."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    optional: bool = False

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Column name → Polars type, in published order."""
        return {column.name: column.dtype for column in self.columns}

    def empty(self) -> pl.DataFrame:
        """The table without rows."""
        return pl.DataFrame(schema=self.schema)

    def column(self, name: str) -> Column:
        """One column by name. Raises KeyError."""
        return next((column for column in self.columns if column.name == name), None) or _no_column(self.name, name)


def _no_column(table: str, name: str) -> Column:
    raise KeyError(f"table {table} has no column {name}")


def table(name: str, key: str, *, columns: list[Column], optional: bool = False) -> Table:
    """A table whose key is given as space-separated column names."""
    return Table(name, tuple(columns), tuple(key.split()), optional)


def _key(name: str, kind: Kind = "text") -> Column:
    return Column(name, kind, required=True, minimum=0 if kind == "int" else None)


def _count(name: str, *, default: int | None = None, minimum: int = 0) -> Column:
    return Column(name, "int", required=default is None, default=default, minimum=minimum)


TIERS = ("guaranteed", "standard", "spot")
TRUST_CLASSES = ("community", "verified", "certified")

OFFERS = table(
    "offers",
    "offer_id",
    columns=[
        _key("offer_id"),
        _key("provider"),
        _key("site"),
        Column("country", required=True, nullable=True),
        Column("subdivision", nullable=True),
        Column("operator_country", nullable=True, default="=country"),
        Column("parent_country", nullable=True, default="=operator_country"),
        Column("trust", nullable=True, default="verified", one_of=TRUST_CLASSES),
        _key("hardware"),
        Column("chip_origin", nullable=True),
        Column("memory_gb", "float", nullable=True, minimum=0),
        _count("quantity"),
        _count("node_size", default=1, minimum=1),
        _count("rate_micros"),
        Column("firm", "bool", default=True),
        Column("uptime", "float", nullable=True, minimum=0),
        _count("slot_first", default=0),
        Column("slot_end", "int", default="=slots", minimum=0),
        Column("latitude", "float", nullable=True),
        Column("longitude", "float", nullable=True),
        Column("zone", nullable=True),
        Column("watts", "float", default=0.0, minimum=0),
        Column("pue", "float", default=1.0, minimum=0),
        Column("energy_indexed", "bool", default=False),
        Column("certifications", "list", nullable=True, default=""),
        Column("open_to", "list", default=""),
        Column("closed_to", "list", default=""),
    ],
)
OFFER_SLOTS = table(
    "offer_slots",
    "offer_id slot",
    columns=[_key("offer_id"), _key("slot", "int"), _count("quantity"), _count("rate_micros")],
    optional=True,
)
COMMITMENTS = table(
    "commitments",
    "lease_id offer_id slot tier",
    columns=[
        _key("lease_id"),
        _key("offer_id"),
        _key("slot", "int"),
        Column("tier", required=True, one_of=TIERS),
        _count("quantity"),
    ],
    optional=True,
)
BIDS = table(
    "bids",
    "bid_id",
    columns=[
        _key("bid_id"),
        _key("buyer"),
        Column("buyer_country", nullable=True),
        Column("buyer_parent_country", nullable=True, default="=buyer_country"),
        Column("entered_at", "time", required=True),
        Column("kind", default="flexible", one_of=("flexible", "block")),
        _count("width", minimum=1),
        Column("hours", "float", required=True, minimum=0),
        _count("slot_first", default=0),
        Column("slot_end", "int", default="=slots", minimum=0),
        Column("limit_guaranteed_micros", "int", nullable=True, minimum=0),
        Column("limit_standard_micros", "int", nullable=True, minimum=0),
        Column("limit_spot_micros", "int", nullable=True, minimum=0),
        Column("hardware", "list", required=True),
        Column("memory_gb_min", "float", nullable=True, minimum=0),
        Column("uptime_min", "float", nullable=True, minimum=0),
        Column("countries", "list", default=""),
        Column("subdivisions", "list", default=""),
        Column("operator_countries", "list", default=""),
        Column("countries_denied", "list", default=""),
        Column("certifications", "list", default=""),
        Column("chip_origins_denied", "list", default=""),
        Column("trust_min", nullable=True, one_of=TRUST_CLASSES),
        Column("place", nullable=True),
        Column("rtt_ms_max", "float", nullable=True, minimum=0),
        Column("latitude", "float", nullable=True),
        Column("longitude", "float", nullable=True),
        Column("distance_km_max", "float", nullable=True, minimum=0),
        Column("data_tb", "float", default=0.0, minimum=0),
        Column("data_country", nullable=True),
        Column("carbon_micros_per_kg", "int", default=0, minimum=0),
        _count("sites_max", default=1, minimum=1),
        Column("semantics", default="hours", one_of=("hours", "work")),
    ],
)
ZONES = table(
    "zones",
    "zone slot",
    columns=[
        _key("zone"),
        _key("slot", "int"),
        Column("price_micros_per_mwh", "int", nullable=True),
        Column("carbon_g_per_kwh", "float", nullable=True, minimum=0),
        Column("renewable_share", "float", nullable=True, minimum=0),
    ],
    optional=True,
)
TRANSFER = table(
    "transfer",
    "from_country to_country",
    columns=[_key("from_country"), _key("to_country"), _count("micros_per_tb"), Column("gbps", "float", required=True, minimum=0)],
    optional=True,
)
LATENCY = table(
    "latency",
    "place site",
    columns=[_key("place"), _key("site"), Column("rtt_ms", "float", required=True, minimum=0)],
    optional=True,
)
AWARDS = table(
    "awards",
    "bid_id offer_id slot tier",
    columns=[
        _key("bid_id"),
        _key("offer_id"),
        _key("slot", "int"),
        Column("tier", required=True, one_of=TIERS),
        _count("quantity"),
        _count("rate_micros"),
        _count("charge_micros"),
    ],
)
PRICES = table(
    "prices",
    "pool slot tier",
    columns=[
        _key("pool"),
        _key("site"),
        _key("hardware"),
        Column("firm", "bool", required=True),
        _key("slot", "int"),
        Column("tier", required=True, one_of=TIERS),
        Column("rate_micros", "int", required=True),
        Column("rate_low_micros", "int", required=True),
        Column("rate_high_micros", "int", required=True),
        _count("sold"),
        _count("offered"),
    ],
)
OUTCOMES = table(
    "outcomes",
    "bid_id",
    columns=[
        _key("bid_id"),
        Column("status", required=True, one_of=("filled", "partial", "rejected", "paradoxical")),
        Column("hours", "float", required=True),
        Column("reference_hours", "float", required=True),
        _count("paid_micros"),
        _count("fee_micros"),
        _count("transfer_micros"),
        _count("uplift_micros"),
        Column("reason", required=True),
    ],
)
RECEIPTS = table(
    "receipts",
    "offer_id slot",
    columns=[
        _key("offer_id"),
        _key("slot", "int"),
        _count("sold"),
        _count("received_micros"),
        _count("premium_micros"),
        _count("uplift_micros"),
    ],
)

MARKET_TABLES = (OFFERS, OFFER_SLOTS, COMMITMENTS, BIDS, ZONES, TRANSFER, LATENCY)
RESULT_TABLES = (AWARDS, PRICES, OUTCOMES, RECEIPTS)
