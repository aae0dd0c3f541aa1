"""What the portal says, and what its catalogues hold: the two sides that tests of the languages compare."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from web.i18n import LANGUAGES, LOCALES

WEB = LOCALES.parent
KEYWORDS = DEFAULT_KEYWORDS | {"later": None}
# The desks that have a catalogue of their own: their files begin with the desk's word. Everything else is the portal's.
DESKS = ("account", "developers", "finance", "lease", "leases", "operator", "provider", "spend")


class Said(msgspec.Struct, frozen=True):
    """A sentence as the sources say it: its singular, its plural if it counts, and the catalogue it belongs to."""

    one: str
    many: str | None
    desk: str
    place: str


def sentences() -> list[Said]:
    """Every sentence marked for translation in templates and pages."""
    return [*_of_templates(), *_of_pages()]


def entries(path: Path) -> Iterator[tuple[str, str | None, tuple[str, ...], bool]]:
    """Of each entry of a catalogue: singular, plural, translated forms, and whether somebody marked it as unsure."""
    with path.open("rb") as file:
        for entry in read_po(file, locale=LANGUAGES[path.parent.name][1]):
            if entry.id:
                one, many = entry.id if isinstance(entry.id, (list, tuple)) else (entry.id, None)
                forms = tuple(map(str, entry.string)) if isinstance(entry.string, (list, tuple)) else (str(entry.string or ""),)
                yield one, many, forms, entry.fuzzy


def desk_of(path: Path) -> str:
    """The desk a source file belongs to, by the first word of its name."""
    first = path.stem.lstrip("_").partition("_")[0]
    return "leases" if first == "lease" else first if first in DESKS else "portal"


def _of_templates() -> Iterator[Said]:
    options = {"trimmed": "true", "newstyle_gettext": "true", "silent": "false", "trim_blocks": "true", "lstrip_blocks": "true"}
    for path in sorted((WEB / "templates").rglob("*.html")):
        with path.open("rb") as file:
            for line, _, message, _ in babel_extract(file, list(KEYWORDS), (), options):
                yield from _said(message, path, line=line)


def _of_pages() -> Iterator[Said]:
    for path in sorted(each for each in WEB.rglob("*.py") if "node_modules" not in each.parts):
        with path.open("rb") as file:
            for line, message, _, _ in extract("python", file, keywords=KEYWORDS):
                yield from _said(message, path, line=line)


def _said(message: str | tuple[str | None, ...] | None, path: Path, *, line: int) -> Iterator[Said]:
    """The sentence, unless it is looked up by a name: then it was marked where the name was given."""
    parts = [part for part in (message if isinstance(message, tuple) else (message,)) if part]
    if parts:
        yield Said(one=parts[0], many=parts[1] if len(parts) > 1 else None, desk=desk_of(path), place=f"{path.name}:{line}")
