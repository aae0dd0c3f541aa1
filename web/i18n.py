"""The portal's languages: which one a reader gets, and every sentence in it.

Sentences are written in English where they are used and looked up in the catalogues `locales/<language>/<desk>.po`, one a
desk, read once at the first use. A sentence nobody has translated stays English: a page is never empty for want of words.
"""

import functools
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import msgspec
from babel import Locale
from babel.messages.pofile import read_po
from litestar import Request
from litestar.datastructures import Cookie
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

LOCALES = Path(__file__).parent / "locales"
ENGLISH = "en"
# English as the world outside America writes dates; Chinese in simplified characters.
LANGUAGES: dict[str, tuple[str, str]] = {ENGLISH: ("English", "en_GB"), "zh": ("中文", "zh_Hans")}
FIELD, COOKIE = "lang", "gridfare_lang"
YEAR_SECONDS = 365 * 86_400
# What machines read is English whoever asks.
MACHINE_PATHS = ("/v1/", "/schema", "/static/", "/healthz", "/readyz", "/metrics")
VARIES = (b"vary", b"Accept-Language, Cookie")

_language: ContextVar[str] = ContextVar("language", default=ENGLISH)
# Where the page being written stands: its path, and its query less the language.
_address: ContextVar[tuple[str, list[tuple[str, str]]]] = ContextVar("address", default=("/", []))


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """A language a page can be read in: its own name, the address of the same page in it, and whether it is this one."""

    language: str
    name: str
    address: str
    chosen: bool


class Languages(ASGIMiddleware):
    """Binds each request to a language: what the address says, else what was chosen before, else what the browser prefers."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Bind the language; a choice in the address is remembered in a cookie, and pages never see it among their own fields."""
        if scope["path"].startswith(MACHINE_PATHS):
            _language.set(ENGLISH)
            await next_app(scope, receive, send)
            return
        said_there = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        chosen = next((value for name, value in said_there if name == FIELD), None)
        kept = [pair for pair in said_there if pair[0] != FIELD]
        if chosen is not None:
            scope["query_string"] = urlencode(kept).encode()
        request: Request[object, object, object] = Request(scope)  # type: ignore[type-var]
        language = chosen_language(chosen, request.cookies.get(COOKIE), accepted=request.headers.get("accept-language", ""))
        _language.set(language)
        _address.set((scope["path"], kept) if scope.get("method") == "GET" else (scope["path"].rpartition("/")[0] or "/", []))
        remembered = [_remember(language, secure=request.url.scheme == "https")] if chosen in LANGUAGES else []

        async def said(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], VARIES, *remembered]
            await send(message)

        await next_app(scope, receive, said)


def chosen_language(*stated: str | None, accepted: str) -> str:
    """The first stated language there is, else the one a browser likes best (`accepted` as it sends it), else English.

    >>> chosen_language(None, "zh", accepted="en"), chosen_language("xx", accepted="fr;q=0.9, zh-CN;q=0.5, en;q=0.4")
    ('zh', 'zh')
    """
    for language in (*stated, *_preferred(accepted)):
        if language in LANGUAGES:
            return language
    return ENGLISH


def language() -> str:
    """The language of the page being written."""
    return _language.get()


def html_language() -> str:
    """The same as browsers and screen readers name it."""
    return locale().replace("_GB", "").replace("_", "-")


def locale() -> str:
    """The locale numbers and dates are written in."""
    return LANGUAGES[_language.get()][1]


@functools.cache
def locale_of(name: str) -> Locale:
    """A locale's rules, read once."""
    return Locale.parse(name)


def gettext(message: str, **values: object) -> str:
    """A sentence in the reader's language, its `%(name)s` filled in; where there are any, a percent sign is written twice."""
    return found(message) % values if values else found(message)


def ngettext(one: str, many: str, *, num: int, **values: object) -> str:
    """The same for a sentence that counts `num`: `%(num)s` is the number, or whatever else is given as `shown`."""
    return found_plural(one, many, num=num) % ({"num": values.pop("shown", num)} | values)


def later(message: str) -> str:
    """Marks a sentence that is translated where it is used, for tables of words; gives it back as it is."""
    return message


def found(message: str) -> str:
    """What the catalogue says for a sentence, not yet filled in: what templates are given."""
    return _forms(message)[0]


def found_plural(one: str, many: str, *, num: int) -> str:
    """The same for a sentence that counts."""
    if _language.get() == ENGLISH:
        return one if num == 1 else many
    forms = _forms(one)
    return forms[0] if forms[0] != one else (one if num == 1 else many)


def switches() -> list[Switch]:
    """This page in every language. An answer to a form has no address of its own: its switch leads to the page the form stands on."""
    path, kept = _address.get()
    return [
        Switch(language=code, name=name, address=f"{path}?{urlencode([*kept, (FIELD, code)])}", chosen=code == _language.get())
        for code, (name, _) in LANGUAGES.items()
    ]


@functools.cache
def catalogue(language: str) -> Mapping[str, tuple[str, ...]]:
    """Every translated sentence of a language by its English one, the desks' files taken together in the order of their names."""
    sentences: dict[str, tuple[str, ...]] = {}
    for path in sorted((LOCALES / language).glob("*.po")):
        with path.open("rb") as file:
            for entry in read_po(file, locale=LANGUAGES[language][1]):
                one = entry.id[0] if isinstance(entry.id, (list, tuple)) else entry.id
                forms = tuple(entry.string) if isinstance(entry.string, (list, tuple)) else (entry.string,)
                if one and all(forms):
                    sentences[one] = tuple(str(form) for form in forms)
    return sentences


def _forms(message: str) -> tuple[str, ...]:
    language = _language.get()
    return (message,) if language == ENGLISH else catalogue(language).get(message, (message,))


def _preferred(accepted: str) -> Sequence[str]:
    """Languages of an Accept-Language header, the best liked first; a weight that cannot be read counts as none."""
    weighed = []
    for part in accepted.split(","):
        tag, _, weight = part.partition(";")
        digits = weight.partition("=")[2].strip() or "1"
        liked = float(digits) if digits.replace(".", "", 1).isdecimal() else 0.0
        weighed.append((-liked, tag.strip().lower().partition("-")[0]))
    return [tag for liked, tag in sorted(weighed, key=lambda each: each[0]) if liked]


def _remember(language: str, *, secure: bool) -> tuple[bytes, bytes]:
    cookie = Cookie(COOKIE, value=language, max_age=YEAR_SECONDS, path="/", httponly=True, samesite="lax", secure=secure)
    return cookie.to_encoded_header()
