"""`gridfare verify`: a market directory and a result in, a verdict out; or one buyer's part of it. No solver is asked."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from broker.files.faults import Findings
from broker.files.market import market_file_hashes, read_market_aloud, read_result
from broker.files.replacing import replace_file
from broker.files.tables import read_table
from contracts.terms.clearing import Check
from contracts.terms.errors import BadInput
from contracts.terms.tables import PRICES
from pricing.audit.own import check_extract
from pricing.certificate import verify
from pricing.extract import extract_text, make_extract, read_extract

NOT_CERTIFIED = 3

verify_app = typer.Typer(add_completion=False, rich_markup_mode="rich")

Directory = Annotated[Path | None, typer.Argument(metavar="DIR", help="Market directory the result was cleared from.")]
Result = Annotated[Path | None, typer.Argument(metavar="OUT", help="Directory written by `gridfare clear`.")]
Mine = Annotated[
    str | None, typer.Option("--mine", metavar="BID_ID|FILE", help="One bid of DIR and OUT, or without them a buyer's extract.")
]
To = Annotated[Path | None, typer.Option("--to", metavar="FILE", help="With DIR, OUT and --mine: write the bid's extract.")]
Root = Annotated[str | None, typer.Option("--root", metavar="HEX", help="The published merkle_root the extract must be under.")]
Prices = Annotated[Path | None, typer.Option("--prices", metavar="FILE", help="The published prices the extract is held to.")]


@verify_app.command("verify")
def verify_command(
    directory: Directory = None, out: Result = None, mine: Mine = None, to: To = None, root: Root = None, prices: Prices = None
) -> None:  # fmt: skip
    """Check a result against its market: every award, price, charge and receipt, and that no clearing could do better.

    A line a check. Exit code 0 only if every check holds; 3 if one does not; 2 if a file cannot be read.

    With --mine, one buyer's part. Who has the book names the bid, and may write its extract with --to. Who has only the
    extract checks that her awards are under the published root, within her own terms, and her best response at the
    published prices, without seeing anyone else's bid.

    Example: gridfare verify market result

    Example: gridfare verify market result --mine b000004 --to mine.json

    Example: gridfare verify --mine mine.json --root 5f0c… --prices prices.csv
    """
    console = Console(soft_wrap=True, highlight=False)
    if directory is None and mine is not None:
        _refuse_beside_extract(to)
        checks = _checks_of_extract(Path(mine), root=root, prices=prices)
        _conclude(console, checks, otherwise="The extract must not be relied on.")
    elif directory is None or out is None:
        raise BadInput("a market directory and its result are needed", would_do="gridfare verify DIR OUT, or --mine FILE for an extract")
    else:
        if root is not None or prices is not None:
            raise BadInput("--root and --prices are what an extract is held to", would_do="gridfare verify --mine FILE --root HEX")
        _check_whole(console, directory, out=out, mine=mine, to=to)
    console.print("Every check holds.")


def _check_whole(console: Console, directory: Path, *, out: Path, mine: str | None, to: Path | None) -> None:
    """Check a result against its book, and then one bid's part of it."""
    result = read_result(out)
    book = read_market_aloud(directory).book
    certificate = verify(book, result.clearing, stored=result.certificate, files=market_file_hashes(directory))
    _conclude(console, certificate.checks, otherwise="The result must not be applied.")
    if mine is None:
        return
    extract = make_extract(book, result.clearing, certificate=certificate, bid_id=mine)
    console.print(f"Bid {escape(mine)} alone:")
    _conclude(console, check_extract(extract, prices=result.clearing.prices), otherwise="The result must not be applied.")
    if to is not None:
        replace_file(to, extract_text(extract).encode())
        console.print(f"Its extract is in {to}; the root to hold it to is {extract.proof.merkle_root}")


def _refuse_beside_extract(to: Path | None) -> None:
    if to is not None:
        raise BadInput("--to writes the extract of a bid", would_do="gridfare verify DIR OUT --mine BID_ID --to FILE")


def _checks_of_extract(path: Path, *, root: str | None, prices: Path | None) -> list[Check]:
    if not path.is_file():
        raise BadInput(
            "there is no such extract", file=str(path), would_do="a file written by `gridfare verify DIR OUT --mine BID_ID --to FILE`"
        )
    text = path.read_bytes()
    extract = read_extract(text, file=path.name)
    published = None
    if prices is not None:
        findings = Findings()
        published = read_table(prices, PRICES, findings=findings)
        findings.stop_if_faulty()
    checks = check_extract(extract, root=root, prices=published)
    if text != extract_text(extract).encode():
        checks.insert(0, Check(name="file", holds=False, finding="the file is not written as an extract is: something in it was changed"))
    return checks


def _conclude(console: Console, checks: Iterable[Check], *, otherwise: str) -> None:
    """A line a check; the end of the command when one does not hold."""
    failed = False
    for check in checks:
        failed = failed or not check.holds
        mark = "[green]holds[/]" if check.holds else "[bold red]FAILS[/]"
        console.print(f"{mark}  {check.name:<17} {escape(check.finding)}")
    if failed:
        console.print(f"[bold red]{otherwise}[/]")
        raise typer.Exit(NOT_CERTIFIED)
