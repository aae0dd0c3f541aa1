"""Exports of a close: one file per format, each a pure function of what the close published.

An export takes a `SettledBook` and gives file names and bytes; twice, the same bytes.
"""

from collections.abc import Callable

from contracts.exports import beancount, focus, statements
from contracts.statements import SettledBook
from contracts.terms.errors import BadInput, NotSupported

FORMATS: dict[str, Callable[[SettledBook], dict[str, bytes]]] = {
    "focus": focus.export,
    "beancount": beancount.export,
    "statements": statements.export,
}
LATER = ("hledger", "pain001", "ubl")


def export(book: SettledBook, format: str) -> dict[str, bytes]:
    """The files of one format: name → content.

    Raises NotSupported for a format this release does not write yet, BadInput for one nobody knows.
    """
    if format in LATER:
        raise NotSupported(f"the format {format} is not written by this release; {', '.join(FORMATS)} are", format=format)
    if format not in FORMATS:
        raise BadInput("there is no such format", found=format, would_do=", ".join((*FORMATS, *LATER)))
    return FORMATS[format](book)
