"""The solver, wrapped once: a linear programme in, quantities and duals out.

    maximise    value · x
    such that   rows @ x ≤ room          dual ≥ 0, what one more unit of room would be worth
                0 ≤ x ≤ most

Some of the unknowns may have to be whole: then there are no duals, and branch and bound says how much better an
answer it has not seen could be. CVXPY carries the first to HiGHS; nobody else in the house knows either.
"""

from collections.abc import Callable

import cvxpy as cp
import highspy
import msgspec
import numpy as np
import scipy.sparse as sp

from contracts.terms.errors import ClearingFailed
from pricing.arrays import Floats, Ints

WHOLE_GAP = 0.5  # of one unit of value: the value of a whole answer is whole
WHOLE_UNIT = 1000.0
LEAST_LOOKS = 50


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


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """How long branch and bound looks for a whole answer: by work, never by the clock, so that a replay ends where the first run did.

    gap     share of the answer by which the bound may exceed it; 0 for the last unit of value
    work    looks times entries of `rows`: the search stops to look up at moments that depend on nothing but the programme
    start   an answer to begin with, (w,) of the whole unknowns in their order; None for none
    """

    gap: float = 0.0
    work: float = 5e7
    start: Ints | None = None


class WholeSolution(msgspec.Struct, frozen=True, eq=False):
    """The best answer found, x (n,), and what branch and bound claims no answer can exceed."""

    quantity: Floats
    bound: float


def solve_whole(programme: LinearProgramme, whole: Ints, *, search: Search) -> WholeSolution:
    """Solve a programme whose unknowns `whole` (positions) must be integers, as far as the search goes.

    CVXPY has no way to begin with an answer, nor to stop by work: this one goes to HiGHS directly, in thousands of units of value.
    Raises ClearingFailed with the solver's status when it has no answer by then.
    """
    engine = highspy.Highs()
    for option, value in (("output_flag", False), ("mip_rel_gap", search.gap), ("mip_abs_gap", WHOLE_GAP / WHOLE_UNIT), ("threads", 1)):
        engine.setOptionValue(option, value)
    engine.passModel(_model(programme, whole))
    if search.start is not None:
        engine.setSolution(len(whole), whole.astype(np.int32), search.start.astype(np.float64))
    looks = max(LEAST_LOOKS, int(search.work / max(1, programme.rows.nnz)))
    seen = iter(range(looks))

    def look_up(*event: highspy.cb.HighsCallbackInput) -> None:
        """Stop when all looks are used; the fourth of what comes with an event is where to say so."""
        event[3].user_interrupt = next(seen, None) is None

    engine.setCallback(look_up, None)
    engine.startCallback(highspy.cb.HighsCallbackType.kCallbackMipInterrupt)
    engine.run()
    status = engine.getModelStatus()
    found = np.asarray(engine.getSolution().col_value, dtype=np.float64)
    if engine.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible or len(found) != len(programme.value):
        raise ClearingFailed("the solver found no whole answer", status=engine.modelStatusToString(status))
    return WholeSolution(found, bound=-WHOLE_UNIT * float(engine.getInfo().mip_dual_bound))


def solve_growing(programme: LinearProgramme, first: Ints, *, more: Callable[[Floats], Ints]) -> LinearSolution:
    """A corner of a programme most of whose unknowns stay at nothing: begun with some (positions), grown by those that would gain.

    more   given the dual of each row (m,), positions that are not in yet and would gain; none when it is done
    The solver keeps its basis from one to the next. Raises ClearingFailed with its status for anything but an optimum.
    """
    engine, taken = highspy.Highs(), first
    engine.setOptionValue("output_flag", False)
    engine.passModel(_model(_part(programme, first), np.empty(0, dtype=np.int64)))
    while True:
        engine.run()
        if engine.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise ClearingFailed("the solver found no optimum", status=engine.modelStatusToString(engine.getModelStatus()))
        solution = engine.getSolution()
        dual = -WHOLE_UNIT * np.asarray(solution.row_dual, dtype=np.float64)
        wanting = more(dual)
        if not len(wanting):
            quantity = np.zeros(len(programme.value))
            quantity[taken] = solution.col_value
            return LinearSolution(quantity, dual)
        part = _part(programme, wanting)
        starts, rows = part.rows.indptr[:-1].astype(np.int32), part.rows.indices.astype(np.int32)
        nothing = np.zeros(len(wanting))
        engine.addCols(len(wanting), -part.value / WHOLE_UNIT, nothing, part.most, part.rows.nnz, starts, rows, part.rows.data)
        taken = np.concatenate([taken, wanting])


def _part(programme: LinearProgramme, which: Ints) -> LinearProgramme:
    """The programme with some of its unknowns (positions), and all of its rows."""
    return LinearProgramme(programme.value[which], programme.most[which], rows=sp.csc_array(programme.rows[:, which]), room=programme.room)


def _model(programme: LinearProgramme, whole: Ints) -> highspy.HighsLp:
    """The programme as HiGHS takes it, in thousands of units of value."""
    model = highspy.HighsLp()
    model.num_row_, model.num_col_ = programme.rows.shape
    model.col_cost_ = -programme.value / WHOLE_UNIT
    model.col_lower_, model.col_upper_ = np.zeros(len(programme.value)), programme.most
    model.row_lower_, model.row_upper_ = np.full(len(programme.room), -np.inf), programme.room
    rows = sp.csc_array(programme.rows)
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = rows.indptr, rows.indices, rows.data
    if len(whole):
        kinds = np.full(len(programme.value), highspy.HighsVarType.kContinuous)
        kinds[whole] = highspy.HighsVarType.kInteger
        model.integrality_ = kinds.tolist()
    return model


def solve(programme: LinearProgramme) -> LinearSolution:
    """Solve a programme to a corner. Raises ClearingFailed with the solver's status for anything but an optimum.

    By HiGHS's own choice of method, which is its simplex: on these programmes interior point took twice as long, and without
    a crossover ended in no status at all.
    """
    unknown = cp.Variable(len(programme.value), bounds=[np.zeros(len(programme.value)), programme.most])
    rows = programme.rows @ unknown <= programme.room
    problem = cp.Problem(cp.Minimize(-programme.value @ unknown), [rows])
    try:
        problem.solve(solver=cp.HIGHS)
        status = problem.status
    except (cp.error.SolverError, ValueError) as error:  # ValueError: the solver ended in a status CVXPY cannot unpack
        status = str(error)
    if status != cp.OPTIMAL:
        raise ClearingFailed("the solver found no optimum", status=status)
    return LinearSolution(np.asarray(unknown.value, dtype=np.float64), np.asarray(rows.dual_value, dtype=np.float64))
