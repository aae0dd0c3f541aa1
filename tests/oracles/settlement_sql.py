"""Settlement once more, as SQL in DuckDB, every product in HUGEINT: the rules as sets, sharing nothing with the ledger.

Takes rows as dictionaries with times as whole microseconds, gives the published tables as sets of tuples.
"""

import duckdb

COLUMNS = {
    "usage": 'usage_id VARCHAR, rev BIGINT, lease_id VARCHAR, start BIGINT, "end" BIGINT, accelerator_seconds BIGINT, '
    "status VARCHAR, received_at BIGINT",
    "leases": "lease_id VARCHAR, account_id VARCHAR, provider_id VARCHAR, hardware VARCHAR, accelerators BIGINT, rate_micros BIGINT, "
    "tier VARCHAR",
    "accounts": "account_id VARCHAR, name VARCHAR, plan_id VARCHAR, tax_bps BIGINT, take_bps BIGINT, currency VARCHAR, country VARCHAR",
    "hardware": "hardware VARCHAR, tflops BIGINT",
    "plans": "plan_id VARCHAR, kind VARCHAR, tiering VARCHAR, unit_price_micros BIGINT, fee_micros BIGINT, fair_use_units BIGINT, "
    "overage VARCHAR, commit_micros BIGINT, grant_units BIGINT",
    "plan_tiers": "plan_id VARCHAR, lo_units BIGINT, hi_units BIGINT, unit_price_micros BIGINT",
    "periods": "period BIGINT, month_start BIGINT, month_end BIGINT, closes_at BIGINT",
    "sla": "tier VARCHAR, credit_bps BIGINT",
}

MACROS = """
CREATE MACRO half_up(n, d) AS (2 * n::HUGEINT + d) // (2 * d);
CREATE MACRO seconds_by(t, s, e, n) AS (n::HUGEINT * (least(greatest(t, s), e) - s)) // (e - s);
"""

KNOWN = """
CREATE TABLE closes AS SELECT * FROM periods WHERE period <= {as_of};
CREATE TABLE copies AS SELECT c.period AS k, u.*,
    row_number() OVER (PARTITION BY c.period, usage_id, rev
                       ORDER BY received_at, lease_id, start, "end", accelerator_seconds, status) AS copy
FROM usage u JOIN closes c ON u.received_at < c.closes_at;
CREATE TABLE records AS SELECT * FROM copies WHERE copy = 1
QUALIFY row_number() OVER (PARTITION BY k, usage_id ORDER BY rev DESC) = 1;
CREATE TABLE facts AS
SELECT r.k, c.period AS m, l.account_id AS a, l.hardware AS h, l.provider_id AS p, l.rate_micros AS rate, g.tflops,
    coalesce(s.credit_bps, 0) AS bps, r.status = 'provider_failed' AS failed,
    seconds_by(c.month_end, start, "end", accelerator_seconds) - seconds_by(c.month_start, start, "end", accelerator_seconds) AS n
FROM records r JOIN closes c ON c.period <= r.k JOIN leases l USING (lease_id) JOIN hardware g USING (hardware)
LEFT JOIN sla s USING (tier) WHERE "end" > start;
DELETE FROM facts WHERE n = 0;
CREATE TABLE grid AS SELECT a.account_id AS a, m.period AS m, k.period AS k, a.take_bps, a.tax_bps, a.currency, p.*
FROM accounts a JOIN plans p USING (plan_id), closes m, closes k WHERE m.period <= k.period;
"""

