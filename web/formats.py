"""How numbers and times are written on the pages, in the reader's language: here and nowhere else.

Money and rates come as integer micros and leave without their unit, which stands in the heading.
"""

import functools
from datetime import date, datetime

from babel.dates import format_skeleton

from contracts.terms.money import MICROS_PER_CENT, half_up, micros_text
from web.i18n import found, gettext, locale, locale_of

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
    whole, point, part = micros_text(micros).partition(".")
    return _grouped(f"{whole}{point}{part.rstrip('0').ljust(2, '0')}")


def rate(micros: int | None) -> str:
    """A rate with three decimals, so that a column lines up and neighbours differ.

    >>> rate(2_913_083), rate(12_000_000)
    ('2.913', '12.000')
    """
    return NOTHING if micros is None else _grouped(micros_text(micros, places=RATE_PLACES))


def moment(time: datetime | None, style: str = "full") -> str:
    """A UTC time: `full`, `day` (without year and zone), `clock` (hours and minutes) or `iso` for machines.

    >>> moment(datetime(2027, 1, 5, 9, 30)), moment(datetime(2027, 1, 5, 9, 30), "clock")
    ('5 Jan 2027, 09:30 UTC', '09:30')
    """
    if time is None:
        return NOTHING
    if style == "clock":
        return f"{time:%H:%M}"
    if style == "iso":
        return f"{time:%Y-%m-%dT%H:%M:%SZ}"
    if style == "day":
        return gettext("%(date)s, %(clock)s", date=_written(time.date(), "MMMd", name=locale()), clock=f"{time:%H:%M}")
    return gettext("%(date)s, %(clock)s UTC", date=_written(time.date(), "yMMMd", name=locale()), clock=f"{time:%H:%M}")


def month(time: datetime) -> str:
    """The month a moment lies in.

    >>> month(datetime(2027, 1, 5))
    'January 2027'
    """
    return _written(time.date(), "yMMMM", name=locale())


def word(name: str) -> str:
    """A word of the market's vocabulary (a tier, a state) in the reader's language; names stay as they are."""
    return found(name)


def quantity(number: float | None) -> str:
    """A whole number of accelerators, hours or offers, thousands apart."""
    return NOTHING if number is None else _grouped(f"{number:.0f}")


def age(seconds: int | None) -> str:
    """How long ago, in the unit a person would use.

    >>> age(20), age(240), age(7300), age(200_000)
    ('just now', '4 min ago', '2 h ago', '2 days ago')
    """
    if seconds is None:
        return gettext("never")
    if seconds < MINUTE:
        return gettext("just now")
    if seconds < HOUR:
        return gettext("%(num)s min ago", num=seconds // MINUTE)
    return gettext("%(num)s h ago", num=seconds // HOUR) if seconds < 2 * DAY else gettext("%(num)s days ago", num=seconds // DAY)


def change(bps: int | None) -> str:
    """A relative change with its sign: the sign says what the colour says.

    >>> change(-394), change(120), change(0)
    ('−3.9 %', '+1.2 %', '0.0 %')
    """
    if bps is None:
        return NOTHING
    sign = "+" if bps > 0 else MINUS if bps < 0 else ""
    return f"{sign}{_grouped(f'{abs(bps) / 100:.1f}')} %"


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


def hours_of(number: float | None) -> str:
    """Accelerator-hours, whole ones without decimals.

    >>> hours_of(1264.0), hours_of(0.5)
    ('1,264', '0.5')
    """
    return NOTHING if number is None else _grouped(f"{number:.0f}" if number == round(number) else f"{number:.1f}")


def percent(bps: int | None) -> str:
    """A share, given in hundredths of a per cent.

    >>> percent(9907), percent(None)
    ('99.1 %', '–')
    """
    return NOTHING if bps is None else f"{_grouped(f'{bps / 100:.1f}')} %"


def duration(seconds: int) -> str:
    """A span in hours and minutes.

    >>> duration(0), duration(900), duration(7260)
    ('at once', '15 min', '2 h 1 min')
    """
    if seconds <= 0:
        return gettext("at once")
    hours, minutes = divmod(-(-seconds // MINUTE), 60)
    parts = (gettext("%(num)s h", num=hours) if hours else "", gettext("%(num)s min", num=minutes) if minutes else "")
    return " ".join(part for part in parts if part)


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
    return actor.removeprefix("staff:") or gettext("nobody")


FILTERS = {
    "age": age,
    "capitalize_first": capitalize_first,
    "cents": cents,
    "change": change,
    "duration": duration,
    "exact": exact,
    "hours": hours,
    "hours_of": hours_of,
    "moment": moment,
    "money": money,
    "month": month,
    "percent": percent,
    "person": person,
    "quantity": quantity,
    "rate": rate,
    "word": word,
}


def _grouped(text: str) -> str:
    """A plain decimal with the locale's signs, thousands apart."""
    group, point = _signs(locale())
    whole, dot, part = text.removeprefix("-").partition(".")
    sign = MINUS if text.startswith("-") and text.strip("-0.") else ""
    return f"{sign}{int(whole):,}".replace(",", group) + (point if dot else "") + part


@functools.cache
def _signs(name: str) -> tuple[str, str]:
    """What a locale puts between thousands, and before decimals."""
    symbols = locale_of(name).number_symbols["latn"]
    return symbols["group"], symbols["decimal"]


@functools.lru_cache(maxsize=4096)
def _written(day: date, skeleton: str, *, name: str) -> str:
    """A day as a locale writes it: kept, as a page repeats a few days and working one out takes long."""
    return format_skeleton(skeleton, day, locale=name)
