"""A request to a broker as a value: what is asked, of which address, and what comes back. Sending it is somebody else's work."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Generic, Literal, TypeVar
from urllib.parse import quote

import msgspec

from broker.services.queries import write_query
from contracts.terms.time import iso

T = TypeVar("T")
Method = Literal["GET", "POST"]
Body = msgspec.Struct | Sequence[msgspec.Struct] | None
Plain = str | int | datetime | None


class Call(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One request, not yet sent, whose answer is a `T`.

    operation  its id in the API's description
    path       its address there, with {names} that `at` fills
    query      pairs of the query string, in order
    body       what is sent as JSON; None for nothing
    """

    operation: str
    method: Method
    path: str
    answer: type[T]
    at: Mapping[str, str | int] = {}
    query: tuple[tuple[str, str], ...] = ()
    body: Body = None

    @property
    def target(self) -> str:
        """The path with its names filled in; what would end a segment is written so that it does not."""
        return self.path.format_map({name: quote(str(value), safe="") for name, value in self.at.items()})

    @property
    def content(self) -> bytes | None:
        """The body as it travels: the same bytes however often it is sent."""
        return None if self.body is None else msgspec.json.encode(self.body)

    def after(self, cursor: str) -> "Call[T]":
        """The same call for the page that follows a cursor."""
        kept = tuple(pair for pair in self.query if pair[0] != "cursor")
        return msgspec.structs.replace(self, query=(*kept, ("cursor", cursor)))


def pairs(**values: Plain) -> tuple[tuple[str, str], ...]:
    """A query string's pairs, without those that have no value."""
    return tuple((name, _plain(value)) for name, value in values.items() if value is not None)


def pairs_of(query: msgspec.Struct) -> tuple[tuple[str, str], ...]:
    """A query struct as pairs: what differs from its defaults."""
    return tuple(write_query(query))


def _plain(value: str | int | datetime) -> str:
    return iso(value) if isinstance(value, datetime) else str(value)
