"""What the questions of a trading floor start from: a market directory and its result, or the market cleared on the spot."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from broker.files.market import market_file_hashes, read_market_aloud, read_result
from contracts.terms.errors import BadInput
from pricing.canonical import book_hashes
from pricing.clearing import clear
from pricing.questions.tally import Progress, Run

WIDTH = 140

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Market directory: market.toml, offers, bids and more.")]
Result = Annotated[
    Path | None, typer.Argument(metavar="[OUT]", help="Directory written by `gridfare clear`; without it the market is cleared first.")
]
Json = Annotated[bool, typer.Option("--json", help="Say it for a program: one JSON object, amounts in micros.")]


def terminals() -> tuple[Console, Console]:
    """Standard output and standard error, as every command writes to them; a file or a pipe is as wide as the tables are."""
    plain = Console(soft_wrap=True, highlight=False)
    wide = plain if plain.is_terminal else Console(soft_wrap=True, highlight=False, width=WIDTH)
    return wide, Console(stderr=True, soft_wrap=True, highlight=False)


def teller(errors: Console) -> Progress:
    """Says what is going on, on a terminal only."""
    return lambda sentence: errors.print(f"[dim]{sentence}[/]") if errors.is_terminal else None


def read_run(directory: Path, out: Path | None, *, tell: Progress) -> Run:
    """The book of a directory and how it cleared. Raises BadInput for what cannot be read, or a result of another market."""
    book = read_market_aloud(directory).book
    if out is None:
        tell("clearing the market as it is")
        return Run(book=book, clearing=clear(book))
    result = read_result(out)
    hashes, files = book_hashes(book), market_file_hashes(directory)
    for name, was in sorted(result.certificate.hashes.items()):
        if name in hashes and was not in (hashes[name], files.get(name)):
            raise BadInput(
                f"the result is not of this market: its {name} are others", file=str(out), would_do="the result of this directory"
            )
    clearing = msgspec.structs.replace(result.clearing, path=result.certificate.path, approximate=result.certificate.approximate)
    return Run(book=book, clearing=clearing)


def say_json(found: msgspec.Struct) -> None:
    """Write a finding to standard output as JSON; fractions become decimals."""
    typer.echo(msgspec.json.format(msgspec.json.encode(found, enc_hook=float), indent=2).decode())
