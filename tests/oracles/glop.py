"""GLOP as an oracle: small linear programmes solved by a simplex that shares nothing with the one in the house.

Its library and HiGHS's define the same symbols, so it runs in a process of its own: programmes go in as JSON, optima come out.

    maximise    Σ value·x      0 ≤ x
    such that   Σ x over the columns of a row ≤ its room
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.oracles.clearing import PlainMarket, rows_of_market

ROOT = Path(__file__).resolve().parent.parent.parent


def welfare_by_glop(markets: Sequence[PlainMarket]) -> list[float]:
    """The greatest welfare per slot-hour of every relaxed book, all in one process."""
    programmes = []
    for market in markets:
        number = {key: column for column, key in enumerate(market.want)}
        programmes.append(
            {
                "value": [worth - market.cost[key[1], key[2]] for key, worth in market.want.items()],
                "rows": [[[number[key] for key in keys], room] for keys, room in rows_of_market(market)],
            }
        )
    done = subprocess.run(
        [sys.executable, "-m", "tests.oracles.glop"], input=json.dumps(programmes), cwd=ROOT, capture_output=True, text=True, check=True
    )
    optima: list[float] = json.loads(done.stdout)
    return optima


def main() -> None:
    """Solve the programmes on standard input."""
    from ortools.linear_solver import pywraplp  # only here: whoever collects this module may hold HiGHS already

    optima = []
    for programme in json.load(sys.stdin):
        solver = pywraplp.Solver.CreateSolver("GLOP")
        unknown = [solver.NumVar(0, solver.infinity(), "") for _ in programme["value"]]
        for columns, room in programme["rows"]:
            solver.Add(sum(unknown[column] for column in columns) <= room)
        solver.Maximize(sum(value * x for value, x in zip(programme["value"], unknown, strict=True)))
        status = solver.Solve()
        assert status == pywraplp.Solver.OPTIMAL, status
        optima.append(solver.Objective().Value())
    json.dump(optima, sys.stdout)


if __name__ == "__main__":
    main()
