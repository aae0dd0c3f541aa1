"""A bid being written: the fields of the form, what is wrong with each, and the request they make.

All of it stands in the address. Times without a zone are UTC, as the form says beside them; `limit` is in currency
units per reference hour.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TypeVar

import msgspec

from broker.services.market_views import GateView, OfferQuery
from broker.services.queries import read_query
from contracts.terms.bids import BidRequest
from contracts.terms.errors import BadInput
from contracts.terms.money import MICROS, half_up, micros_text
from contracts.terms.tables import TIERS
from web.formats import moment, quantity
from web.i18n import gettext

T = TypeVar("T")
Fields = Mapping[str, Sequence[str]]
DEMANDS = (
    "stack",
    "countries",
    "operator_countries",
    "certifications",
    "trust_min",
    "memory_gb_min",
    "uptime_min",
    "place",
    "rtt_ms_max",
    "data_tb",
    "data_country",
)
OWN = ("hardware", "quantity", "hours", "start", "end", "tier", "limit", "project")
QUANTITY_MAX, HOURS_MAX = 1_000_000, 100_000
DAY_HOURS = 24
HOUR = timedelta(hours=1)
Factor = Callable[[str, str | None], Fraction | None]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A bid being written.

    values   what stands in the form, typed or proposed, by field
    faults   what is wrong, a sentence by field
    request  the bid it makes; null while anything is missing or wrong
    search   the same needs as a search of the offers; null while they cannot be read
    """

    values: dict[str, list[str]]
    faults: dict[str, str]
    request: BidRequest | None
    search: OfferQuery | None

    @property
    def worst_case_micros(self) -> int | None:
        """The most it can cost before tax; null while it is not whole."""
        return self.request.worst_case_micros(self.request.hours) if self.request else None

    @property
    def rate_micros_max(self) -> int | None:
        """The most an accelerator-hour of its best class can cost; null while it is not whole."""
        return None if self.request is None else half_up(self.request.worst_case_micros(1.0))


class _Reading:
    """Reads fields one by one and keeps what it could not read."""

    def __init__(self, values: Fields) -> None:
        self._values = values
        self.faults: dict[str, str] = {}

    def take(self, name: str, read: Callable[[str], T]) -> T | None:
        """A field as `read` gives it; None when it is empty, and when it cannot be read, which is noted."""
        text = (self._values.get(name) or [""])[-1].strip()
        try:
            return read(text) if text else None
        except ValueError as fault:
            self.faults[name] = str(fault)
            return None


def draft(given: Fields, *, gate: GateView, factor: Factor) -> Draft:
    """What the fields make: proposed window, faults by field, and the bid if there is none."""
    stated = {name: list(given[name]) for name in (*OWN, *DEMANDS) if given.get(name)}
    values = {"quantity": ["1"], "hours": [str(DAY_HOURS)], "tier": ["spot"]} | stated
    reading = _Reading(values)
    quantity = reading.take("quantity", _whole)
    hours = reading.take("hours", _hours)
    limit = reading.take("limit", _micros)
    start, end = reading.take("start", _utc), reading.take("end", _utc)
    tier = reading.take("tier", _tier)
    faults = reading.faults
    if start is None and "start" not in faults:
        start = gate.first_slot_at or gate.as_of.replace(minute=0, second=0, microsecond=0) + HOUR
        values["start"] = [_local(start)]
    if end is None and start is not None and "end" not in faults:
        end = start + HOUR * max(DAY_HOURS, math.ceil(hours or 0))
        values["end"] = [_local(end)]
    if start and end and (fault := _window_fault(start, end, hours=hours, gate=gate)):
        faults["end"] = fault
    demands, worth = _demands(values, factor, faults=faults)
    if faults or not worth or demands is None or None in (quantity, hours, start, end, tier):
        return Draft(values=values, faults=faults, request=None, search=None if faults else demands)
    search = msgspec.structs.replace(demands, hardware=sorted(worth), quantity=quantity, tier=tier, hours=math.ceil(hours))  # type: ignore[arg-type]
    if limit is None:
        return Draft(values=values, faults=faults, request=None, search=search)
    facts: dict[str, object] = {name: getattr(demands, name) for name in DEMANDS if name != "stack"}
    facts |= {"width": quantity, "hours": float(hours * quantity), f"limit_{tier}_micros": limit}  # type: ignore[operator]
    facts |= {"window_start": start, "window_end": end, "hardware": worth, "project": next(iter(values.get("project", ())), None)}
    try:
        request = BidRequest(**facts)  # type: ignore[arg-type]
    except ValueError as fault:
        return Draft(values=values, faults={"form": str(fault)}, request=None, search=search)
    return Draft(values=values, faults={}, request=request, search=search)


