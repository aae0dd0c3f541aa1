"""GLOP, the simplex of OR-Tools: `python -m tests.benchmarks.rivals.glop PROGRAMME.npz [CPU_SECONDS]`.

Reads a programme, hands the solver its arrays, and tells the CPU seconds from there to the answer, or that it was stopped when
it had spent what it was given. In a process of its own: its library and HiGHS's cannot live in one.
"""

import json
import sys
from pathlib import Path

import numpy as np

from tests.benchmarks.linear import Programme, load
from tests.benchmarks.spent import cpu_seconds, stop_after

LONG = 1e9


def solve(programme: Programme) -> float:
    """The greatest value. Raises RuntimeError unless the solver proves it."""
    from ortools.linear_solver.python import model_builder_helper  # only here: whoever collects this module may hold HiGHS already

    model = model_builder_helper.ModelBuilderHelper()
    columns, rows = len(programme.value), len(programme.room)
    model.fill_model_from_sparse_data(
        np.zeros(columns), programme.most, programme.value, np.full(rows, -np.inf), programme.room, programme.matrix
    )
    model.set_maximize(True)
    solver = model_builder_helper.ModelSolverHelper("glop")
    solver.set_time_limit_in_seconds(LONG)
    solver.solve(model)
    if solver.status() != model_builder_helper.SolveStatus.OPTIMAL:
        raise RuntimeError(f"GLOP ended {solver.status()}")
    return float(solver.objective_value())


def main() -> None:
    """Solve the file named on the command line."""
    path, most = [*sys.argv[1:], "0"][:2]
    programme = load(Path(path))
    before = cpu_seconds()
    stop_after(float(most))
    value = solve(programme)
    json.dump({"cpu_seconds": cpu_seconds() - before, "welfare": value}, sys.stdout)


if __name__ == "__main__":
    main()
