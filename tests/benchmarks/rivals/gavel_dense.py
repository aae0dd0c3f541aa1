"""The same slot as Gavel's policies write theirs: `python -m tests.benchmarks.rivals.gavel_dense DIR [CPU_SECONDS]`.

One matrix variable a tier with a row for every bid and a column for every pool, eligible or not; dense coefficients; limits
as constraints, the sign of the unknowns among them. Solved by HiGHS through CVXPY, as ours is: what differs is how it is written.
"""

import json
import sys
from pathlib import Path

import cvxpy as cp
import numpy as np

from broker.files.market import read_market
from pricing.network import Network
from pricing.problem import compile_book
from tests.benchmarks.linear import every_arc
from tests.benchmarks.spent import cpu_seconds, stop_after

TIERS = 3


def solve(network: Network) -> float:
    """The greatest welfare of a book of one slot, micros per slot-hour. Raises RuntimeError unless it is found."""
    groups, pools = len(network.end), network.cheapest.shape[0]
    worth = np.zeros((TIERS, groups, pools))
    arcs = every_arc(network)
    worth[arcs.tier, network.group[arcs.pair], network.pool[arcs.pair]] = arcs.worth
    rate, quantity = _steps(network)
    x = [cp.Variable((groups, pools)) for _ in range(TIERS)]
    z = cp.Variable(rate.shape)
    most = network.size * np.minimum(network.width, network.units)
    total = x[0] + x[1] + x[2]
    constraints = [
        *(tier >= 0 for tier in x),
        z >= 0,
        z <= quantity,
        cp.sum(total, axis=1) <= most,
        cp.sum(total, axis=0) <= cp.sum(z, axis=1),
        cp.sum(x[0], axis=0) <= network.limits[:, 0, 0],
        cp.sum(x[0] + x[1], axis=0) <= network.limits[:, 0, 1],
    ]
    gained = sum(cp.sum(cp.multiply(worth[tier], x[tier])) for tier in range(TIERS))
    problem = cp.Problem(cp.Maximize(gained - cp.sum(cp.multiply(rate, z))), constraints)
    problem.solve(solver=cp.HIGHS)
    if problem.status != cp.OPTIMAL:
        raise RuntimeError(f"ended {problem.status}")
    return float(problem.value)


def main() -> None:
    """Compile the directory named on the command line, unmeasured; solve it, measured."""
    folder, most = [*sys.argv[1:], "0"][:2]
    network = compile_book(read_market(Path(folder))).network
    before = cpu_seconds()
    stop_after(float(most))
    welfare = solve(network)
    json.dump({"cpu_seconds": cpu_seconds() - before, "welfare": welfare}, sys.stdout)


def _steps(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """The steps of every pool side by side (P, K): rate and quantity, nothing where a pool has fewer."""
    count = np.diff(network.step)
    place, rank = np.repeat(np.arange(len(count)), count), np.arange(len(network.rate)) - np.repeat(network.step[:-1], count)
    rate, quantity = np.zeros((len(count), int(count.max(initial=1)))), np.zeros((len(count), int(count.max(initial=1))))
    rate[place, rank], quantity[place, rank] = network.rate, network.quantity
    return rate, quantity


if __name__ == "__main__":
    main()