PRICES = """
CREATE TABLE sums AS
SELECT g.*, coalesce(sum(n * tflops) FILTER (NOT failed), 0)::HUGEINT AS u, coalesce(sum(n * rate) FILTER (NOT failed), 0)::HUGEINT AS r,
    coalesce(sum(n * rate * bps) FILTER (failed), 0)::HUGEINT AS w
FROM grid g LEFT JOIN facts f USING (a, m, k) GROUP BY ALL;
CREATE TABLE tiered AS
SELECT a, m, k, half_up(CASE WHEN tiering = 'volume'
    THEN coalesce(max(u * t.unit_price_micros) FILTER (t.lo_units < u AND (t.hi_units IS NULL OR u <= t.hi_units)), 0)
    ELSE sum(greatest(0, least(u, coalesce(t.hi_units, u)) - t.lo_units) * t.unit_price_micros) END, 86400000) AS amount
FROM sums JOIN plan_tiers t USING (plan_id) GROUP BY a, m, k, tiering;
CREATE TABLE used AS
SELECT s.*, (CASE kind
    WHEN 'metered_tiers' THEN t.amount
    WHEN 'metered_cleared' THEN half_up(r, 3600)
    WHEN 'flat_rate' THEN CASE WHEN overage = 'throttle' THEN 0
        ELSE half_up(greatest(0, u - coalesce(fair_use_units, 0)) * coalesce(unit_price_micros, 0), 86400000) END
    WHEN 'committed' THEN half_up(u * coalesce(unit_price_micros, 0), 86400000)
    ELSE half_up((greatest(0, (sum(u) OVER upto)::HUGEINT - coalesce(grant_units, 0))
        - greatest(0, (sum(u) OVER upto)::HUGEINT - u - coalesce(grant_units, 0))) * coalesce(unit_price_micros, 0), 86400000)
    END)::HUGEINT AS amount
FROM sums s LEFT JOIN tiered t USING (a, m, k) WINDOW upto AS (PARTITION BY a, k ORDER BY m);
CREATE TABLE priced AS
SELECT *, CASE WHEN kind = 'metered_cleared' THEN half_up(r * take_bps, 36000000) ELSE 0 END AS take,
    CASE WHEN kind = 'flat_rate' THEN coalesce(fee_micros, 0) ELSE 0 END AS fee,
    CASE WHEN kind <> 'committed' THEN 0 ELSE
        greatest(m * coalesce(commit_micros, 0), (sum(amount) OVER upto)::HUGEINT)
        - greatest((m - 1) * coalesce(commit_micros, 0), (sum(amount) OVER upto)::HUGEINT - amount) - amount END AS trueup
FROM used WINDOW upto AS (PARTITION BY a, k ORDER BY m);
CREATE TABLE prices AS
SELECT *, least(half_up(w, 36000000), amount + take + fee + trueup)::HUGEINT AS credit, half_up(r, 3600)::HUGEINT AS cost FROM priced;
"""

SPLITS = """
CREATE TABLE weights AS
SELECT 'usage' AS what, a, m, k, h AS id,
    (CASE WHEN x.kind = 'metered_cleared' THEN sum(n * rate) ELSE sum(n * f.tflops) END)::HUGEINT AS w, any_value(x.amount) AS total
FROM facts f JOIN prices x USING (a, m, k) WHERE NOT failed GROUP BY a, m, k, h, x.kind
UNION ALL SELECT 'cost', a, m, k, p, sum(n * rate)::HUGEINT, any_value(cost) FROM facts JOIN prices USING (a, m, k)
WHERE NOT failed GROUP BY a, m, k, p
UNION ALL SELECT 'credit', a, m, k, p, sum(n * rate * bps)::HUGEINT, any_value(credit) FROM facts JOIN prices USING (a, m, k)
WHERE failed GROUP BY a, m, k, p;
CREATE TABLE floors AS
SELECT *, total * w // whole AS base, total * w % whole AS rest
FROM (SELECT *, (sum(w) OVER (PARTITION BY what, a, m, k))::HUGEINT AS whole FROM weights) WHERE total <> 0;
CREATE TABLE shares AS
SELECT what, a, m, k, id, base + (row_number() OVER (PARTITION BY what, a, m, k ORDER BY rest DESC, id)
    <= total - sum(base) OVER (PARTITION BY what, a, m, k))::INT AS amount FROM floors;
CREATE TABLE cumulative AS
SELECT what AS kind, a, m, k, id, amount::HUGEINT AS amount FROM shares
UNION ALL SELECT 'take', a, m, k, NULL, take FROM prices UNION ALL SELECT 'fee', a, m, k, NULL, fee FROM prices
UNION ALL SELECT 'trueup', a, m, k, NULL, trueup FROM prices UNION ALL SELECT 'credit line', a, m, k, NULL, -credit FROM prices;
CREATE TABLE moved AS
SELECT kind, a, m, k, id, sum(amount)::HUGEINT AS amount FROM (
    SELECT * FROM cumulative UNION ALL SELECT kind, a, m, k + 1, id, -amount FROM cumulative WHERE k < {as_of}) GROUP BY ALL
HAVING sum(amount) <> 0;
CREATE TABLE metered AS
SELECT a, m, k, id, sum(n)::BIGINT AS n FROM (
    SELECT a, m, k, h AS id, n FROM facts WHERE NOT failed
    UNION ALL SELECT a, m, k + 1, h, -n FROM facts WHERE NOT failed AND k < {as_of}) GROUP BY ALL;
"""

