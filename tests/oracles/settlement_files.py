"""The two oracles on settlement directories of Parquet files, for months too large to be written by hand."""

from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from tests.oracles.settlement_sql import COLUMNS, KNOWN, MACROS, PRICES, RESULTS, SPLITS, STATEMENTS

TIMES = ("start", "end", "received_at", "month_start", "month_end", "closes_at")

# Each id's copies are told apart once, not at every close: what is known at k is a prefix of what is known at k + 1.
KNOWN_ONCE = """
CREATE TABLE closes AS SELECT * FROM periods WHERE period <= {as_of};
CREATE TABLE arrived AS SELECT u.*, (SELECT min(period) FROM closes WHERE received_at < closes_at) AS known FROM usage u
WHERE received_at < (SELECT max(closes_at) FROM closes);
CREATE TABLE twice AS SELECT usage_id FROM arrived GROUP BY usage_id HAVING count(*) > 1;
CREATE TABLE copies AS SELECT c.period AS k, a.*,
    row_number() OVER (PARTITION BY c.period, usage_id, rev
                       ORDER BY received_at, lease_id, start, "end", accelerator_seconds, status) AS copy
FROM arrived a JOIN closes c ON a.known <= c.period WHERE usage_id IN (SELECT usage_id FROM twice);
CREATE TABLE records AS
SELECT k, lease_id, start, "end", accelerator_seconds, status FROM copies WHERE copy = 1
QUALIFY row_number() OVER (PARTITION BY k, usage_id ORDER BY rev DESC) = 1;
CREATE TABLE once AS
SELECT a.known, c.period AS m, lease_id, a.status = 'provider_failed' AS failed,
    sum(seconds_by(c.month_end, start, "end", accelerator_seconds)
        - seconds_by(c.month_start, start, "end", accelerator_seconds))::HUGEINT AS n
FROM arrived a ANTI JOIN twice USING (usage_id) JOIN closes c ON c.month_start < a."end" AND c.month_end > a.start
WHERE "end" > start GROUP BY ALL;
CREATE TABLE summed AS
SELECT r.k, c.period AS m, lease_id, r.status = 'provider_failed' AS failed,
    sum(seconds_by(c.month_end, start, "end", accelerator_seconds)
        - seconds_by(c.month_start, start, "end", accelerator_seconds))::HUGEINT AS n
FROM records r JOIN closes c ON c.period <= r.k AND c.month_start < r."end" AND c.month_end > r.start WHERE "end" > start GROUP BY ALL
UNION ALL
SELECT c.period, m, lease_id, failed, sum(n)::HUGEINT FROM once JOIN closes c ON known <= c.period AND m <= c.period GROUP BY ALL;
CREATE TABLE facts AS
SELECT r.k, r.m, l.account_id AS a, l.hardware AS h, l.provider_id AS p, l.rate_micros AS rate, g.tflops,
    coalesce(s.credit_bps, 0) AS bps, failed, n
FROM summed r JOIN leases l USING (lease_id) JOIN hardware g USING (hardware) LEFT JOIN sla s USING (tier) WHERE n <> 0;
"""


def settle_files_in_sql(directory: Path, as_of: int | None = None) -> dict[str, set]:
    """Published tables as sets of tuples."""
    with settled_database(directory, as_of) as (database, queries):
        return {name: set(database.execute(query).fetchall()) for name, query in queries.items()}


@contextmanager
def settled_database(directory: Path, as_of: int | None = None):
    """A database that has settled a directory, the usage read by DuckDB itself, and the queries that give its published tables.

    The rules of prices are those of the small oracle. Memory is bounded; what is more goes to the disk.
    """
    grid = KNOWN[KNOWN.index("CREATE TABLE grid") :]
    with duckdb.connect() as database:
        database.execute("SET memory_limit = '5GB'; SET preserve_insertion_order = false")
        for name in COLUMNS:
            path = directory / f"{name}.parquet"
            source = f"{path}" if path.exists() else f"{directory / name}/*.parquet"
            columns = [row[0] for row in database.execute(f"DESCRIBE SELECT * FROM '{source}'").fetchall()]
            cells = ", ".join(f'epoch_us("{column}") AS "{column}"' if column in TIMES else f'"{column}"' for column in columns)
            database.execute(f"CREATE {'VIEW' if name == 'usage' else 'TABLE'} {name} AS SELECT {cells} FROM '{source}'")
        last = as_of or database.execute("SELECT count(*) FROM periods").fetchone()[0]
        for script in (MACROS, KNOWN_ONCE, grid, PRICES, SPLITS, STATEMENTS):
            database.execute(script.replace("{as_of}", str(last)))
        yield database, {name: query.replace("{as_of}", str(last)) for name, query in RESULTS.items()}


def plain_rows(directory: Path) -> dict[str, list[dict]]:
    """The tables as dictionaries with times as microseconds, as the oracle of plain integers takes them."""
    tables = {}
    for path in directory.glob("*.parquet"):
        frame = pl.read_parquet(path)
        times = [name for name in TIMES if name in frame.columns]
        tables[path.stem] = frame.with_columns(pl.col(times).dt.cast_time_unit("us").dt.epoch("us")).to_dicts()
    return tables
