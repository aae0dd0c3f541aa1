"""Offers from the catalogue SkyPilot publishes: one CSV file a cloud, one row an instance type and place, in dollars an hour."""

import polars as pl

from broker.feeds.adapters.fetching import fetch_bytes
from broker.feeds.adapters.offering import nothing, offered, unread_rows
from broker.feeds.adapters.places import country_of
from broker.feeds.adapters.prices import Parsed, Terms
from broker.feeds.adapters.sheet import number, read_sheet

COLUMNS = ("InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "Region")
OPTIONAL = ("SpotPrice", "AvailabilityZone")
FIGURES = ("AcceleratorCount", "Price", "SpotPrice")
ADDRESS = "https://raw.githubusercontent.com/skypilot-org/skypilot-catalog/master/catalogs/v8/{cloud}/vms.csv"
CURRENCY = "USD"


def fetch(cloud: str) -> bytes:
    """The published file of one cloud. Raises BadInput when it cannot be had. Needs the network."""
    return fetch_bytes(ADDRESS.format(cloud=cloud))


def parse(payload: bytes, terms: Terms) -> Parsed:
    """Offers and rejections from one cloud's file; the cloud is in its path and is given as `terms.provider`. Never raises.

    A row without a price is one of an instance type that is had as spot alone: it says `no price`, and its spot price is offered.
    """
    sheet = read_sheet(payload, COLUMNS, optional=OPTIONAL)
    if sheet.fault:
        return nothing(sheet.fault)
    table = sheet.frame.with_columns(number(name) for name in FIGURES)
    countries = [country_of(terms.provider, region) for region in table["Region"]]
    on_demand = table.with_columns(
        pl.Series("country_code", countries, dtype=pl.String),
        firm=pl.lit(value=True),
        provider=pl.lit(terms.provider),
        region="Region",
        zone="AvailabilityZone",
        instance_type="InstanceType",
        accelerator="AcceleratorName",
        accelerator_raw=pl.lit(None, pl.String),
        accelerator_count="AcceleratorCount",
        price="Price",
        currency=pl.lit(CURRENCY),
    )
    spot = on_demand.filter(pl.col("SpotPrice").is_not_null()).with_columns(firm=pl.lit(value=False), price="SpotPrice")
    return offered(pl.concat([on_demand, spot]), terms, unread=unread_rows(sheet.unread))
