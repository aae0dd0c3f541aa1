"""The solver, wrapped once: a linear programme in, quantities and duals out.

    maximise    value · x
    such that   rows @ x ≤ room          dual ≥ 0, what one more unit of room would be worth
                0 ≤ x ≤ most

Some of the unknowns may have to be whole: then there are no duals, and branch and bound says how much better an
answer it has not seen could be. CVXPY carries either to HiGHS; nobody else in the house knows them.
"""

import warnings

import cvxpy as cp
import msgspec
import numpy as np
import scipy.sparse as sp

from contracts.terms.errors import ClearingFailed
from pricing.arrays import Floats, Ints

INTERIOR_FROM = 20_000
WHOLE_GAP = 0.5  # of one unit of value: the value of a whole answer is whole


class LinearProgramme(msgspec.Struct, frozen=True, eq=False):
    """n unknowns, m rows.

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


class WholeSolution(msgspec.Struct, frozen=True, eq=False):
    """The best answer found, x (n,), and what branch and bound claims no answer can exceed."""

    quantity: Floats
    bound: float


def solve_whole(programme: LinearProgramme, whole: Ints, *, seconds: float) -> WholeSolution:
    """Solve a programme whose unknowns `whole` (positions) must be integers, to the last unit of value or for so many seconds.

    Raises ClearingFailed with the solver's status when it has no answer by then.
    """
    limits = [np.zeros(len(programme.value)), programme.most]
    unknown = cp.Variable(len(programme.value), bounds=limits, integer=(whole,) if len(whole) else False)
    problem = cp.Problem(cp.Minimize(-programme.value @ unknown), [programme.rows @ unknown <= programme.room])
    options = {"mip_rel_gap": 0.0, "mip_abs_gap": WHOLE_GAP, "time_limit": seconds}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an answer that is not the last word is what a limit is for
            problem.solve(solver=cp.HIGHS, highs_options=options)
    except (cp.error.SolverError, ValueError) as error:  # ValueError: the solver ended in a status CVXPY cannot unpack
        raise ClearingFailed("the solver found no whole optimum", status=str(error)) from error
    if problem.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE, cp.settings.USER_LIMIT) or unknown.value is None:
        raise ClearingFailed("the solver found no whole optimum", status=problem.status)
    found = np.asarray(unknown.value, dtype=np.float64)
    if not np.isfinite(found).all():
        raise ClearingFailed("the solver found no whole answer in time", status=problem.status)
    return WholeSolution(found, bound=-float(problem.solver_stats.extra_stats.mip_dual_bound))


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
