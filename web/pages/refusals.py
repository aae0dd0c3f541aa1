"""What a person sees when something was refused or is not there."""

from collections.abc import Callable

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Redirect, Template

from broker.services.accounts import PROVIDER, STAFF
from contracts.terms.errors import BadInput, MarketError, NotFound, NotPermitted
from web.i18n import gettext, later
from web.pages.signing import NO_STORE, AnyRequest


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """A group of pages that refuses in its own frame. Sentences are as the catalogues have them.

    frame           the template of its pages; `page` is what its menu marks
    home            its first page
    title           its name
    purpose         what somebody who may be here would see; empty where everybody may
    barred          whose desk it is
    elsewhere       where others may look instead, with its name
    back            path → the page that the form sent there stands on
    """

    frame: str
    page: str = "none"
    home: str
    title: str = ""
    purpose: str = ""
    barred: str = ""
    elsewhere: str = "/"
    elsewhere_name: str = later("Market now")
    back: Callable[[str], str] | None = None


def refused_at(desk: Desk) -> Callable[[AnyRequest, MarketError], Template]:
    """What a desk shows when it may not be read, an act was refused, or something is not there: why, and the way on."""

    def refused(request: AnyRequest, refusal: MarketError) -> Template:
        acting, path = request.method == "POST", request.url.path
        barred = bool(desk.purpose) and isinstance(refusal, NotPermitted) and not acting
        context = {
            "desk": desk,
            "title": gettext("Not done") if acting else gettext(desk.title) if barred else gettext("Not there"),
            "meaning": str(refusal),
            "acting": acting,
            "barred": barred,
            "back": desk.back(path) if acting and desk.back else desk.home,
            "path": path,
        }
        return Template("refused.html", context=context, status_code=refusal.status, headers=NO_STORE)

    return refused


@get("/problems/{code:str}", include_in_schema=False, sync_to_thread=False)
def problem_page(code: FromPath[str]) -> Template:
    """What a problem's code means: the address every problem's `type` names."""
    found = next((kind for kind in _kinds(MarketError) if kind.code == code), None)
    if found is None:
        raise NotFound(f"there is no problem called {code}", code=code)
    meaning = (found.__doc__ or "").partition("\n\n")[0]
    return Template("problem.html", context={"title": _title(code), "status": found.status, "meaning": meaning, "code": code})


def refusal_page(refusal: MarketError) -> Template:
    """A refusal in words, with the one thing to do next."""
    meaning = str(refusal) if isinstance(refusal, BadInput) else refusal.message
    context = {"title": _title(refusal.code), "status": refusal.status, "meaning": meaning, "code": None}
    return Template("problem.html", context=context, status_code=refusal.status)


def no_buyer(request: Request[object, object, object], refusal: NotFound) -> Response[None] | Template:  # type: ignore[type-var]
    """Lead whoever has a desk and no account from a buyer's page to it; show others what is not there."""
    who = str(refusal.facts.get("account_id", ""))
    desk = "/finance" if who.startswith(STAFF) else "/provider" if who.startswith(PROVIDER) else ""
    return Redirect(desk, status_code=303) if desk and request.method == "GET" else refusal_page(refusal)


def _title(code: str) -> str:
    return code.replace("_", " ").capitalize()


def _kinds(kind: type[MarketError]) -> list[type[MarketError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _kinds(child))]
