"""A stream of server-sent events, read line by line: the form browsers read, as far as a broker writes it."""

from collections.abc import Iterable, Iterator

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened.

    position  where a listener stands that has heard it; empty in a stream that cannot be gone on with
    kind      such as lease.failed
    body      its JSON, as a webhook of that kind has it
    """

    position: str
    kind: str
    body: str


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """The events of a stream, each as it is complete; comments, empty data and what is broken off are not events."""
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name:
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        if not line and any(fields.get("data", ())):
            position, kind = (fields.get(each, [""])[-1] for each in ("id", "event"))
            yield Event(position=position, kind=kind, body="\n".join(fields["data"]))
        if not line:
            fields = {}