def missing(found: Draft) -> dict[str, str]:
    """What a bid that was to be entered still lacks, a sentence by field."""
    wanted = {
        "hardware": gettext("choose at least one class"),
        "limit": gettext("say the most you would pay for a reference hour, such as 2.50"),
    }
    return {name: sentence for name, sentence in wanted.items() if not found.values.get(name) and name not in found.faults}


def proposal(given: Fields, *, hardware: Sequence[str], all_in_micros: int, factor: Factor) -> list[tuple[str, str]]:
    """A search turned into the fields of a bid for some classes, as pairs of an address.

    A search counts reference hours, a bid accelerator-hours: the hours are enough for the work on the slowest of the classes.
    """
    stack = next(iter(given.get("stack", ())), None)
    slowest = min((worth for name in hardware if (worth := factor(name, stack))), default=Fraction(1))
    reference_hours = int(next(iter(given.get("hours", ())), DAY_HOURS))
    pairs = [(name, value) for name in DEMANDS for value in given.get(name, ())]
    pairs += [
        (to, value)
        for to, name in (("quantity", "quantity"), ("tier", "tier"), ("start", "free_from"), ("end", "ready_by"))
        for value in given.get(name, ())
    ]
    pairs += [("hardware", name) for name in hardware]
    pairs += [("hours", str(math.ceil(reference_hours / slowest)))]
    limits = given.get("budget") or [micros_text(all_in_micros, places=3)]
    return [*pairs, ("limit", limits[-1])]


def _demands(values: Fields, factor: Factor, *, faults: dict[str, str]) -> tuple[OfferQuery | None, dict[str, float]]:
    """The demands that go with the bid, and what an hour of each class is worth; adds what is wrong to `faults`."""
    try:
        demands = read_query({name: values[name] for name in DEMANDS if name in values}, OfferQuery)
    except (BadInput, msgspec.ValidationError) as fault:
        faults["form"] = str(fault)
        return None, {}
    worth = {}
    for name in values.get("hardware", ()):
        found = factor(name, demands.stack)
        if found is None:
            faults["hardware"] = gettext("no throughput is on record for %(name)s; choose another class", name=name)
        else:
            worth[name] = float(found)
    return demands, worth


def _window_fault(start: datetime, end: datetime, *, hours: Decimal | None, gate: GateView) -> str | None:
    if end <= start:
        return gettext("the end comes after the start")
    if gate.first_slot_at and end <= gate.first_slot_at:
        return gettext("the next gate sells hours from %(start)s on; end later", start=moment(gate.first_slot_at))
    if hours is not None and (end - start) / HOUR < hours:
        return gettext(
            "%(hours)s hours do not fit between start and end; end later, or use more accelerators for fewer hours",
            hours=f"{hours.normalize():f}",
        )
    return None


def _whole(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= QUANTITY_MAX:
        raise ValueError(gettext("a whole number from 1 to %(most)s, was %(text)s", most=quantity(QUANTITY_MAX), text=text))
    return int(text)


def _number(text: str, form: str) -> Decimal:
    try:
        number = Decimal(text.replace(",", "."))
    except InvalidOperation as error:
        raise ValueError(gettext("%(form)s, was %(text)s", form=form, text=text)) from error
    if not number.is_finite():
        raise ValueError(gettext("%(form)s, was %(text)s", form=form, text=text))
    return number


def _hours(text: str) -> Decimal:
    number = _number(text, gettext("a number of hours, such as 24"))
    if not 0 < number <= HOURS_MAX:
        raise ValueError(gettext("more than 0 and at most %(most)s hours, was %(text)s", most=quantity(HOURS_MAX), text=text))
    return number


def _micros(text: str) -> int:
    amount = _number(text, gettext("a rate, such as 2.50"))
    micros = half_up(*(amount * MICROS).as_integer_ratio()) if abs(amount) <= MICROS else 0
    if micros < 1:
        raise ValueError(gettext("more than 0 and at most %(most)s, was %(text)s", most=quantity(MICROS), text=text))
    return micros


def _tier(text: str) -> str:
    if text not in TIERS:
        raise ValueError(gettext("one of %(tiers)s, was %(text)s", tiers=", ".join(TIERS), text=text))
    return text


def _utc(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(gettext("a date and a time, such as 2027-01-31T18:00, was %(text)s", text=text)) from error
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _local(moment: datetime) -> str:
    """A moment as the browser's date and time field writes it."""
    return f"{moment:%Y-%m-%dT%H:%M}"
