"""Settlement once more, in plain Python integers: the slow reading of the rules, sharing nothing with the ledger.

Nothing is carried from one close to the next. For every close k the records known at k are looked up afresh, every
month is priced afresh, and period k bills that price less the price at k − 1, which is found in the same way.
Takes and gives rows as dictionaries, times as whole microseconds.
"""

from collections import defaultdict

D = 86_400_000
Sums = dict[str, int]
CONTENT = ["lease_id", "start", "end", "accelerator_seconds", "status"]


def rounded(n, d):
    """n ÷ d, half up."""
    return (2 * n + d) // (2 * d)


def shared(total, weights):
    """Largest remainder over {id: weight}, ties to the least id."""
    if total == 0:
        return {}
    whole = sum(weights.values())
    ids = sorted(weights, key=lambda i: i.encode())
    parts = {i: total * weights[i] // whole for i in ids}
    by_remainder = sorted(ids, key=lambda i: (-(total * weights[i] % whole), i.encode()))
    for i in by_remainder[: total - sum(parts.values())]:
        parts[i] += 1
    return parts


class Oracle:
    """One settlement directory, as lists of dictionaries by table name."""

    def __init__(self, tables, as_of=None):
        self.t = tables
        self.periods = sorted(tables["periods"], key=lambda p: p["period"])[: as_of or len(tables["periods"])]
        self.K = len(self.periods)
        self.leases = {row["lease_id"]: row for row in tables["leases"]}
        self.accounts = {row["account_id"]: row for row in tables["accounts"]}
        self.tflops = {row["hardware"]: row["tflops"] for row in tables["hardware"]}
        self.plans = {row["plan_id"]: row for row in tables["plans"]}
        self.credit_bps = {row["tier"]: row["credit_bps"] for row in tables.get("sla", [])}
        self.memo = {}

    def known(self, k):
        """Usage id → the record that counts at k; and the conflicts among what is known."""
        copies = defaultdict(list)
        for row in self.t["usage"]:
            if row["received_at"] < self.periods[k - 1]["closes_at"]:
                copies[row["usage_id"], row["rev"]].append(row)
        records, conflicts = {}, []
        for (usage_id, rev), rows in sorted(copies.items()):
            kept = min(rows, key=lambda row: [row["received_at"], *(row[name] for name in CONTENT)])
            records[usage_id] = kept  # revs come in ascending order
            differs = [name for name in CONTENT if len({row[name] for row in rows}) > 1]
            if differs:
                conflicts.append((usage_id, rev, ";".join(differs)))
        return records, conflicts

    def facts(self, k):
        """(account, month) → list of (lease, seconds, failed), at k."""
        if ("facts", k) not in self.memo:
            found = defaultdict(list)
            for row in self.known(k)[0].values():
                lease = self.leases[row["lease_id"]]
                for m, period in enumerate(self.periods[:k], 1):

                    def until(t, row=row):
                        t = min(max(t, row["start"]), row["end"])
                        return row["accelerator_seconds"] * (t - row["start"]) // (row["end"] - row["start"])

                    if row["end"] > row["start"]:
                        seconds = until(period["month_end"]) - until(period["month_start"])
                        if seconds:
                            found[lease["account_id"], m].append((lease, seconds, row["status"] == "provider_failed"))
            self.memo["facts", k] = found
        return self.memo["facts", k]

    def units(self, a, m, k):
        return sum(s * self.tflops[lease["hardware"]] for lease, s, failed in self.facts(k)[a, m] if not failed)

    def rated(self, a, m, k):
        return sum(s * lease["rate_micros"] for lease, s, failed in self.facts(k)[a, m] if not failed)

    def usage_micros(self, a, m, k):
        plan = self.plans[self.accounts[a]["plan_id"]]
        price = plan["unit_price_micros"] or 0
        u = self.units(a, m, k)
        if plan["kind"] == "metered_cleared":
            return rounded(self.rated(a, m, k), 3600)
        if plan["kind"] == "metered_tiers":
            tiers = sorted((t for t in self.t["plan_tiers"] if t["plan_id"] == plan["plan_id"]), key=lambda t: t["lo_units"])
            if plan["tiering"] == "volume":
                hit = [t for t in tiers if t["lo_units"] < u and (t["hi_units"] is None or u <= t["hi_units"])]
                return rounded(u * (hit or tiers)[0]["unit_price_micros"], D)
            total = 0
            for t in tiers:
                hi = u if t["hi_units"] is None else min(u, t["hi_units"])
                total += max(0, hi - t["lo_units"]) * t["unit_price_micros"]
            return rounded(total, D)
        if plan["kind"] == "flat_rate":
            return 0 if plan["overage"] == "throttle" else rounded(max(0, u - (plan["fair_use_units"] or 0)) * price, D)
        if plan["kind"] == "committed":
            return rounded(u * price, D)
        granted = plan["grant_units"] or 0
        before = sum(self.units(a, j, k) for j in range(1, m))
        return rounded((max(0, before + u - granted) - max(0, before - granted)) * price, D)

    def price(self, a, m, k):
        """Everything (a, m) comes to at k: {(kind, hardware): micros}, cost and credit by provider."""
        if m > k or k == 0:
            return {}, {}, {}
        if (a, m, k) in self.memo:
            return self.memo[a, m, k]
        account = self.accounts[a]
        plan = self.plans[account["plan_id"]]
        mine = [(lease, s) for lease, s, failed in self.facts(k)[a, m] if not failed]
        u_by: Sums = defaultdict(int)
        n_by: Sums = defaultdict(int)
        n_provider: Sums = defaultdict(int)
        w_provider: Sums = defaultdict(int)
        for lease, s in mine:
            u_by[lease["hardware"]] += s * self.tflops[lease["hardware"]]
            n_by[lease["hardware"]] += s * lease["rate_micros"]
            n_provider[lease["provider_id"]] += s * lease["rate_micros"]
        for lease, s, failed in self.facts(k)[a, m]:
            if failed:
                w_provider[lease["provider_id"]] += s * lease["rate_micros"] * self.credit_bps.get(lease["tier"], 0)
        usage = self.usage_micros(a, m, k)
        take = fee = trueup = 0
        if plan["kind"] == "metered_cleared":
            take = rounded(self.rated(a, m, k) * account["take_bps"], 36_000_000)
        if plan["kind"] == "flat_rate":
            fee = plan["fee_micros"] or 0
        if plan["kind"] == "committed":
            values = [self.usage_micros(a, j, k) for j in range(1, m + 1)]
            commit = plan["commit_micros"] or 0
            trueup = max(m * commit, sum(values)) - max((m - 1) * commit, sum(values[:-1])) - usage
        credit = min(rounded(sum(w_provider.values()), 36_000_000), usage + take + fee + trueup)
        lines = {("take", None): take, ("fee", None): fee, ("trueup", None): trueup, ("credit", None): -credit}
        lines |= {("usage", h): x for h, x in shared(usage, n_by if plan["kind"] == "metered_cleared" else u_by).items()}
        self.memo[a, m, k] = (lines, shared(rounded(self.rated(a, m, k), 3600), n_provider), shared(credit, w_provider))
        return self.memo[a, m, k]

    def seconds(self, a, m, k, hardware):
        if m > k:
            return 0
        return sum(s for lease, s, failed in self.facts(k)[a, m] if not failed and lease["hardware"] == hardware)

    def run(self):
        """The published tables as sets of tuples."""
        out: dict[str, set] = {name: set() for name in ("invoices", "lines", "postings", "payouts")}
        due: dict = defaultdict(lambda: [0, 0])
        for a in self.accounts:
            S = 0
            for k in range(1, self.K + 1):
                S = self.bill(a, k, S, out, due)
        for (provider, k, currency), (gross, adjustments) in due.items():
            if gross or gross + adjustments:
                out["payouts"].add((provider, k, currency, gross, adjustments, gross + adjustments))
        out["conflicts"] = set(self.known(self.K)[1])
        return out

    def bill(self, a, k, S, out, due):
        account = self.accounts[a]
        cost: Sums = defaultdict(int)
        credit: Sums = defaultdict(int)
        lines = []
        for m in range(1, k + 1):
            now, was = self.price(a, m, k), self.price(a, m, k - 1)
            for kind, hardware in {*now[0], *was[0]}:
                amount = now[0].get((kind, hardware), 0) - was[0].get((kind, hardware), 0)
                if amount:
                    seconds = self.seconds(a, m, k, hardware) - (self.seconds(a, m, k - 1, hardware) if k > 1 else 0)
                    lines.append([m, kind, hardware, seconds if kind == "usage" else None, amount])
            for provider in {*now[1], *was[1]}:
                moved = now[1].get(provider, 0) - was[1].get(provider, 0)
                cost[provider] += moved
                due[provider, k, account["currency"]][0 if m == k else 1] += moved
            for provider in {*now[2], *was[2]}:
                moved = now[2].get(provider, 0) - was[2].get(provider, 0)
                credit[provider] += moved
                due[provider, k, account["currency"]][1] -= moved
        subtotal = sum(line[-1] for line in lines)
        T = [rounded(x * account["tax_bps"], 10_000) for x in (S, S + subtotal)]
        C = [rounded(x, 10_000) for x in (S + T[0], S + subtotal + T[1])]
        N = [rounded(x, 10_000) for x in (S, S + subtotal)]
        tax, payable, cents = T[1] - T[0], C[1] - C[0], N[1] - N[0]
        lines.sort(key=lambda line: (-(line[-1] % 10_000), line[0], line[1], line[2] is not None, line[2] or ""))
        extra = cents - sum(line[-1] // 10_000 for line in lines)
        for i, (m, kind, hardware, seconds, amount) in enumerate(lines):
            out["lines"].add((a, m, k, kind, hardware, seconds, amount, amount // 10_000 + (i < extra)))
        take = sum(line[-1] for line in lines if line[1] == "take")
        grant = self.plans[account["plan_id"]]["kind"] == "grant"
        entry = {
            ("receivable", a): payable * 10_000,
            ("rounding", None): subtotal + tax - payable * 10_000,
            ("tax", None): -tax,
            ("fee_income", None): -take,
            ("grant" if grant else "plan_margin", None): sum(cost.values()) - sum(credit.values()) + take - subtotal,
            **{("provider_payable", p): credit.get(p, 0) - cost.get(p, 0) for p in {*cost, *credit}},
        }
        reason = "credit_note" if payable < 0 else "invoice"
        moved = {key: x for key, x in entry.items() if x}
        for (name, party), x in moved.items():
            out["postings"].add((f"settle:{a}:{k}", a, k, account["currency"], name, party, x, reason))
        if lines or moved:
            totals = (subtotal, tax, subtotal + tax, cents, payable - cents, payable, sum(cost.values()), take)
            out["invoices"].add((a, k, account["currency"], *totals))
        return S + subtotal
