"""`gridfare close`: a month from open to exported, step by step, each under somebody's name."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from broker.app import Market, open_market
from broker.clock import FixedClock, SystemClock
from broker.cycle import Timetable
from broker.files.archive import UsageArchive
from broker.files.artefacts import write_artefacts
from broker.payments.opening import open_stripe
from broker.services.finance_views import PeriodView, PreviewView, period_view, preview_view
from broker.services.receivables import ReconciliationView
from broker.settings import read_settings
from broker.store.embedded import server
from broker.store.engine import open_engine
from broker.store.migrate import upgrade
from broker.store.repositories.settlements import SettlementRepository
from broker.store.unit_of_work import open_sessions, unit_of_work
from broker.world.catalogue import hardware_classes
from contracts.terms.errors import BadInput
from contracts.terms.money import MICROS_PER_CENT, micros_text
from contracts.terms.time import iso

NOT_RECONCILED = 3
Answer = TypeVar("Answer")
View = TypeVar("View")

Number = Annotated[int, typer.Argument(metavar="PERIOD", min=1, help="Number of the period; `gridfare close list` shows them.")]
Who = Annotated[str, typer.Option("--as", metavar="NAME", help="Who does it. Who rates neither reviews nor finalises.")]
At = Annotated[str | None, typer.Option("--at", metavar="TIME", help="Until when what arrived counts, e.g. 2027-02-01T06:00:00Z; now.")]
Note = Annotated[str, typer.Option("--note", help="What was looked at; needed where figures lie outside their bounds.")]
Back = Annotated[bool, typer.Option("--return", help="Send it back to be rated again.")]
Target = Annotated[Path, typer.Option("--to", metavar="DIR", help="Directory that month, close and exports are written to.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]

close_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="""Close a month: preview, freeze, rate, review, finalise, export, by two people.

    Every step is one transaction and may be taken again. The market is the one of DATABASE_URL, or of .gridfare/postgres.

    Example: gridfare close freeze 1 --as ada && gridfare close rate 1 --as ada && gridfare close review 1 --as grace
    """,
)


@close_app.command("list")
def list_command(json: AsJson = False) -> None:
    """Every period from the first month the ledger knows, and where it stands."""
    _show_periods(_run(lambda market: market.close().periods(), lambda found: [period_view(each) for each in found]), json=json)


@close_app.command("preview")
def preview_command(period: Number, who: Who = "preview", json: AsJson = False) -> None:
    """What a period would bill now, account by account, and what has moved since the last preview."""
    _show_preview(_run(lambda market: market.close().preview(period, actor=who), preview_view), json=json)


@close_app.command("freeze")
def freeze_command(period: Number, who: Who, at: At = None, json: AsJson = False) -> None:
    """Fix what is known: what arrives later belongs to the next period. There is no way back."""
    moment = _moment(at) if at else None
    _show_periods([_run(lambda market: market.close().freeze(period, actor=who, closes_at=moment), period_view)], json=json)


@close_app.command("rate")
def rate_command(period: Number, who: Who, json: AsJson = False) -> None:
    """Settle what was frozen, and show what lies outside its safety bounds. Nothing is billed yet."""
    _show_periods([_run(lambda market: market.close().rate(period, actor=who), period_view)], json=json)


@close_app.command("review")
def review_command(period: Number, who: Who, note: Note = "", back: Back = False, json: AsJson = False) -> None:
    """Accept what was rated, or send it back with --return. Not for the one who rated."""
    _show_periods([_run(lambda market: market.close().review(period, actor=who, note=note, accept=not back), period_view)], json=json)


@close_app.command("finalise")
def finalise_command(period: Number, who: Who, json: AsJson = False) -> None:
    """Write invoices, payouts and entries, once: exactly what was rated and reviewed. Not for the one who rated."""

    async def step(market: Market) -> PeriodView:
        await market.close().finalise(period, actor=who)
        return period_view(await market.close().period(period))

    _show_periods([_run(step, lambda view: view)], json=json)


@close_app.command("export")
def export_command(period: Number, who: Who, to: Target, json: AsJson = False) -> None:
    """Write a finalised month, its close and its exports into a directory, and note what was given out."""

    async def step(market: Market) -> PeriodView:
        report = await market.close().finalise(period, actor=who) if await _is_closed(market, period) else None
        if report is None:
            raise BadInput(f"period {period} is not finalised", found=period, would_do="gridfare close finalise")
        written = write_artefacts(to, report)
        return period_view(await market.close().exported(period, written.exports, actor=who))

    _show_periods([_run(step, lambda view: view)], json=json)


@close_app.command("collect")
def collect_command(period: Number, json: AsJson = False) -> None:
    """Bring every statement of a finalised period to its buyer through Stripe, once; what failed may be tried again."""
    found = _run(lambda market: market.collection().collect(period), lambda each: each)
    if json:
        _say_json(found)
        return
    table = _table("Collected", "Statement", "Status", "Payable", "Prepaid", "Paid", "Refusal")
    for each in found:
        cents = (each.payable_cents, each.prepaid_cents, each.paid_cents)
        table.add_row(each.statement_id, each.status, *(micros_text(one * MICROS_PER_CENT, places=2) for one in cents), each.refusal)
    Console().print(table)


@close_app.command("reconcile")
def reconcile_command(json: AsJson = False) -> None:
    """Every sum in the books that must agree with another. Exit code 3 where one does not."""

    async def step(market: Market) -> ReconciliationView:
        async with market.services() as services:
            return await services.reconciliation.reconcile(await market.collection().held())

    found = _run(step, lambda view: view)
    if json:
        _say_json(found)
    else:
        table = _table("Reconciliations", "What must agree", "Difference")
        for line in found.checks:
            table.add_row(line.name, f"[red]{line.difference}[/]" if line.difference else "0")
        Console().print(table)
    if not found.holds:
        raise typer.Exit(NOT_RECONCILED)


async def _is_closed(market: Market, period: int) -> bool:
    return (await market.close().period(period)).state in ("finalised", "exported")


def _run(act: Callable[[Market], Awaitable[Answer]], view: Callable[[Answer], View]) -> View:
    """One step on the market that the environment names."""
    settings = read_settings(os.environ)

    async def work(dsn: str) -> Answer:
        async with _market(dsn) as market:
            if settings.stripe_api_key and settings.stripe_webhook_secret:
                market.processor = open_stripe(settings.stripe_api_key, secret=settings.stripe_webhook_secret, clock=market.clock)
            market.archive = UsageArchive(settings.segments) if settings.segments else None
            return await act(market)

    with server(settings) as dsn:
        return view(asyncio.run(work(dsn)))


@asynccontextmanager
async def _market(dsn: str) -> AsyncIterator[Market]:
    """The market, by this machine's clock; one whose time was hurried ahead of that stands where it was left."""
    await upgrade(dsn)
    engine = open_engine(dsn, pool_size=1)
    try:
        async with unit_of_work(open_sessions(engine)) as work:
            latest = await SettlementRepository(work).latest_moment()
    finally:
        await engine.dispose()
    now = SystemClock().now()
    clock = FixedClock(latest) if latest is not None and latest > now else SystemClock()
    hardware = [each for _, each in sorted(hardware_classes().items())]
    async with open_market(dsn, clock=clock, timetable=Timetable(), hardware=hardware) as market:
        yield market


