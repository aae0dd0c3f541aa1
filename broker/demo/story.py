"""What the demo tells on the terminal: a line a stage, then a summary a person enjoys reading."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from broker.closing import CloseReport
from broker.cycle import CycleReport
from broker.demo.money import MoneyReport
from broker.demo.stages import WorldReport
from broker.services.market_views import ClassPrice
from broker.services.views import StatementView
from contracts.terms.money import MICROS_PER_CENT, micros_text

SECONDS_PER_HOUR = 3600


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the summary tells."""

    world: WorldReport
    cycles: list[CycleReport]
    prices: list[ClassPrice]
    refusal: str
    close: CloseReport
    money: MoneyReport
    statement: StatementView
    trial_balance: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether every certificate holds, the close adds up, and the books balance and agree with all that stands beside them."""
        certified = all(report.certificate.holds for report in self.cycles)
        return certified and self.close.record.holds and self.money.books.holds and not any(self.trial_balance.values())


class Teller:
    """Writes the stages as they happen."""

    def __init__(self, console: Console, stages: int) -> None:
        self._console = console
        self._stages = stages
        self._number = 0

    @contextmanager
    def stage(self, title: str) -> Iterator[list[str]]:
        """One stage: say what happened by appending to the list that is handed out; the time is added."""
        self._number += 1
        found: list[str] = []
        started = monotonic()
        with self._console.status(f"{title} …"):
            yield found
        label = Text.assemble((f"[{self._number}/{self._stages}] ", "dim"), (f"{title:<22}", "bold"), " · ".join(found))
        label.append(f"  {monotonic() - started:.1f} s", style="dim")
        self._console.print(label, soft_wrap=True)


def summary(story: Story) -> RenderableType:
    """The market in one screen."""
    return Group(
        Panel(_figures(story), title="The market so far", box=box.ROUNDED, border_style="cyan"),
        Panel(_prices(story.prices), title="Prices of the last gate, per accelerator-hour", box=box.ROUNDED, border_style="cyan"),
        Panel(Text(story.refusal), title="One refusal, explained", box=box.ROUNDED, border_style="yellow"),
        Panel(_invoice(story.statement), title="One invoice", box=box.ROUNDED, border_style="cyan"),
    )


def _figures(story: Story) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column()
    world, cycles = story.world, story.cycles
    certificate = cycles[-1].certificate
    currency = story.statement.currency
    table.add_row("offers aggregated", f"{world.offers:,}", f"{world.grids} grids, {world.sites} sites, {world.countries} countries")
    table.add_row(
        "bids cleared", f"{sum(each.bids for each in cycles):,}", f"at {len(cycles)} gates: {sum(each.awards for each in cycles):,} awards"
    )
    welfare = sum(each.certificate.welfare_micros for each in cycles)
    table.add_row("welfare", grouped(welfare), f"{currency}, worth less cost of all awards")
    gap = max(each.certificate.gap for each in cycles)
    table.add_row(
        "certified gap", f"{gap:.6%}", f"{len(certificate.checks)} checks hold at the last gate" if certificate.holds else "A CHECK FAILED"
    )
    for name, amount in sorted(story.trial_balance.items()):
        table.add_row("trial balance", micros_text(amount), f"{name}, sum of every posting")
    table.add_row(
        "close",
        story.close.record.hash[:12],
        f"period {story.close.closed.period}, {len(story.close.record.reconciliations)} reconciliations at 0",
    )
    run, checks = story.money.run, story.money.books.checks
    collected = sum(each.paid_cents + each.prepaid_cents for each in story.money.statements)
    paid = sum(line.cents for line in run.lines if line.provider_id in run.paid)
    off = sum(abs(check.difference) for check in checks)
    table.add_row("collected", cents(collected), f"{currency}, through a processor that failed {story.money.faults} times")
    table.add_row("paid out", cents(paid), f"{currency}, to {len(run.paid)} providers; {len(checks)} sums agree, off by {off}")
    return table


def _prices(prices: list[ClassPrice]) -> RenderableType:
    table = Table(box=None, header_style="dim", padding=(0, 2))
    for heading, justify in (
        ("class", "left"),
        ("tier", "left"),
        ("price", "right"),
        ("lowest", "right"),
        ("highest", "right"),
        ("sold hours", "right"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for price in prices:
        rates = (price.rate_micros, price.rate_lowest_micros, price.rate_highest_micros)
        table.add_row(price.hardware, price.tier, *(micros_text(rate, places=4) for rate in rates), f"{price.sold_hours:,.0f}")
    return table


def _invoice(statement: StatementView) -> RenderableType:
    table = Table(box=None, header_style="dim", padding=(0, 2))
    table.add_column(f"{statement.account_name}, period {statement.period}")
    table.add_column("accelerator-hours", justify="right")
    table.add_column(statement.currency, justify="right")
    for line in statement.lines:
        hours = f"{line.quantity_seconds / SECONDS_PER_HOUR:,.2f}" if line.quantity_seconds else ""
        table.add_row(f"{line.kind} {line.hardware or ''}".strip(), hours, cents(line.amount_cents))
    table.add_section()
    table.add_row("subtotal", "", cents(statement.subtotal_cents))
    table.add_row("tax", "", cents(statement.tax_cents))
    table.add_row(Text("payable", style="bold"), "", Text(cents(statement.payable_cents), style="bold"))
    return table


def grouped(micros: int) -> str:
    """An amount with two decimals and thousands apart: 1_234_567_890 → `1,234.57`."""
    whole, _, part = micros_text(abs(micros), places=2).partition(".")
    return f"{'-' if micros < 0 else ''}{int(whole):,}.{part}"


def cents(amount: int) -> str:
    """Cents as currency units with two decimals and thousands apart."""
    return grouped(amount * MICROS_PER_CENT)
