"""Supply and demand as one small drawing, in SVG.

Stairs with their corners on whole accelerators: supply solid and rising, demand dashed and falling, the price and
quantity of the clearing as a labelled point. Colours come from the page (`--supply`, `--demand`, `--ink`, `--line`).
"""

import msgspec
import polars as pl

from contracts.terms.money import micros_text

WIDTH, HEIGHT = 360, 240
LEFT, TOP, RIGHT, BOTTOM = 50, 16, 14, 34
HEADROOM = 1.15
SPREAD = 2


class Scale(msgspec.Struct, frozen=True):
    """Accelerators 0 to `far` and micros 0 to `top`, laid over the drawing."""

    far: int
    top: int

    def x(self, quantity: int) -> float:
        """Across, in drawing units; what lies beyond stands at the edge."""
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(quantity, self.far) / self.far, 1)

    def y(self, price_micros: int) -> float:
        """Down, in drawing units."""
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * price_micros / self.top, 1)


def chart(steps: pl.DataFrame, *, sold: int, price_micros: int) -> str:
    """Draw the steps of a curve with the point at which was sold.

    The axes end a little beyond what matters: twice the quantity sold, and the dearest step within it.
    """
    far = max(1, sold * SPREAD)
    near = steps.filter(pl.col("quantity_from") < far)
    dearest = max([price_micros, *near["price_micros"].to_list()], default=1)
    scale = Scale(far, max(1, int(dearest * HEADROOM)))
    supply = _line(near, "supply", scale=scale, dash="")
    demand = _line(near, "demand", scale=scale, dash=' stroke-dasharray="5 4"')
    x, y, price = scale.x(sold), scale.y(price_micros), micros_text(price_micros, places=2)
    halo = 'stroke="var(--page)" stroke-width="3" paint-order="stroke"'
    point = f'<circle cx="{x}" cy="{y}" r="4" fill="var(--ink)"/><text x="{x + 7}" y="{y - 7}" fill="var(--ink)" {halo}>{price}</text>'
    label = f"Supply and demand: {sold} accelerators sold at {price}"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" font-size="11">{_axes(scale)}{supply}{demand}{point}</svg>'


def _line(steps: pl.DataFrame, side: str, *, scale: Scale, dash: str) -> str:
    """The stairs of one side, and its name at the end of them."""
    rows = steps.filter(pl.col("side") == side).select("price_micros", "quantity_from", "quantity_to").rows()
    if not rows:
        return ""
    corners = [(scale.x(quantity), scale.y(price)) for price, start, end in rows for quantity in (start, end)]
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
    for quantity in (0, scale.far // 2, scale.far):
        drawn.append(f'<text x="{scale.x(quantity)}" y="{floor + 15}" text-anchor="middle" fill="var(--dim)">{quantity:,}</text>')
    drawn.append(f'<text x="{right}" y="{floor + 29}" text-anchor="end" fill="var(--dim)">accelerators</text>')
    return "".join(drawn)
