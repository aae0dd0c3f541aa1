"""`gridfare explain`: why a price is what it is, why a bid got what it got."""

from typing import Annotated

import typer
from rich.markup import escape

from broker.commands.cleared import Directory, Json, Result, read_run, say_json, teller, terminals
from contracts.terms.errors import BadInput
from contracts.terms.tables import TIERS
from pricing.explain import explain
from pricing.questions.price import explain_price

PRICE_FORM = "POOL:SLOT:TIER"

Price = Annotated[str | None, typer.Option("--price", metavar=PRICE_FORM, help="Explain one price; any offer of the pool names it.")]
Bid = Annotated[str | None, typer.Option("--bid", metavar="BID_ID", help="Explain the outcome of one bid.")]


def explain_command(directory: Directory, out: Result = None, *, price: Price = None, bid: Bid = None, json: Json = False) -> None:
    """Explain one price or one bid: the orders around it, what holds it, what would change it.

    Example: gridfare explain market result --price ofr_aws-us-east-1-b200:9:standard
    """
    if (price is None) == (bid is None):
        raise BadInput("explain needs one thing to explain", would_do=f"--price {PRICE_FORM} or --bid BID_ID")
    console, errors = terminals()
    wanted = _price(price) if price is not None else None
    base = read_run(directory, out, tell=teller(errors))
    if wanted is not None:
        pool, slot, tier = wanted
        found = explain_price(base.book, base.clearing, pool=pool, slot=slot, tier=tier)
        say_json(found) if json else console.print(escape(found.text))
        return
    assert bid is not None
    told = explain(base.book, bid, clearing=base.clearing)
    say_json(told) if json else console.print(escape(told.text))


def _price(text: str) -> tuple[str, int, str]:
    """Pool, slot and tier. Raises BadInput."""
    pool, slot, tier = [*text.rsplit(":", 2), "", ""][:3]
    if not pool or not slot.isdigit() or tier not in TIERS:
        raise BadInput("--price is not of its form", found=text, would_do=f"{PRICE_FORM}, e.g. o1:0:spot")
    return pool, int(slot), tier
