"""`NAME=VALUE` on the command line as the struct that the API takes: the same names, so that whoever knows one knows the other.

Three things are easier here: an amount may be written in currency units without `_micros` (`limit_spot=2.40`), a time without
seconds, and a hardware class of a bid without its factor, which is 1 then.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from contracts.terms.errors import BadInput
from contracts.terms.money import MICROS
from contracts.terms.time import iso, utc

T = TypeVar("T", bound=msgspec.Struct)
AMOUNT = "_micros"


def read_demands(wants: list[str], into: type[T], *, example: str, base: Mapping[str, object] | None = None) -> T:
    """The demands as a struct, over what a base says already. The same name twice means either value, where a list is asked for.

    Raises BadInput for a demand that is not of the form, of a name nobody knows, or with a value out of its bounds.
    """
    hints = get_type_hints(into)
    fields: dict[str, Any] = dict(base or {})
    said: dict[str, list[str]] = {}
    for want in wants:
        name, equals, value = want.partition("=")
        if not equals or not name:
            raise BadInput("a demand names what it asks for", found=want, would_do=example)
        said.setdefault(name, []).append(value)
    for name, values in said.items():
        field = f"{name}{AMOUNT}" if name not in hints and f"{name}{AMOUNT}" in hints else name
        if field not in hints:
            raise BadInput(f"nobody knows the demand {name}", found=name, would_do=", ".join(sorted(hints)))
        fields[field] = _read(values, hints[field], name=name, amount=field != name)
    try:
        return msgspec.convert(fields, into, strict=False)
    except msgspec.ValidationError as fault:
        sentence, _, place = str(fault).partition(" - at `$.")
        name = place.partition("`")[0].partition("[")[0]
        found = {"found": "=".join((name, ",".join(said[name])))} if name in said else {}
        raise BadInput(f"{name}: {sentence}" if name else sentence, **found, would_do=example) from fault


def assignments(words: list[str]) -> dict[str, str]:
    """`NAME=VALUE` as a mapping; the last of a name counts. Raises BadInput."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BadInput("a variable has a name and a value", found=word, would_do="EPOCHS=3")
        found[name] = value
    return found


def _read(values: list[str], hint: Any, *, name: str, amount: bool) -> object:
    origin = get_origin(hint)
    if origin is list:
        return values
    if origin is dict:
        return dict(_factor(value) for value in values)
    if amount:
        return _micros(name, values[-1])
    if datetime in (hint, *get_args(hint)):
        return _moment(name, values[-1])
    return values[-1]


def _factor(text: str) -> tuple[str, str]:
    """`H100-SXM` or `H100-SXM:1` as class and factor."""
    name, _, factor = text.partition(":")
    return name, factor or "1"


def _micros(name: str, text: str) -> int:
    try:
        amount = Decimal(text) * MICROS
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount != amount.to_integral_value() or abs(amount) >= 2**63:
        raise BadInput(f"{name} is an amount in currency units", found=text, would_do="2.40, with at most six decimals")
    return int(amount)


def _moment(name: str, text: str) -> str:
    try:
        return iso(utc(text))
    except ValueError as fault:
        raise BadInput(f"{name} is a time that says its zone", found=text, would_do="2027-01-01T20:00Z") from fault
