"""How Stripe speaks: forms in, JSON and errors out, lists in pages."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

Thing = dict[str, Any]
NAMES_MAX = 50
NAME_LETTERS_MAX = 40
VALUE_LETTERS_MAX = 500
PAGE_MAX = 100
PAGE = 10


class Refused(Exception):
    """An error as Stripe answers it: HTTP status, `type` and `code` as in its reference."""

    def __init__(self, message: str, code: str | None = None, *, status: int = 400, type: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.body: Thing = {"error": {"message": message, "code": code, "type": type}}


def form(text: str) -> Thing:
    """A form as nested objects: `metadata[a]=b&expand[0]=c` → `{"metadata": {"a": "b"}, "expand": {"0": "c"}}`."""
    found: Thing = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *path, last = re.findall(r"[^\[\]]+", name)
        place = found
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return found


def check(params: Thing, takes: str) -> None:
    """Raises Refused for a parameter the call does not know, or lacks: `takes` marks those it needs with a star."""
    names = {name.rstrip("*") for name in takes.split()} | {"expand"}
    for name in params:
        if name not in names:
            raise Refused(f"Received unknown parameter: {name}", "parameter_unknown")
    for name in takes.split():
        if name.endswith("*") and params.get(name[:-1]) in (None, ""):
            raise Refused(f"Missing required param: {name[:-1]}.", "parameter_missing")
    named = params.get("metadata", {})
    if len(named) > NAMES_MAX or any(len(name) > NAME_LETTERS_MAX or len(str(value)) > VALUE_LETTERS_MAX for name, value in named.items()):
        raise Refused("Metadata values can have up to 500 characters, keys 40, and there are at most 50.", "metadata_too_long")


def whole(params: Thing, name: str) -> int:
    """An integer parameter. Raises Refused for anything else."""
    if not re.fullmatch(r"-?\d+", str(params[name])):
        raise Refused(f"Invalid integer: {params[name]}", "parameter_invalid_integer")
    return int(params[name])


def page(things: Iterable[Thing], params: Thing, *, url: str) -> Thing:
    """A page of a list, latest first."""
    limit = whole(params, "limit") if "limit" in params else PAGE
    if not 1 <= limit <= PAGE_MAX:
        raise Refused(f"This value must be between 1 and {PAGE_MAX}: limit", "parameter_invalid_integer")
    rest = list(things)[::-1]
    if "starting_after" in params:
        ids = [thing["id"] for thing in rest]
        if params["starting_after"] not in ids:
            raise Refused(f"No such object: '{params['starting_after']}'", "resource_missing", status=404)
        rest = rest[ids.index(params["starting_after"]) + 1 :]
    return {"object": "list", "url": url, "has_more": len(rest) > limit, "data": rest[:limit]}


def shown(thing: Any) -> Any:
    """What the outside sees: everything but what the fake keeps to itself, whose names begin with an underscore."""
    if isinstance(thing, dict):
        return {name: shown(value) for name, value in thing.items() if not str(name).startswith("_")}
    return [shown(each) for each in thing] if isinstance(thing, list) else thing
