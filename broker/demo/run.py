"""The demo from an empty folder to a running market."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import msgspec
from rich.console import Console

from broker.app import Market, clearing_worker, open_market
from broker.closing import CloseReport
from broker.cycle import CycleReport
from broker.demo.fed_grid import feed_address
from broker.demo.money import DemoMoney, MoneyReport
from broker.demo.parties import FINANCE, shown_keys
from broker.demo.quoting import take_a_quote
from broker.demo.stages import CLOSE_DELAY, FIRST_MONTH, DemoMarket, WorldReport, catalogue, demo_clock, demo_timetable
from broker.demo.story import Story, Teller, summary
from broker.files.artefacts import write_artefacts
from broker.indicating import keep_indicating
from broker.services.signing_in import SignUpTerms
from broker.serving import free_port, serve
from broker.settings import Settings
from broker.store.books import decode_book
from broker.store.engine import open_engine
from broker.store.migrate import upgrade, wipe
from broker.store.repositories.cycles import CycleRepository
from broker.store.repositories.quotes import QuoteRepository
from broker.store.repositories.settlements import SettlementRepository
from broker.store.sole import sole_runner
from broker.store.unit_of_work import open_sessions, unit_of_work
from broker.telling import WebhookSender
from contracts.terms.errors import MarketError
from contracts.terms.quotes import QuotePolicy
from contracts.terms.time import iso
from pricing.explain import explain

STAGES = 8
PROCESSOR_LOG = "processor.jsonl"
HOUR = timedelta(hours=1)
HEADLINES = 3
READING_SECONDS = 60
TELLING_SECONDS = 1.0
# Market hours pass in seconds here, so what the next gate would clear at is looked at more often.
INDICATING_SECONDS = 10.0
# Market hours pass in seconds here, so a quote stands until the next gate: a person can read it before it is over.
QUOTES = QuotePolicy(lifetime=timedelta(days=1))
# What somebody who signs up at the demo may owe: enough to buy an hour of a small cluster and see what follows.
CREDIT_MICROS = 1_000_000_000
# Where nobody else can have the demo call: webhooks may go to this machine.
INSIDE = ("127.0.0.1", "localhost", "::1")
REFUSED = "bid_ziekenhuis-ct"
INVOICED = "acct_meridian"


class DemoPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How to run it.

    directory          where the exports of a closed month go
    once               stop after the summary
    seconds_per_hour   how long a market hour takes while serving
    """

    directory: Path
    once: bool = False
    seconds_per_hour: float = 5.0


async def run_demo(settings: Settings, plan: DemoPlan, *, dsn: str, console: Console) -> bool:
    """Run the demo on a database; whether certificates, close and trial balance hold. Without `once` it serves until interrupted.

    A run that was killed is taken up where it was. A finished one is run afresh with `once`, on our own server only:
    a database somebody named is never emptied. Raises Conflict when another demo runs on the database.
    """
    async with sole_runner(dsn, name="demo"):
        teller = Teller(console, STAGES)
        with teller.stage("database") as said:
            if plan.once and settings.database_url is None and await _is_finished(dsn):
                await wipe(dsn)
            await upgrade(dsn)
            log = settings.data_directory.parent / PROCESSOR_LOG
            if await _is_new(dsn):
                log.unlink(missing_ok=True)
            said.append("PostgreSQL, embedded" if settings.database_url is None else "PostgreSQL, yours (DATABASE_URL)")
        async with demo_market(dsn) as demo:
            money = DemoMoney(demo.market, log)
            story = await _tell(demo, teller, plan=plan, money=money)
            console.print(summary(story))
            if not plan.once:
                await _keep_trading((demo, money), settings, plan=plan, console=console)
        return story.holds


