"""How far apart places and sites are, and what moving data between countries costs."""

import polars as pl

from broker.world.catalogue import LatencyModel, TransferModel, WorldModel, accounts, places, sites, table

EARTH_RADIUS_KM = 6371.0088


def latency(world: WorldModel) -> pl.DataFrame:
    """Round-trip time of every place to every site: place, site, rtt_ms to a tenth.

    A median of the published matrix where both ends have a region in it; else the model's line over distance.
    """
    measured = table("latency").select("from_region", "to_region", measured="rtt_ms")
    user = places().select("place", "network_region", lat="latitude", lon="longitude")
    there = sites().select("site", "latitude", "longitude", to_region="network_region")
    pairs = (
        user.join(there, how="cross")
        .with_columns(km=_distance_km())
        .join(measured, left_on=["network_region", "to_region"], right_on=["from_region", "to_region"], how="left", validate="m:1")
    )
    return pairs.select("place", "site", rtt_ms=pl.coalesce("measured", _modelled(world.latency)).round(1))


def transfer(world: WorldModel) -> pl.DataFrame:
    """What a terabyte costs between every two countries of the world: from_country, to_country, micros_per_tb, gbps."""
    bids = table("bids")["data_country"].drop_nulls()
    known = sorted({*sites()["country"], *accounts()["country"], *bids})
    rows = [(here, there, *_tariff(here, there, steps=world.transfer)) for here in known for there in known]
    return pl.DataFrame(rows, schema=["from_country", "to_country", "micros_per_tb", "gbps"], orient="row")


def _distance_km() -> pl.Expr:
    """Great circle between (lat, lon) and (latitude, longitude), km, on the sphere the rules use."""
    here, there = pl.col("lat").radians(), pl.col("latitude").radians()
    rise = ((there - here) / 2).sin() ** 2
    turn = ((pl.col("longitude") - pl.col("lon")).radians() / 2).sin() ** 2
    return 2 * EARTH_RADIUS_KM * (rise + here.cos() * there.cos() * turn).sqrt().arcsin()


def _modelled(line: LatencyModel) -> pl.Expr:
    km = pl.col("km")
    near = line.near_ms + line.near_ms_per_km * km
    return pl.when(km < line.near_km).then(near).otherwise(line.far_ms + line.far_ms_per_km * km)


def _tariff(here: str, there: str, *, steps: TransferModel) -> tuple[int, float]:
    if here == there:
        return 0, steps.home_gbps
    if here in steps.gated or there in steps.gated:
        return steps.gated_micros_per_tb, steps.gated_gbps
    if any(here in area and there in area for area in steps.areas.values()):
        return steps.near_micros_per_tb, steps.near_gbps
    return steps.far_micros_per_tb, steps.far_gbps
