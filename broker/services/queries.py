"""Query strings as structs: the same struct is read, checked and described, so the three cannot differ."""

import functools
from collections.abc import Mapping, Sequence
from typing import TypeVar, get_origin, get_type_hints

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


def read_query(fields: Mapping[str, Sequence[str]], into: type[T]) -> T:
    """A query string as a struct: a list field takes every value of its name, another field the last.

    Raises msgspec.ValidationError for an unknown name or a value out of its bounds.
    """
    lists = _lists(into)
    values = {name: list(found) if name in lists else found[-1] for name, found in fields.items()}
    return msgspec.convert(values, into, strict=False)


@functools.cache
def _lists(struct: type[msgspec.Struct]) -> frozenset[str]:
    """The fields that take several values; asked once a struct, for annotations are read slowly."""
    return frozenset(name for name, hint in get_type_hints(struct).items() if get_origin(hint) is list)


def write_query(struct: msgspec.Struct) -> list[tuple[str, str]]:
    """The fields that differ from their defaults, as a query string's pairs: reading them gives the struct back."""
    pairs: list[tuple[str, str]] = []
    plain = msgspec.to_builtins(struct)
    for field in msgspec.structs.fields(struct):
        value = plain[field.encode_name]
        default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        if value != default and value is not None:
            pairs += [(field.encode_name, str(each)) for each in (value if isinstance(value, list) else [value])]
    return pairs
