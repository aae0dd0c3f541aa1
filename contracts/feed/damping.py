"""Damping: an offer that keeps changing its mind is shown with the reason and kept out of clearing.

Each change adds a penalty, which halves every half-life. Above `suppress` the offer is damped, below `reuse` it
is free again; the gap between the two keeps it from flickering. The words and the shape are those of BGP's route flap
damping; a price is meant to move, so it costs little, and a quantity falls with every sale, so it costs nothing.
Integers throughout: between two half-lives the penalty falls in a straight line.
"""

from datetime import datetime, timedelta

import msgspec

SECOND = timedelta(seconds=1)


class Damping(msgspec.Struct, frozen=True, kw_only=True):
    """Penalties in points; `ceiling` bounds them, and so bounds how long an offer stays damped."""

    withdraw: int = 1_000
    change: int = 500
    price: int = 100
    capacity: int = 0
    suppress: int = 3_000
    reuse: int = 750
    ceiling: int = 12_000
    half_life_seconds: int = 900


class Penalty(msgspec.Struct, frozen=True, gc=False):
    """Points as they stood at a moment, and whether they had passed the threshold."""

    points: int
    at: datetime
    suppressed: bool = False


def decayed(penalty: Penalty, now: datetime, *, damping: Damping) -> int:
    """Points left now: halved each half-life, linear in between, rounded down; never more than they were."""
    elapsed = max(0, (now - penalty.at) // SECOND)
    halvings, rest = divmod(elapsed, damping.half_life_seconds)
    if halvings >= penalty.points.bit_length():
        return 0
    return (penalty.points * (2 * damping.half_life_seconds - rest)) // (2 * damping.half_life_seconds << halvings)


def charged(penalty: Penalty, points: int, *, now: datetime, damping: Damping) -> Penalty:
    """The penalty after one more change."""
    still = is_damped(penalty, now, damping=damping)
    total = min(damping.ceiling, decayed(penalty, now, damping=damping) + points)
    return Penalty(total, now, still or total > damping.suppress)


def is_damped(penalty: Penalty, now: datetime, *, damping: Damping) -> bool:
    """Whether the threshold was passed and the points have not yet fallen below reuse."""
    return penalty.suppressed and decayed(penalty, now, damping=damping) >= damping.reuse
