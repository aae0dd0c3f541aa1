"""Whether a rate can be meant: apart from reading, so that it is the same for whoever publishes."""

import polars as pl

IMPLAUSIBLE_FACTOR = 20
FEW = 3


def plausible(prices: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Prices within a factor of 20 of the median rate of their class; the others are quarantined with the figures.

    Within a class a reference hour is the same multiple of every hour, so rates compare as they are. A class with
    fewer than three prices has no median worth the name: nothing is told against them. Takes any frame with `hardware`,
    `rate_micros`, `reason` and `detail`.
    """
    median = pl.col("rate_micros").median().over("hardware")
    times = pl.col("rate_micros") / median
    far = (pl.len().over("hardware") >= FEW) & ((times > IMPLAUSIBLE_FACTOR) | (times < 1 / IMPLAUSIBLE_FACTOR))
    judged = prices.with_columns(far=far, median=median.cast(pl.Int64))
    said = pl.format("{} micros against a class median of {}", pl.col("rate_micros"), pl.col("median"))
    implausible = judged.filter("far").with_columns(reason=pl.lit("implausible rate"), detail=said)
    return judged.filter(~pl.col("far")).drop("far", "median"), implausible.drop("far", "median")
