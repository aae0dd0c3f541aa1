"""Refusals as RFC 9457 problem details: the one place that turns an error into an answer.

{"type": "/problems/window_closed", "title": "Window closed", "status": 409,
 "detail": "the gate for this period has closed", "closed_at": "2027-01-01T09:50:00Z"}
"""

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from broker.services.views import Problem
from contracts.terms.errors import BadInput, Fact, MarketError, NotFound, NotSignedIn, TooBusy

MEDIA_TYPE = "application/problem+json"
RESERVED = frozenset({"type", "title", "status", "detail"})
AnyRequest = Request[object, object, object]  # type: ignore[type-var]

log = structlog.get_logger(__name__)


class MethodNotAllowed(MarketError):
    """The path is right, the method is not."""

    code = "method_not_allowed"
    status = 405


class TooLarge(MarketError):
    """The request's body is more than one request may carry."""

    code = "too_large"
    status = 413


class InternalError(MarketError):
    """A bug of ours. Nothing was changed."""

    code = "internal_error"
    status = 500


def problem(error: MarketError) -> Problem:
    """A refusal as problem details: the message says what happened, the facts are for programs."""
    detail = error.message if not isinstance(error, BadInput) else str(error)
    title = error.code.replace("_", " ").capitalize()
    return Problem(type=f"/problems/{error.code}", title=title, status=error.status, detail=detail, facts=error.facts)


def problem_body(found: Problem) -> dict[str, Fact]:
    """The JSON members of a problem: its facts stand beside the standard ones and never over them."""
    standard: dict[str, Fact] = {"type": found.type, "title": found.title, "status": found.status, "detail": found.detail}
    return {name: fact for name, fact in found.facts.items() if name not in RESERVED} | standard


def as_market_error(error: Exception) -> MarketError:
    """Any exception as a refusal of ours. What is not a refusal at all is a bug, and says no more than that."""
    match error:
        case MarketError():
            return error
        case ValidationException():
            return BadInput(_validation_text(error))
        case msgspec.ValidationError() | msgspec.DecodeError():
            return BadInput(str(error))
        case HTTPException(status_code=404):
            return NotFound("nothing is at this address")
        case HTTPException(status_code=405):
            return MethodNotAllowed("this address does not take that method", allow=(error.headers or {}).get("Allow"))
        case HTTPException(status_code=413):
            return TooLarge("the body is larger than one request may carry; send less at a time")
        case HTTPException(status_code=status) if status < 500:
            return BadInput(error.detail)
        case _:
            return InternalError("something went wrong on our side; nothing was changed, and we have been told")


def refusal_of(request: AnyRequest, error: Exception) -> MarketError:
    """The refusal behind an exception; a bug is written to the log with its trace."""
    refusal = as_market_error(error)
    if refusal.status >= 500:
        log.error("request failed", path=request.url.path, method=request.method, exc_info=error)
    return refusal


def answer(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The exception handler of the API."""
    refusal = refusal_of(request, error)
    headers = {"WWW-Authenticate": "Bearer"} if isinstance(refusal, NotSignedIn) else {}
    if isinstance(refusal, MethodNotAllowed) and refusal.facts["allow"]:
        headers["Allow"] = str(refusal.facts["allow"])
    if isinstance(refusal, TooBusy):
        headers["Retry-After"] = str(refusal.facts["retry_after"])
    body = msgspec.json.encode(problem_body(problem(refusal)))
    return Response(body, status_code=refusal.status, media_type=MEDIA_TYPE, headers=headers)


def _validation_text(error: ValidationException) -> str:
    """One sentence out of the framework's list of faults."""
    faults = error.extra if isinstance(error.extra, list) else []
    named = [f"{fault.get('key', 'body')}: {fault.get('message', '')}" for fault in faults if isinstance(fault, dict)]
    return "; ".join(named) or error.detail
