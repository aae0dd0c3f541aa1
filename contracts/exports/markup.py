"""XML as the exports write it: elements with their prefixes as they stand, indented, the same bytes every time.

Names carry their prefix and the root its namespaces as plain attributes, because the standard library keeps prefixes
in a table that the whole process shares.
"""

import re
from xml.etree import ElementTree as ET

from contracts.terms.errors import BadInput
from contracts.terms.money import MICROS_PER_CENT, micros_text

Element = ET.Element
CURRENCY = re.compile("[A-Z]{3}")


def element(tag: str, *content: str | Element, **attributes: str) -> Element:
    """An element of text or of children, in their order. Text is put on one line, without what XML cannot hold."""
    made = Element(tag, attributes)
    for part in content:
        if isinstance(part, str):
            made.text = one_line(part)
        else:
            made.append(part)
    return made


def document(root: Element) -> bytes:
    """A whole document: declaration, two spaces a level, a newline at the end. It indents `root` in place."""
    ET.indent(root)
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def one_line(text: str) -> str:
    """A text whose runs of spaces, line ends and characters outside XML are one space each."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def amount(cents: int) -> str:
    """Cents as a decimal of the currency: −5 → `-0.05`."""
    return micros_text(cents * MICROS_PER_CENT, places=2)


def check_currency(currency: str) -> None:
    """Raises BadInput for a currency that has no code of three capitals: banks and tax offices know no other."""
    if not CURRENCY.fullmatch(currency):
        raise BadInput(
            "this currency cannot be written in a bank's or tax office's file",
            file="accounts",
            column="currency",
            found=currency,
            would_do="a code of ISO 4217, e.g. EUR",
        )