STATEMENTS = """
CREATE TABLE raw AS
SELECT v.a, v.m, v.k, CASE v.kind WHEN 'credit line' THEN 'credit' ELSE v.kind END AS kind, v.id AS h,
    CASE WHEN v.kind = 'usage' THEN coalesce(t.n, 0) END AS n, v.amount
FROM moved v LEFT JOIN metered t ON (v.kind = 'usage' AND t.a = v.a AND t.m = v.m AND t.k = v.k AND t.id = v.id)
WHERE v.kind NOT IN ('cost', 'credit');
CREATE TABLE totals AS
SELECT *, coalesce(lag(s) OVER upto, 0) AS s0, coalesce(lag(t) OVER upto, 0) AS t0 FROM (
    SELECT *, half_up(s * tax_bps, 10000) AS t FROM (
        SELECT *, (sum(subtotal) OVER (PARTITION BY a ORDER BY k))::HUGEINT AS s FROM (
            SELECT account_id AS a, period AS k, tax_bps, currency,
                coalesce((SELECT sum(amount) FROM raw WHERE raw.a = account_id AND raw.k = period), 0)::HUGEINT AS subtotal
            FROM accounts CROSS JOIN closes)))
WINDOW upto AS (PARTITION BY a ORDER BY k);
CREATE TABLE owed AS
SELECT a, k, currency, subtotal, t - t0 AS tax, half_up(s, 10000) - half_up(s0, 10000) AS cents,
    half_up(s + t, 10000) - half_up(s0 + t0, 10000) AS payable FROM totals;
CREATE TABLE lines AS
SELECT a, m, k, kind, h, n, amount::BIGINT, (base + (row_number() OVER (PARTITION BY a, k ORDER BY amount - 10000 * base DESC, m, kind,
    h NULLS FIRST) <= cents - sum(base) OVER (PARTITION BY a, k))::INT)::BIGINT
FROM (SELECT *, (amount - (amount % 10000 + 10000) % 10000) // 10000 AS base FROM raw) JOIN owed USING (a, k);
CREATE TABLE dues AS
SELECT a, k, id AS p, sum(CASE WHEN kind = 'cost' THEN amount ELSE -amount END)::HUGEINT AS due,
    coalesce(sum(amount) FILTER (kind = 'cost' AND m = k), 0)::HUGEINT AS gross
FROM moved WHERE kind IN ('cost', 'credit') GROUP BY ALL;
CREATE TABLE sides AS
SELECT o.*, coalesce((SELECT sum(amount) FROM raw WHERE raw.a = o.a AND raw.k = o.k AND kind = 'take'), 0)::HUGEINT AS take,
    coalesce((SELECT sum(due) FROM dues WHERE dues.a = o.a AND dues.k = o.k), 0)::HUGEINT AS due,
    coalesce((SELECT sum(amount) FROM moved v WHERE v.a = o.a AND v.k = o.k AND v.kind = 'cost'), 0)::HUGEINT AS cost,
    (SELECT plans.kind FROM accounts JOIN plans USING (plan_id) WHERE account_id = o.a) AS plan
FROM owed o;
CREATE TABLE postings AS
SELECT 'settle:' || a || ':' || k, a, k, currency, account, party, amount::BIGINT,
    CASE WHEN payable < 0 THEN 'credit_note' ELSE 'invoice' END
FROM (
    SELECT a, k, currency, payable, 'receivable' AS account, a AS party, payable * 10000 AS amount FROM sides
    UNION ALL SELECT a, k, currency, payable, 'rounding', NULL, subtotal + tax - payable * 10000 FROM sides
    UNION ALL SELECT a, k, currency, payable, 'tax', NULL, -tax FROM sides
    UNION ALL SELECT a, k, currency, payable, 'fee_income', NULL, -take FROM sides
    UNION ALL SELECT a, k, currency, payable, 'provider_payable', p, -dues.due FROM dues JOIN sides USING (a, k)
    UNION ALL SELECT a, k, currency, payable, CASE plan WHEN 'grant' THEN 'grant' ELSE 'plan_margin' END, NULL, due + take - subtotal
    FROM sides) WHERE amount <> 0;
"""

