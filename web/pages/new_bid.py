"""*Bid*: the needs of a search turned into a bid; what it can cost stands there before anything is promised.

A bid is entered only when what is sent is what was shown: changed in between, it is shown again.
"""

import hashlib
from urllib.parse import urlencode

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.plugins.htmx import HTMXRequest
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.market_past import Chance
from broker.services.market_views import OfferQuery, OfferSearch
from broker.services.views import BidView, Caller, CreditView
from contracts.terms.errors import MarketError
from web.pages.chance import strip, suggestions
from web.pages.order_form import DEMANDS, OWN, Draft, Fields, draft, missing
from web.pages.signing import FormMarks, act_key, marks, page_caller_if_any, sign_in_address
from web.pages.spend_project import projects_to_buy_for
from web.pages.words import bid_sentence, chance_words, demand_words, refused_words

ADDRESS = "/bids/new"
CLASSES_LOOKED_AT = 3
AnyRequest = Request[object, object, object]  # type: ignore[type-var]


class BackToForm(Exception):
    """A bid that was refused: the form is shown again with everything typed. Raised, not returned, so that nothing is kept."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What entering a bid would do to its buyer's credit; all null for a reader who has not signed in."""

    caller: Caller | None
    credit: CreditView | None
    left_micros: int | None

    @property
    def enough(self) -> bool:
        """Whether the credit covers the worst case, as far as it is known."""
        return self.left_micros is None or self.left_micros >= 0


@get(ADDRESS, include_in_schema=False)
async def bid_form(request: HTMXRequest, services: NamedDependency[Services]) -> Template:
    """The form and its worst case. Everything it knows is in the address."""
    given = _given(request.query_params.dict())
    projects = await projects_to_buy_for(services, await page_caller_if_any(request, services))
    if projects:  # a browser sends the first of a choice that nobody made: what is sealed is what it will send
        given.setdefault("project", [projects[0][0]])
    gate = await services.market.gate()
    found = draft(given, gate=gate, factor=services.offers.factor)
    offers = await services.offers.search(msgspec.structs.replace(found.search, limit=1, sort="all_in")) if found.search else None
    means = await _means(request, services, found=found)
    chance, limit = await _chance(services, found), found.request.limit_micros_max if found.request else None
    faults = found.faults | (missing(found) if "checked" in given else {})
    catalogue = offers or await services.offers.search(OfferQuery(limit=1))
    context = {
        "values": found.values,
        "faults": faults,
        "draft": found,
        "sentence": bid_sentence(found.request, found.worst_case_micros or 0, currency=catalogue.currency) if found.request else None,
        "offers": offers,
        "chance": chance_words(chance, limit) if chance and limit else None,
        "strip": strip(chance, limit) if chance and chance.needed else None,
        "enough": [(percent, micros, _address(found.values | {"limit": [text]})) for percent, micros, text in suggestions(chance)],
        "classes": _classes(catalogue, found),
        "currency": catalogue.currency,
        "gate": gate,
        "means": means,
        "projects": projects,
        "marks": marks(request),
        "seen": seal(found),
        "demands": demand_words(found.values, request.app.state.countries),
        "demand_fields": [(name, value) for name in DEMANDS for value in found.values.get(name, ())],
        "find": f"/find?{urlencode(_search_pairs(found.values))}",
        "sign_in": sign_in_address(_address(found.values)),
        "refused": refused_words(next(iter(given.get("refused", ())), None)),
    }
    name = "_new_bid.html" if request.htmx else "new_bid.html"
    return Template(name, context=context, headers={"Vary": "HX-Request", "Cache-Control": "no-store"})


@post(ADDRESS, include_in_schema=False, status_code=303)
async def enter_bid(request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Enter the bid that was shown; whatever else was sent is shown first. Sent twice, it is entered once."""
    sent = {name: [str(value) for value in values] for name, values in (await request.form()).dict().items()}
    given = _given(sent)
    caller = await page_caller_if_any(request, services)
    gate = await services.market.gate()
    found = draft(given, gate=gate, factor=services.offers.factor)
    address = _address(found.values)
    if caller is None:
        return Redirect(sign_in_address(address), status_code=303)
    if found.request is None or _last(sent, "act") != "enter" or _last(sent, "seen") != seal(found):
        return Redirect(f"{address}&checked=1", status_code=303)
    content = msgspec.json.encode(found.request, order="deterministic")
    wanted = found.request
    key = act_key(request, caller, sent=FormMarks(token=_last(sent, "token"), once=_last(sent, "once")), content=content)
    try:
        bid = await services.replies.once(lambda: services.orders.submit(wanted, caller), BidView, request=key)
    except MarketError as refusal:
        raise BackToForm(f"{address}&checked=1&refused={refusal.code}") from refusal
    return Redirect(f"/bids/{bid.bid_id}", status_code=303)


def back_to_form(_request: AnyRequest, refusal: BackToForm) -> Redirect:
    """Show the form of a refused bid again."""
    return Redirect(refusal.address, status_code=303)


def seal(found: Draft) -> str:
    """A mark of the bid as it is shown; empty while it is not whole."""
    if found.request is None:
        return ""
    return hashlib.sha256(msgspec.json.encode(found.request, order="deterministic")).hexdigest()[:32]


async def _chance(services: Services, found: Draft) -> Chance | None:
    """What limit would have been enough in recent auctions; None while the needs are not whole.

    Of many classes only those worth most are looked at: each is a question to the store.
    """
    if found.search is None or not found.search.hardware:
        return None
    classes = [(name, services.offers.factor(name, found.search.stack)) for name in found.search.hardware]
    best = sorted(((name, worth) for name, worth in classes if worth), key=lambda each: (-each[1], each[0]))[:CLASSES_LOOKED_AT]
    return await services.market.chance(dict(best), found.search.tier, fee_bps=services.offers.fee_bps)


async def _means(request: AnyRequest, services: Services, *, found: Draft) -> Means:
    caller = await page_caller_if_any(request, services)
    if caller is None:
        return Means(caller=None, credit=None, left_micros=None)
    credit = await services.orders.credit(caller)
    return Means(caller=caller, credit=credit, left_micros=credit.free_micros - (found.worst_case_micros or 0))


def _classes(offers: OfferSearch, found: Draft) -> list[tuple[str, int]]:
    """Every class with the offers that would serve it: the chosen ones first, then the most offered."""
    chosen = found.values.get("hardware", ())
    counts = {value.value: value.offers for value in offers.facets["hardware"]}
    counts |= {name: counts.get(name, 0) for name in chosen}
    return sorted(counts.items(), key=lambda each: (each[0] not in chosen, -each[1], each[0]))


def _given(fields: Fields) -> dict[str, list[str]]:
    kept = {name: [value.strip() for value in values if value.strip()] for name, values in fields.items()}
    return {name: values for name, values in kept.items() if values and name in (*OWN, *DEMANDS, "checked", "refused")}


def _address(values: Fields) -> str:
    return f"{ADDRESS}?{urlencode([(name, value) for name in (*OWN, *DEMANDS) for value in values.get(name, ())])}"


def _search_pairs(values: Fields) -> list[tuple[str, str]]:
    names = {"hardware": "hardware", "quantity": "quantity", "hours": "hours", "tier": "tier", "limit": "budget", "end": "ready_by"}
    own = [(to, value) for name, to in names.items() for value in values.get(name, ())]
    return own + [(name, value) for name in DEMANDS for value in values.get(name, ())]


def _last(sent: Fields, name: str) -> str:
    return (sent.get(name) or [""])[-1]