@asynccontextmanager
async def demo_market(dsn: str) -> AsyncIterator[DemoMarket]:
    """The demo's market on a database, its clock standing where it begins; nothing is entered yet."""
    clock = demo_clock()
    with clearing_worker() as worker:
        async with (
            open_market(
                dsn, clock=clock, timetable=demo_timetable(), hardware=catalogue(), shown_keys=shown_keys(demo_timetable(), first=INVOICED)
            ) as market,
            feed_address(market) as address,
        ):
            market.inside, market.quote_policy = True, QUOTES
            table = demo_timetable()
            market.sign_up = SignUpTerms(currency=table.currency, take_bps=table.fee_bps, credit_limit_micros=CREDIT_MICROS)
            yield DemoMarket(market, clock, worker, feed=address)


async def _is_finished(dsn: str) -> bool:
    """Whether an earlier demo came to its close here."""
    await upgrade(dsn)
    engine = open_engine(dsn, pool_size=1)
    try:
        async with unit_of_work(open_sessions(engine)) as work:
            return bool(await SettlementRepository(work).closed())
    finally:
        await engine.dispose()


async def _is_new(dsn: str) -> bool:
    """Whether no gate was ever cleared here."""
    engine = open_engine(dsn, pool_size=1)
    try:
        async with unit_of_work(open_sessions(engine)) as work:
            return await CycleRepository(work).latest_applied() is None
    finally:
        await engine.dispose()


async def _tell(demo: DemoMarket, teller: Teller, *, plan: DemoPlan, money: DemoMoney) -> Story:
    with teller.stage("world") as said:
        world = await demo.enter_world()
        said.append(f"{world.offers} offers of {world.grids} grids at {world.sites} sites in {world.countries} countries")
        said.append(f"{world.accounts} buyers")
        said.append(f"{world.fed} offers announced over the feed")
    gates = demo.gates(FIRST_MONTH.end + CLOSE_DELAY)
    with teller.stage("first gate") as said:
        cycles = [await demo.run_gate(gates[0])]
        said.extend(_gate_words(cycles[0]))
    with teller.stage("two market days") as said:
        cycles += [await demo.run_gate(gate) for gate in gates[1:]]
        said.append(f"{len(gates) - 1} gates more, {sum(each.awards for each in cycles[1:]):,} awards")
        await demo.deliver(FIRST_MONTH.end + CLOSE_DELAY)
        states = await demo.lease_states()
        said.append(f"{states.get('completed', 0)} leases delivered to the end, {states.get('failed', 0)} failed under way")
    with teller.stage("month close") as said:
        await money.pay_in_advance()
        closes = await demo.close_months()
        said.extend(_close_words(closes[0]))
    with teller.stage("exports") as said:
        said.extend(await _export(demo, closes[0], plan=plan))
    with teller.stage("collect and pay out") as said:
        paid = [await money.settle(each.closed.period) for each in closes]
        said.extend(paid[0].words)
    with teller.stage("a quote between gates") as said:
        said.extend((await take_a_quote(demo.market, demo.address)).words)
    return await _story(demo, world=world, cycles=cycles, closed=(closes[0], paid[0]))


async def _export(demo: DemoMarket, report: CloseReport, *, plan: DemoPlan) -> tuple[str, ...]:
    written = write_artefacts(plan.directory / f"period-{report.closed.period}", report)
    await demo.market.close().exported(report.closed.period, written.exports, actor=FINANCE[1])
    return written.said


def _gate_words(report: CycleReport) -> list[str]:
    certificate = report.certificate
    return [
        f"{report.bids} bids cleared against {report.offers} offers",
        f"{report.awards:,} awards, {report.leases} leases",
        f"gap {certificate.gap:.4%}, {len(certificate.checks)} checks hold",
    ]


def _close_words(report: CloseReport) -> list[str]:
    return [
        f"{report.record.counts.usage_rows:,} usage records",
        f"{report.settlement.invoices.height} invoices",
        f"{len(report.record.reconciliations)} reconciliations at 0",
    ]