RESULTS = {
    "lines": "SELECT * FROM lines",
    "postings": "SELECT * FROM postings",
    "invoices": """SELECT a, k, currency, subtotal::BIGINT, tax::BIGINT, (subtotal + tax)::BIGINT, cents::BIGINT, (payable - cents)::BIGINT,
        payable::BIGINT, cost::BIGINT, take::BIGINT FROM sides
        WHERE (a, k) IN (SELECT (a, k) FROM raw) OR (a, k) IN (SELECT (a, k) FROM postings)""",
    "payouts": """SELECT p, k, currency, sum(gross)::BIGINT, sum(dues.due - gross)::BIGINT, sum(dues.due)::BIGINT
        FROM dues JOIN sides USING (a, k) GROUP BY ALL HAVING sum(gross) <> 0 OR sum(dues.due) <> 0""",
    "conflicts": """SELECT usage_id, rev, concat_ws(';', CASE WHEN count(DISTINCT lease_id) > 1 THEN 'lease_id' END,
        CASE WHEN count(DISTINCT start) > 1 THEN 'start' END, CASE WHEN count(DISTINCT "end") > 1 THEN 'end' END,
        CASE WHEN count(DISTINCT accelerator_seconds) > 1 THEN 'accelerator_seconds' END,
        CASE WHEN count(DISTINCT status) > 1 THEN 'status' END) AS differs
        FROM copies WHERE k = {as_of} GROUP BY usage_id, rev HAVING differs <> ''""",
}


def settle_in_sql(tables, as_of=None):
    """Invoices, lines, postings, payouts and conflicts as sets of tuples in the published order of columns."""
    with duckdb.connect() as database:
        for name, columns in COLUMNS.items():
            database.execute(f"CREATE TABLE {name} ({columns})")
            rows = [tuple(row.values()) for row in tables.get(name, [])]
            if rows:
                names = ", ".join(f'"{column}"' for column in tables[name][0])
                database.executemany(f"INSERT INTO {name} ({names}) VALUES ({', '.join('?' * len(rows[0]))})", rows)
        last = as_of or len(tables["periods"])
        for script in (MACROS, KNOWN, PRICES, SPLITS, STATEMENTS):
            database.execute(script.replace("{as_of}", str(last)))
        return {name: set(database.execute(query.replace("{as_of}", str(last))).fetchall()) for name, query in RESULTS.items()}
