"""What limits would have been enough lately, as a strip of bars with one's own limit across, and as limits to choose."""

import msgspec

from broker.services.market_past import Chance
from contracts.terms.money import MICROS, micros_text

SHARES = (50, 80, 95)
BAR, PITCH, HEIGHT = 2, 3, 40
# What is far dearer than most is cut off, so that the rest can be told apart.
TALL_PERCENT, ROOM = 95, 8
PLACES = 3
STEP = MICROS // 10**PLACES


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """Bars, one an hour that sold, the oldest first, in drawing units.

    under  the path of the bars a limit reaches; all of them where there is no limit yet
    over   the path of those it does not reach
    line   how far from the top the limit is; null where there is none
    """

    width: int
    height: int
    under: str
    over: str
    line: int | None


def strip(chance: Chance, limit_micros: int | None) -> Strip:
    """The hours that sold, against a limit. `chance` has at least one."""
    usual = chance.limit_micros(TALL_PERCENT) or 1
    tallest = max(usual, limit_micros or 0, 1)
    heights = [min(HEIGHT, max(1, (HEIGHT - ROOM) * needed // tallest)) for needed in chance.needed]
    bars = [f"M{place * PITCH} {HEIGHT}v-{height}h{BAR}v{height}z" for place, height in enumerate(heights)]
    reached = [limit_micros is None or needed <= limit_micros for needed in chance.needed]
    return Strip(
        width=len(bars) * PITCH,
        height=HEIGHT,
        under="".join(bar for bar, there in zip(bars, reached, strict=True) if there),
        over="".join(bar for bar, there in zip(bars, reached, strict=True) if not there),
        line=None if limit_micros is None else HEIGHT - (HEIGHT - ROOM) * limit_micros // tallest,
    )


def suggestions(chance: Chance | None) -> list[tuple[int, int, str]]:
    """Limits that would have been enough in some of a hundred hours: how many, micros, and as the form writes it, rounded up."""
    if chance is None or not chance.needed:
        return []
    limits = [(percent, -(-(chance.limit_micros(percent) or 0) // STEP) * STEP) for percent in SHARES]
    return [(percent, micros, micros_text(micros, places=PLACES)) for percent, micros in limits]
