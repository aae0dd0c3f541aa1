"""How numbers and times are written on the pages: here and nowhere else.

Money and rates come as integer micros and leave without their unit, which stands in the heading.
"""

from datetime import datetime

from contracts.terms.money import MICROS_PER_CENT, half_up, micros_text

MINUS = "−"
NOTHING = "–"
RATE_PLACES = 3
MINUTE, HOUR, DAY = 60, 3600, 86_400


def money(micros: int | None) -> str:
    """An amount with two decimals and thousands apart.

    >>> money(1_234_567_890), money(-20_000), money(None)
    ('1,234.57', '−0.02', '–')
    """
    return NOTHING if micros is None else _grouped(micros_text(micros, places=2))


def exact(micros: int) -> str:
    """An amount to the micro, without zeros beyond the cent.

    >>> exact(42_177_015_960), exact(344_000_000), exact(-500)
    ('42,177.01596', '344.00', '−0.0005')
    """
    whole, point, part = _grouped(micros_text(micros)).partition(".")
    return f"{whole}{point}{part.rstrip('0').ljust(2, '0')}"


def rate(micros: int | None) -> str:
    """A rate with three decimals, so that a column lines up and neighbours differ.

    >>> rate(2_913_083), rate(12_000_000)
    ('2.913', '12.000')
    """
    return NOTHING if micros is None else _grouped(micros_text(micros, places=RATE_PLACES))


def moment(time: datetime | None, style: str = "full") -> str:
    """A UTC time: `full`, `clock` (hours and minutes) or `iso` for machines.

    >>> moment(datetime(2027, 1, 5, 9, 30)), moment(datetime(2027, 1, 5, 9, 30), "clock")
    ('5 Jan 2027, 09:30 UTC', '09:30')
    """
    if time is None:
        return NOTHING
    if style == "clock":
        return f"{time:%H:%M}"
    return f"{time:%Y-%m-%dT%H:%M:%SZ}" if style == "iso" else f"{time.day} {time:%b %Y, %H:%M} UTC"


def quantity(number: float | None) -> str:
    """A whole number of accelerators, hours or offers, thousands apart."""
    return NOTHING if number is None else _grouped(f"{number:.0f}")


def age(seconds: int | None) -> str:
    """How long ago, in the unit a person would use.

    >>> age(20), age(240), age(7300), age(200_000)
    ('just now', '4 min ago', '2 h ago', '2 days ago')
    """
    if seconds is None:
        return "never"
    if seconds < MINUTE:
        return "just now"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min ago"
    return f"{seconds // HOUR} h ago" if seconds < 2 * DAY else f"{seconds // DAY} days ago"


def change(bps: int | None) -> str:
    """A relative change with its sign: the sign says what the colour says.

    >>> change(-394), change(120), change(0)
    ('−3.9 %', '+1.2 %', '0.0 %')
    """
    if bps is None:
        return NOTHING
    sign = "+" if bps > 0 else MINUS if bps < 0 else ""
    return f"{sign}{abs(bps) / 100:.1f} %"


def cents(amount: int | None) -> str:
    """An amount in cents, written as money.

    >>> cents(123_456), cents(-5)
    ('1,234.56', '−0.05')
    """
    return NOTHING if amount is None else money(amount * MICROS_PER_CENT)


def hours(seconds: int | None) -> str:
    """Seconds as hours with two decimals: what was delivered is measured in seconds and sold in hours.

    >>> hours(86_400), hours(90)
    ('24.00', '0.03')
    """
    return NOTHING if seconds is None else _grouped(f"{half_up(seconds * 100, HOUR) / 100:.2f}")


def duration(seconds: int) -> str:
    """A span in hours and minutes.

    >>> duration(0), duration(900), duration(7260)
    ('at once', '15 min', '2 h 1 min')
    """
    if seconds <= 0:
        return "at once"
    hours, minutes = divmod(-(-seconds // MINUTE), 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part)


def capitalize_first(text: str) -> str:
    """A sentence's first letter as a capital, the rest as it is: names keep theirs.

    >>> capitalize_first("from 5 Jan")
    'From 5 Jan'
    """
    return text[:1].upper() + text[1:]


def person(actor: str) -> str:
    """A name without what kind of key it is.

    >>> person("staff:ada"), person("acct_a"), person("")
    ('ada', 'acct_a', 'nobody')
    """
    return actor.removeprefix("staff:") or "nobody"


FILTERS = {
    "age": age,
    "capitalize_first": capitalize_first,
    "cents": cents,
    "change": change,
    "duration": duration,
    "exact": exact,
    "hours": hours,
    "moment": moment,
    "money": money,
    "person": person,
    "quantity": quantity,
    "rate": rate,
}


def _grouped(text: str) -> str:
    whole, point, part = text.removeprefix("-").partition(".")
    sign = MINUS if text.startswith("-") and text.strip("-0.") else ""
    return f"{sign}{int(whole):,}{point}{part}"