def _moment(text: str) -> datetime:
    try:
        moment: datetime = msgspec.convert(text, Annotated[datetime, msgspec.Meta(tz=True)])
    except msgspec.ValidationError as error:
        raise BadInput("--at is a moment in UTC", found=text, would_do="2027-02-01T06:00:00Z") from error
    return moment.astimezone(UTC)


def _show_periods(views: list[PeriodView], *, json: bool) -> None:
    if json:
        _say_json(views)
        return
    console = Console()
    table = _table("Periods", "Period", "Month", "State", "Closes at", "Close", "Outliers", "Last act")
    for each in views:
        last = each.history[-1] if each.history else None
        table.add_row(
            str(each.period),
            f"{each.month_start:%B %Y}",
            each.state,
            iso(each.closes_at) if each.closes_at else "",
            (each.hash or "")[:12],
            str(len(each.outliers)) if each.hash else "",
            f"{last.act} by {last.actor}" if last else "",
        )
    console.print(table)
    if len(views) == 1:
        for outlier in views[0].outliers:
            console.print(f"[yellow]{outlier.rule}[/]  {outlier.words}: {outlier.found:,} (bound {outlier.limit:,})", highlight=False)


def _show_preview(found: PreviewView, *, json: bool) -> None:
    if json:
        _say_json(found)
        return
    table = _table(f"Period {found.period}, as known until {iso(found.known_until)}", "Account", "Payable", "Change", "Currency")
    for change in found.changes:
        cents = (change.bill.payable_cents, change.change_cents)
        table.add_row(change.bill.account_id, *(micros_text(one * MICROS_PER_CENT, places=2) for one in cents), change.bill.currency)
    table.add_section()
    for currency, cents_in_all in sorted(found.payable_cents.items()):
        table.add_row("together", micros_text(cents_in_all * MICROS_PER_CENT, places=2), "", currency)
    console = Console()
    console.print(table)
    before = f"against the preview of {iso(found.before)}" if found.before else "the first preview"
    console.print(f"Changes are {before}. {len(found.outliers)} figures lie outside their bounds.")


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(
            heading, justify="right" if heading in {"Payable", "Change", "Prepaid", "Paid", "Outliers", "Difference"} else "left"
        )
    return table


def _say_json(found: object) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
