"""Compiled kernels: loops over arrays that Python would take minutes for and NumPy could not write.

A kernel takes arrays, or a NamedTuple of them, and integers; it allocates what it returns, reads no clock and draws no
lots, and is the same on one thread as on any number. The machine code is kept beside the source where that can be written.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function at its first call, without the interpreter's lock; integers wrap, so callers bound what they pass."""
    try:
        compiled = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # an installation nobody may write to: compiled again in every process
        compiled = numba.njit(nogil=True)(function)
    return cast("Callable[P, R]", compiled)
