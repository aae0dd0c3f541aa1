"""`gridfare search`: what answers, what it costs all-in, and why the rest does not."""

import urllib.error
import urllib.request
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from broker.services.queries import read_query, write_query
from broker.services.search_views import BookSearch, SearchQuery
from contracts.terms.errors import BadInput
from contracts.terms.money import micros_text

SECONDS = 30
Url = Annotated[str, typer.Option("--url", help="Address of the broker.")]
Wants = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]…", help="Demands by the names of /v1/search: hardware=H100-SXM countries=FR quantity=8 …"),
]
Explain = Annotated[bool, typer.Option("--explain", help="Say why the others were left out, and what each facet would let in.")]
Json = Annotated[bool, typer.Option("--json", help="The answer as JSON, as the broker gave it.")]


def search_command(wants: Wants = None, *, url: Url = "http://127.0.0.1:8000", explain: Explain = False, json: Json = False) -> None:
    """Search a broker's live book. The same name twice means either value.

    Example: gridfare search hardware=H100-SXM countries=FR countries=DE quantity=8 tier=standard --explain
    """
    console = Console(soft_wrap=True, highlight=False)
    body = _asked(url, _query(wants or []))
    if json:
        console.print(body.decode(), markup=False)
        return
    found = msgspec.json.decode(body, type=BookSearch)
    console.print(_offers(found))
    console.print(f"{found.found} of {found.considered} offers answer; {found.left_out} are left out.")
    if explain:
        _explain(found, console)


def _query(wants: list[str]) -> SearchQuery:
    """The demands as a search. Raises BadInput for one that is not of the form, or of a name nobody knows."""
    fields: dict[str, list[str]] = {}
    for want in wants:
        name, equals, value = want.partition("=")
        if not equals:
            raise BadInput("a demand names what it asks for", found=want, would_do="hardware=H100-SXM")
        fields.setdefault(name, []).append(value)
    try:
        return read_query(fields, SearchQuery)
    except msgspec.ValidationError as fault:
        raise BadInput(str(fault), would_do=", ".join(SearchQuery.__struct_fields__)) from fault


def _asked(url: str, query: SearchQuery) -> bytes:
    """The broker's answer. Raises BadInput when there is none."""
    if not url.startswith(("http://", "https://")):
        raise BadInput("a broker is reached over HTTP", found=url, would_do="http://127.0.0.1:8000")
    address = f"{url.rstrip('/')}/v1/search?{urlencode(write_query(query))}"
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as refusal:
        raise BadInput(f"the broker refused: {refusal.read().decode(errors='replace')}") from refusal
    except (urllib.error.URLError, TimeoutError) as fault:
        raise BadInput("no broker answers there", found=url, would_do="the address of one, with --url") from fault
    return body


def _offers(found: BookSearch) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2))
    for heading in ("offer", "provider", "country", "class"):
        table.add_column(heading)
    for heading in ("accelerators", f"all-in, {found.currency} a reference hour", "rate", "g CO2 a reference hour", "age, s"):
        table.add_column(heading, justify="right")
    for each in found.offers:
        offer = each.offer
        table.add_row(
            escape(offer.offer_id),
            escape(offer.provider_name),
            offer.country or "unknown",
            escape(offer.hardware),
            f"{offer.quantity:,}",
            micros_text(offer.all_in_micros, places=4),
            micros_text(offer.rate_micros, places=4),
            "unknown" if each.carbon_g is None else f"{each.carbon_g:,.0f}",
            f"{offer.age_seconds:,}",
        )
    return table


def _explain(found: BookSearch, console: Console) -> None:
    if found.exclusions:
        console.print("\nLeft out, by reason (an offer may have several):")
    for row in found.exclusions:
        best = f", the best at {micros_text(row.best_all_in_micros, places=4)}" if row.best_all_in_micros is not None else ""
        console.print(f"  {row.reason:<20} {row.offers:>7,}, {row.alone:,} by it alone{best}")
        for example in row.examples:
            console.print(f"  {'':<20} {escape(example)}", style="dim")
    for name, values in found.facets.items():
        said = ", ".join(f"{each.value} {each.offers:,}" for each in values)
        console.print(f"\n{name}: {escape(said) or 'nothing'}", style="dim")
