"""The solver, wrapped once: a linear programme in, quantities and duals out.

    maximise    value · x
    such that   rows @ x ≤ room          dual ≥ 0, what one more unit of room would be worth
                0 ≤ x ≤ most

CVXPY carries it to HiGHS; nobody else in the house knows either.
"""

import cvxpy as cp
import msgspec
import numpy as np
import scipy.sparse as sp

from contracts.terms.errors import ClearingFailed
from pricing.arrays import Floats

INTERIOR_FROM = 20_000


class LinearProgramme(msgspec.Struct, frozen=True, eq=False):
    """n unknowns, m rows. Entries of the matrix are at `row`, `column` with 1 or −1.

    value   (n,) of one unit of each unknown
    most    (n,) upper bound of each unknown; infinity where the rows bound it
    room    (m,)
    """

    value: Floats
    most: Floats
    rows: sp.csc_array
    room: Floats


class LinearSolution(msgspec.Struct, frozen=True, eq=False):
    """A corner of the programme: x (n,) and the dual of each row (m,)."""

    quantity: Floats
    dual: Floats


def solve(programme: LinearProgramme, *, corner: bool = True) -> LinearSolution:
    """Solve a programme, to a corner or only to near-optimal duals (a fraction of the time on a large one).

    Raises ClearingFailed with the solver's status for anything but an optimum.
    """
    unknown = cp.Variable(len(programme.value), bounds=[np.zeros(len(programme.value)), programme.most])
    rows = programme.rows @ unknown <= programme.room
    problem = cp.Problem(cp.Minimize(-programme.value @ unknown), [rows])
    status = "unsolved"
    for options in _manners(programme, corner=corner):
        try:
            problem.solve(solver=cp.HIGHS, highs_options=options)
            status = problem.status
        except (cp.error.SolverError, ValueError) as error:  # ValueError: the solver ended in a status CVXPY cannot unpack
            status = str(error)
        if status == cp.OPTIMAL:
            return LinearSolution(np.asarray(unknown.value, dtype=np.float64), np.asarray(rows.dual_value, dtype=np.float64))
    raise ClearingFailed("the solver found no optimum", status=status)


def _manners(programme: LinearProgramme, *, corner: bool) -> list[dict[str, str]]:
    """How to solve, in turn until one succeeds.

    Interior point pays on a large programme, and the crossover to a corner costs as much again; the simplex never fails to
    find a corner that is there.
    """
    if len(programme.value) < INTERIOR_FROM:
        return [{}]
    return [{"solver": "ipm", "run_crossover": "on" if corner else "off"}, {"solver": "simplex"}]
