"""Compiled kernels: loops over arrays that Python would take minutes for and NumPy could not write.

A kernel takes arrays, or a NamedTuple of them, and integers; it allocates what it returns, reads no clock and draws no
lots, and is the same on one thread as on any number. The machine code is kept beside the source where that can be written.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast, overload

import numba
from numba.extending import register_jitable

P = ParamSpec("P")
R = TypeVar("R")


@overload
def kernel(function: Callable[P, R]) -> Callable[P, R]: ...
@overload
def kernel(*, bare: bool = False, plain: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def kernel(
    function: Callable[P, R] | None = None, *, bare: bool = False, plain: bool = False
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function at its first call, without the interpreter's lock; integers wrap, so callers bound what they pass.

    bare   allocates nothing: its arrays are not counted, and it is melted into the kernels that call it. Counting who refers
           to an array took more than half of the time of kernels that call each other millions of times.
    plain  stays as it is for Python, whose integers are as long as need be, and is compiled into the kernels that call it;
           `kernel` of such a function is the compiled one.
    """
    options = {"_nrt": False, "forceinline": True} if bare else {}

    def compile_it(body: Callable[P, R]) -> Callable[P, R]:
        if plain:
            return cast("Callable[P, R]", register_jitable(body))
        try:
            compiled = numba.njit(cache=True, nogil=True, **options)(body)
        except RuntimeError:  # an installation nobody may write to: compiled again in every process
            compiled = numba.njit(nogil=True, **options)(body)
        return cast("Callable[P, R]", compiled)

    return compile_it(function) if function is not None else compile_it
