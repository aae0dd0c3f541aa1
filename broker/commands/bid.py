"""`gridfare bid`: a flexible bid for the next gate, from the command line or a file."""

from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from broker.client import Gridfare, calls
from broker.commands.buying import (
    Json,
    Kept,
    Project,
    Url,
    Yes,
    agreed,
    bought_for,
    market_at,
    money,
    plain_table,
    rate,
    say_json,
    terminal,
    when,
)
from broker.commands.demands import read_demands
from broker.services.explanations import BidExplanation
from broker.services.market_views import MarketNow
from broker.services.views import BidView
from contracts.terms.bids import BidRequest
from contracts.terms.errors import BadInput
from contracts.terms.money import half_up
from contracts.terms.time import EPOCH, iso

EXAMPLE = "hardware=H100-SXM width=8 hours=24 limit_spot=2.40"
SLOT_SECONDS = 3600

Wants = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]…", help="What is wanted, by the names of POST /v1/bids: width=8 hours=24 hardware=H100-SXM …"),
]
From = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="A bid as JSON; what the line says beside it goes before it.")]
Within = Annotated[
    float,
    typer.Option("--within", metavar="HOURS", min=0.01, help="Where no window is said: from the next gate's first slot, so many hours."),
]
Listed = Annotated[bool, typer.Option("--list", help="Show your bids.")]
Withdraw = Annotated[str | None, typer.Option("--withdraw", metavar="BID", help="Take a bid out of the book.")]
Explain = Annotated[str | None, typer.Option("--explain", metavar="BID", help="Say why a bid got what it got at its last gate.")]


def bid_command(
    wants: Wants = None,
    file: From = None,
    within: Within = 24.0,
    yes: Yes = False,
    listed: Listed = False,
    withdraw: Withdraw = None,
    explain: Explain = None,
    url: Url = None,
    profile: Kept = None,
    json: Json = False,
    project: Project = None,
) -> None:
    """Bid for the next gate: accelerators at once, accelerator-hours in all, a window, and the most a reference hour may cost.

    Shows what such hours last cost and the most this can cost, and asks before it is entered. Exit code 2: refused, with a remedy.

    Example: gridfare bid hardware=H100-SXM width=8 hours=24 limit_spot=2.40 countries=FR --within 12

    Example: gridfare bid --file bid.json --yes --json --project night

    Example: gridfare bid --explain bid_01
    """
    if sum((bool(wants) or file is not None, listed, withdraw is not None, explain is not None)) != 1:
        raise BadInput("one thing at a time", would_do=f"{EXAMPLE}, --list, --withdraw BID or --explain BID")
    console = terminal()
    with market_at(url, profile) as market:
        if listed:
            _show_all(list(market.every(calls.list_bids(limit=200))), console, json=json)
        elif withdraw is not None:
            gone = market.send(calls.withdraw_bid(withdraw))
            say_json(gone) if json else console.print(
                f"Withdrawn: {escape(gone.bid_id)}; {gone.hours_awarded:g} hours were awarded and stay so."
            )
        elif explain is not None:
            told = market.send(calls.explain_bid(explain))
            say_json(told) if json else _explain(told, console)
        else:
            _enter(market, bought_for(wants, project), file=file, within=within, answer=(yes, json))


def _enter(market: Gridfare, wants: list[str], *, file: Path | None, within: float, answer: tuple[bool, bool]) -> None:
    yes, json = answer
    console = terminal()
    now = market.send(calls.get_market_now())
    request = _request(wants, file, now=now, within=within)
    if not json:
        _indicate(request, now, console=console)
    if not agreed(f"Enter this bid? {_worst(request, now)}", yes=yes):
        console.print("Not entered.")
        return
    bid = market.send(calls.submit_bid(request))
    if json:
        say_json(bid)
        return
    console.print(f"[bold]Entered:[/] {escape(bid.bid_id)}, {bid.status}, {money(bid.hold_micros, bid.currency)} held until it ends.")
    if now.next_gate_at:
        console.print(f"The next gate closes {when(now.next_gate_at)}; then: gridfare bid --explain {escape(bid.bid_id)}")


def _request(wants: list[str], file: Path | None, *, now: MarketNow, within: float) -> BidRequest:
    """The bid that the line and the file state. Raises BadInput."""
    base: dict[str, object] = {}
    if file is not None:
        try:
            base = msgspec.json.decode(file.read_bytes(), type=dict[str, object])
        except msgspec.DecodeError as fault:
            raise BadInput(f"the file is no bid: {fault}", file=str(file), would_do="an object with the names of POST /v1/bids") from fault
    if not {"window_start", "window_end"} & ({want.partition("=")[0] for want in wants} | set(base)):
        start = _first_slot(now)
        base |= {"window_start": iso(start), "window_end": iso(start + timedelta(hours=within))}
    return read_demands(wants, BidRequest, example=EXAMPLE, base=base)


def _first_slot(now: MarketNow) -> datetime:
    """Where the first slot of the next gate begins: the first whole slot after it closes."""
    if now.next_gate_at is None:
        raise BadInput("no gate is scheduled, so the window must be said", would_do="window_start=2027-01-01T20:00Z window_end=…")
    slot = timedelta(seconds=now.cycle.slot_seconds if now.cycle else SLOT_SECONDS)
    return EPOCH + -((EPOCH - now.next_gate_at) // slot) * slot


def _indicate(request: BidRequest, now: MarketNow, *, console: Console) -> None:
    """What such hours last cost, beside what this bid would pay, both a reference hour; bound to nothing."""
    console.print(
        f"{request.width:,} accelerators, {request.hours:g} hours in all, {when(request.window_start)} to {when(request.window_end)}"
    )
    table = plain_table(("class", "tier"), ("last price", "your limit", ""))
    for tier, limit in request.limits.items():
        for price in now.prices:
            if limit is not None and price.tier == tier and price.hardware in request.hardware:
                last = half_up(Fraction(price.rate_micros) / Fraction(str(request.hardware[price.hardware])))
                reach = "within your limit" if last <= limit else "above your limit"
                table.add_row(price.hardware, tier, rate(last), rate(limit), reach if price.traded else f"{reach}, offered and not traded")
    if not table.rows:
        console.print("Nothing of these classes and tiers was offered at the last gate, so no price is known.")
    else:
        console.print(f"{now.currency} a reference hour; the last price binds nobody:")
        console.print(table)
    console.print(f"[bold]{_worst(request, now)}[/]")


def _worst(request: BidRequest, now: MarketNow) -> str:
    worst = request.worst_case_micros(request.hours)
    return f"{request.width:,} at once, {request.hours:g} accelerator-hours: at most {money(worst, now.currency)}, fee included"


def _explain(told: BidExplanation, console: Console) -> None:
    console.print(f"{escape(told.bid_id)} at cycle {told.cycle_number}:")
    for sentence in told.sentences:
        console.print(f"  {escape(sentence)}")


def _show_all(bids: list[BidView], console: Console, *, json: bool) -> None:
    if json:
        say_json(bids)
        return
    if not bids:
        console.print(f"No bids yet. Enter one: gridfare bid {EXAMPLE}")
        return
    table = plain_table(("bid", "status", "classes", "window"), ("hours", "awarded", "held"))
    for bid in bids:
        asked = bid.request
        window = f"{when(asked.window_start)} to {when(asked.window_end)}"
        figures = (f"{asked.hours:g}", f"{bid.hours_awarded:g}", money(bid.hold_micros, bid.currency))
        table.add_row(escape(bid.bid_id), bid.status, escape(" ".join(sorted(asked.hardware))), window, *figures)
    console.print(table)
