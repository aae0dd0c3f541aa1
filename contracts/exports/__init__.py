"""Exports of a close: one file per format, each a pure function of what the close published.

An export takes a `SettledBook` and gives file names and bytes; twice, the same bytes.
"""

from collections.abc import Callable

from contracts.exports import beancount, focus, focus_versions, hledger, pain001, statements, ubl
from contracts.statements import SettledBook
from contracts.terms.errors import BadInput

FORMATS: dict[str, Callable[[SettledBook], dict[str, bytes]]] = {
    "focus": focus.export,
    "beancount": beancount.export,
    "hledger": hledger.export,
    "statements": statements.export,
    "pain001": pain001.export,
    "ubl": ubl.export,
}


def export(book: SettledBook, format: str, *, version: str | None = None) -> dict[str, bytes]:
    """The files of one format: name → content; `version` where a format has several, its default without.

    Raises BadInput for a format or version nobody knows, and where the close lacks what the format must say.
    """
    if version is not None:
        if format != "focus":
            raise BadInput("only focus has versions to choose from", found=version)
        return focus_versions.export(book, version)
    if format not in FORMATS:
        raise BadInput("there is no such format", found=format, would_do=", ".join(FORMATS))
    return FORMATS[format](book)
