"""What a person sees when something was refused or is not there."""

from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Redirect, Template

from broker.services.accounts import PROVIDER, STAFF
from contracts.terms.errors import BadInput, MarketError, NotFound


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
