"""Supply and demand as one small drawing, in SVG.

Stairs with their corners on whole accelerators: supply solid and rising, demand dashed and falling, the price and
quantity of the clearing as a labelled point, the range that supports it as a bar through the point. Colours come from the
page (`--supply`, `--demand`, `--ink`, `--line`).
"""

import msgspec
import polars as pl

from contracts.terms.money import micros_text

WIDTH, HEIGHT = 360, 240
LEFT, TOP, RIGHT, BOTTOM = 50, 16, 14, 34
HEADROOM = 1.15
SPREAD = 2
CORNERS_MOST = 120


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Where a class cleared: accelerators sold, and rate, low and high in micros per accelerator-hour."""

    sold: int
    rate: int
    low: int
    high: int


class Scale(msgspec.Struct, frozen=True):
    """Accelerators 0 to `far` and micros 0 to `top`, laid over the drawing."""

    far: int
    top: int

    def x(self, quantity: int) -> float:
        """Across, in drawing units; what lies beyond stands at the edge."""
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(quantity, self.far) / self.far, 1)

    def y(self, price_micros: int) -> float:
        """Down, in drawing units; what lies above stands at the top."""
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(price_micros, self.top) / self.top, 1)


def near_steps(steps: pl.DataFrame, sold: int) -> pl.DataFrame:
    """The steps of a curve that matter for a point: those within twice the quantity sold."""
    return steps.filter(pl.col("quantity_from") < max(1, sold * SPREAD))


def chart(steps: pl.DataFrame, point: Point) -> str:
    """Draw the steps of a curve with the point at which was sold.

    The axes end a little beyond what matters: twice the quantity sold, and the dearest step of supply or the first steps of
    demand within it; a bid above the top stands at the top.
    """
    near = near_steps(steps, point.sold)
    supplied = near.filter(pl.col("side") == "supply")["price_micros"].to_list()
    wanted = near.filter(pl.col("side") == "demand", pl.col("quantity_to") > point.sold // 4)["price_micros"].to_list()
    scale = Scale(max(1, point.sold * SPREAD), max(1, int(max([point.high, *supplied, *wanted]) * HEADROOM)))
    supply = _line(near, "supply", scale=scale, dash="")
    demand = _line(near, "demand", scale=scale, dash=' stroke-dasharray="5 4"')
    x, y, price = scale.x(point.sold), scale.y(point.rate), micros_text(point.rate, places=2)
    halo = 'stroke="var(--page)" stroke-width="3" paint-order="stroke"'
    tie = f'<path d="M{x} {scale.y(point.low)}V{scale.y(point.high)}" stroke="var(--ink)" stroke-width="3" stroke-linecap="round"/>'
    mark = f'<circle cx="{x}" cy="{y}" r="4" fill="var(--ink)"/><text x="{x + 7}" y="{y - 7}" fill="var(--ink)" {halo}>{price}</text>'
    ends = (
        f", any price from {micros_text(point.low, places=2)} to {micros_text(point.high, places=2)} would do"
        if point.low < point.high
        else ""
    )
    label = f"Supply and demand: {point.sold} accelerators sold at {price}{ends}"
    drawn = f"{_axes(scale)}{supply}{demand}{tie}{mark}"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" font-size="11">{drawn}</svg>'


def _line(steps: pl.DataFrame, side: str, *, scale: Scale, dash: str) -> str:
    """The stairs of one side, and its name at the end of them; many small steps are drawn as fewer larger ones."""
    rows = steps.filter(pl.col("side") == side).select("price_micros", "quantity_from", "quantity_to").rows()
    if not rows:
        return ""
    every = -(-len(rows) // CORNERS_MOST)
    groups = [rows[first : first + every] for first in range(0, len(rows), every)]
    corners = [(scale.x(quantity), scale.y(group[-1][0])) for group in groups for quantity in (group[0][1], group[-1][2])]
    points = " ".join(f"{x},{y}" for x, y in corners)
    x, y = corners[-1]
    name = f'<text x="{min(x, WIDTH - RIGHT)}" y="{y - 5}" text-anchor="end" fill="var(--{side})">{side}</text>'
    return f'<polyline points="{points}" fill="none" stroke="var(--{side})" stroke-width="2"{dash}/>{name}'


def _axes(scale: Scale) -> str:
    """Both axes with their ends and middles, and the unit of each."""
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    drawn = [f'<path d="M{LEFT} {TOP}V{floor}H{right}" fill="none" stroke="var(--line)"/>']
    for price in (scale.top // 2, scale.top):
        y = scale.y(price)
        drawn.append(f'<path d="M{LEFT} {y}H{right}" stroke="var(--line)" stroke-dasharray="1 4"/>')
        drawn.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end" fill="var(--dim)">{micros_text(price, places=2)}</text>')
    for quantity, anchor in ((0, "middle"), (scale.far // 2, "middle"), (scale.far, "end")):
        drawn.append(f'<text x="{scale.x(quantity)}" y="{floor + 15}" text-anchor="{anchor}" fill="var(--dim)">{quantity:,}</text>')
    drawn.append(f'<text x="{right}" y="{floor + 29}" text-anchor="end" fill="var(--dim)">accelerators</text>')
    return "".join(drawn)