async def _story(demo: DemoMarket, *, world: WorldReport, cycles: list[CycleReport], closed: tuple[CloseReport, MoneyReport]) -> Story:
    close, money = closed
    async with demo.market.services() as services:
        now = await services.market.now()
        statement = (await SettlementRepository(services.session).statements(account_id=INVOICED, period=close.closed.period))[0]
        balance = await services.finance.trial_balance()
        repository = CycleRepository(services.session)
        data = await repository.book(cycles[0].cycle.id)
        clearing = await repository.clearing(cycles[0].cycle)
    assert data is not None, "an applied cycle keeps its book"
    headlines = sorted((price for price in now.prices if price.traded), key=lambda price: -price.sold_hours)[:HEADLINES]
    return Story(
        world=world,
        cycles=cycles,
        prices=headlines,
        refusal=f"{demo.need(REFUSED)}\n\n{explain(decode_book(data), REFUSED, clearing=clearing).text}",
        close=close,
        money=money,
        statement=statement,
        trial_balance=balance,
    )


async def _keep_trading(run: tuple[DemoMarket, DemoMoney], settings: Settings, *, plan: DemoPlan, console: Console) -> None:
    """Serve the portal, and let market time run: deliver every hour, clear at every gate, close every month."""
    demo, money = run
    port = free_port(settings.host, settings.port)
    console.print(
        f"\n[bold]Portal[/bold]  http://{settings.host}:{port}   [dim]API  http://{settings.host}:{port}/schema   stop with Ctrl-C[/dim]"
    )
    await demo.resume()
    demo.market.inside = settings.host in INSIDE
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_trade(demo, plan, money=money, console=console))
        tasks.create_task(_keep_telling(demo.market))
        tasks.create_task(keep_indicating(demo.market, demo.worker, say=console.print, every=INDICATING_SECONDS))
        tasks.create_task(serve(demo.market, host=settings.host, port=port))


async def _trade(demo: DemoMarket, plan: DemoPlan, *, money: DemoMoney, console: Console) -> None:
    while True:
        now = demo.clock.now()
        coming = demo.gates(now + 2 * demo.timetable.gate_interval)
        gate = next(each for each in coming if each.at > now)
        hour = _next_hour(now)
        moment = min(hour, gate.at)
        await asyncio.sleep((moment - now) / HOUR * plan.seconds_per_hour)
        if moment == gate.at:
            await _wait_for_readers(demo)
        try:
            if moment == gate.at:
                report = await demo.run_gate(gate)
                console.print(f"[dim]{iso(moment)}[/dim]  gate {report.cycle.number}: " + " · ".join(_gate_words(report)))
            else:
                await demo.deliver(moment)
                for closed in await demo.close_new_months():
                    paid = await money.settle(closed.closed.period)
                    console.print(
                        f"[dim]{iso(moment)}[/dim]  period {closed.closed.period}: " + " · ".join([*_close_words(closed), *paid.words])
                    )
        except MarketError as error:
            console.print(f"[red]{iso(moment)}  {error}; the market keeps its last result[/red]")
            demo.pass_to(moment)


async def _wait_for_readers(demo: DemoMarket) -> None:
    """Hold the gate while a quote is open, a minute of ours at most: in hurried time it would be over before anybody has read it."""
    for _ in range(READING_SECONDS):
        async with demo.market.services() as services:
            if not await QuoteRepository(services.session).any_open(demo.clock.now()):
                return
        await asyncio.sleep(1)


async def _keep_telling(market: Market) -> None:
    """Send what is in the outbox, and end quotes whose time is over, every second of ours until cancelled."""
    async with httpx.AsyncClient() as client:
        sender = WebhookSender(market.sessions, clock=market.clock, client=client, inside=market.inside)
        while True:
            async with market.services() as services:
                await services.quotes.expire()
            await sender.send_due()
            await asyncio.sleep(TELLING_SECONDS)


def _next_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + HOUR
