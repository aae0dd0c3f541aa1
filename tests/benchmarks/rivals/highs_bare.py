"""HiGHS with nothing around it: `python -m tests.benchmarks.rivals.highs_bare PROGRAMME.npz [choose|simplex|ipm] [crossover]`.

Reads a programme, hands the solver its arrays, and tells the CPU seconds from there to the answer.
"""

import json
import sys
from pathlib import Path

import highspy
import numpy as np

from tests.benchmarks.linear import Programme, load
from tests.benchmarks.spent import cpu_seconds


def solve(programme: Programme, *, solver: str, crossover: str) -> float:
    """The greatest value. Raises RuntimeError unless the solver proves it."""
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(programme.value), len(programme.room)
    model.col_cost_, model.col_lower_, model.col_upper_ = programme.value, np.zeros(len(programme.value)), programme.most
    model.row_lower_, model.row_upper_ = np.full(len(programme.room), -highspy.kHighsInf), programme.room
    model.sense_ = highspy.ObjSense.kMaximize
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_, model.a_matrix_.index_ = programme.matrix.indptr, programme.matrix.indices
    model.a_matrix_.value_ = programme.matrix.data
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("solver", solver)
    highs.setOptionValue("run_crossover", crossover)
    highs.passModel(model)
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"HiGHS ended {highs.getModelStatus()}")
    return float(highs.getObjectiveValue())


def main() -> None:
    """Solve the file named on the command line."""
    path, solver, crossover = [*sys.argv[1:], "choose", "on"][:3]
    programme = load(Path(path))
    before = cpu_seconds()
    value = solve(programme, solver=solver, crossover=crossover)
    json.dump({"cpu_seconds": cpu_seconds() - before, "welfare": value}, sys.stdout)


if __name__ == "__main__":
    main()
