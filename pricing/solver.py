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


def solve(programme: LinearProgramme) -> LinearSolution:
    """Solve to a corner. Raises ClearingFailed with the solver's status for anything but an optimum."""
    unknown = cp.Variable(len(programme.value), bounds=[np.zeros(len(programme.value)), programme.most])
    rows = programme.rows @ unknown <= programme.room
    problem = cp.Problem(cp.Minimize(-programme.value @ unknown), [rows])
    try:
        problem.solve(solver=cp.HIGHS)
    except cp.error.SolverError as error:
        raise ClearingFailed("the solver gave up", status=str(error)) from error
    if problem.status != cp.OPTIMAL:
        raise ClearingFailed("the solver found no optimum", status=problem.status)
    return LinearSolution(np.asarray(unknown.value, dtype=np.float64), np.asarray(rows.dual_value, dtype=np.float64))
