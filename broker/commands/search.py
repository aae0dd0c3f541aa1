"""`gridfare search`: what answers, what it costs all-in, and why the rest does not."""

from difflib import get_close_matches
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from broker.client import calls
from broker.commands.buying import Json, Kept, Url, market_at, plain_table, rate, say_json, terminal, when
from broker.commands.demands import read_demands
from broker.services.search_views import BookSearch, SearchOffer, SearchQuery

# How alike a word has to be to be what was meant; how many are named, and how many where none is.
NEAR, NEAR_MAX, KNOWN_MAX = 0.5, 3, 12
EXAMPLE = "hardware=H100-SXM countries=FR quantity=8"

Wants = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]…", help="Demands by the names of /v1/search: hardware=H100-SXM countries=FR quantity=8 …"),
]
Explain = Annotated[bool, typer.Option("--explain", help="Say why the others were left out, and what each facet would let in.")]


def search_command(wants: Wants = None, url: Url = None, profile: Kept = None, explain: Explain = False, json: Json = False) -> None:
    """Search a broker's live book. The same name twice means either value. No key is needed. Exit code 2: refused, with a remedy.

    Example: gridfare search hardware=H100-SXM countries=FR countries=DE quantity=8 tier=standard --explain

    Example: gridfare search hardware=B200 rate_max=4.50 --json

    Example: gridfare search hardware=H100-SXM quantity=8 free_from=2027-01-01T20:00Z free_hours=6 --explain
    """
    query = read_demands(wants or [], SearchQuery, example=EXAMPLE)
    with market_at(url, profile) as market:
        found = market.send(calls.search_book(query))
    if json:
        say_json(found)
        return
    console = terminal()
    console.print(_offers(found, query))
    console.print(f"{found.found} of {found.considered} offers answer; {found.left_out} are left out.")
    if found.next_cursor:
        console.print(f"More: the same with cursor={escape(found.next_cursor)}", style="dim")
    if explain:
        _explain(found, query, console=console)


def _offers(found: BookSearch, query: SearchQuery) -> Table:
    """What was found; where hours were asked for, their end takes the place of the carbon, which a line has no room for then."""
    last = "free until" if query.is_timed else "g CO2 a reference hour"
    figures = ("accelerators", f"all-in, {found.currency} a reference hour", "rate", last, "age, s")
    table = plain_table(("offer", "provider", "country", "class"), figures)
    for each in found.offers:
        offer = each.offer
        table.add_row(
            escape(offer.offer_id),
            escape(offer.provider_name),
            offer.country or "unknown",
            escape(offer.hardware),
            f"{offer.quantity:,}",
            rate(offer.all_in_micros),
            rate(offer.rate_micros),
            _free_until(each, query) if query.is_timed else _carbon(each),
            f"{offer.age_seconds:,}",
        )
    return table


def _carbon(offer: SearchOffer) -> str:
    return "unknown" if offer.carbon_g is None else f"{offer.carbon_g:,.0f}"


def _free_until(offer: SearchOffer, query: SearchQuery) -> str:
    """The end of the stretch in which the hours asked for are."""
    return next(when(span.end) for span in offer.free if query.free_from is None or query.free_from < span.end)


def _explain(found: BookSearch, query: SearchQuery, *, console: Console) -> None:
    for line in _strangers(found, query):
        console.print(escape(line))
    if not found.found and found.exclusions and not any(row.alone for row in found.exclusions):
        console.print("No single demand is to blame: at least two would have to give.")
    if found.exclusions:
        console.print("\nLeft out, by reason (an offer may have several):")
    for row in found.exclusions:
        best = f", the best at {rate(row.best_all_in_micros)}" if row.best_all_in_micros is not None else ""
        console.print(f"  {row.reason:<20} {row.offers:>7,}, {row.alone:,} by it alone{best}")
        for example in dict.fromkeys(row.examples):
            console.print(f"  {'':<20} {escape(example)}", style="dim")
    for name, values in found.facets.items():
        said = ", ".join(f"{each.value} {each.offers:,}" for each in values if each.offers)
        console.print(f"\n{name}: {escape(said) or 'nothing'}", style="dim")


def _strangers(found: BookSearch, query: SearchQuery) -> list[str]:
    """The values asked for that no offer has, and those that come near them."""
    lines = []
    for name in ("hardware", "countries", "operator_countries", "certifications"):
        known = [each.value for each in found.facets.get(name, [])]
        for value in getattr(query, name):
            if known and value not in known:
                by_letters = {each.upper(): each for each in known}
                within = [each for letters, each in by_letters.items() if value.upper() in letters]
                near = [by_letters[each] for each in get_close_matches(value.upper(), by_letters, n=NEAR_MAX, cutoff=NEAR)]
                lines.append(f"{name}: no offer has {value}; there is {', '.join(within or near or known[:KNOWN_MAX])}.")
    return lines
