"""`gridfare conformance`: the feed's two sides against every clause of its specification."""

import secrets
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.markup import escape

from broker.clock import SystemClock
from broker.feeds.protocol.card import Mark, card_text, report_card, summary
from broker.feeds.protocol.listening import Ear, listening
from broker.feeds.protocol.over_http import HttpBroker, asking, http_card
from broker.feeds.protocol.stage import Sides
from broker.files.replacing import replace_file
from contracts.terms.errors import BadInput

NOT_CONFORMING = 3
KEY_BYTES = 32
HOST = "127.0.0.1"
LOOK_SECONDS = 0.5
Broker = Annotated[str | None, typer.Option("--broker", metavar="URL", help="Play a provider to the broker at this address.")]
Key = Annotated[str, typer.Option("--key", help="With --broker: API key of a provider there, for trying things out.")]
SigningKey = Annotated[
    Path | None,
    typer.Option(
        "--signing-key", metavar="FILE", help="With --broker: the feed's private Ed25519 key in hexadecimal; made when it is not there."
    ),
]
Provider = Annotated[bool, typer.Option("--provider", help="Play a broker to a provider's client, which is pointed at this machine.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="With --provider: where to listen; 0 takes any port.")]
PublicKey = Annotated[
    str | None, typer.Option("--public-key", metavar="HEX", help="With --provider: the client's key, where it does not register it itself.")
]
Patience = Annotated[float, typer.Option("--patience", min=0, help="Seconds one clause may take where time is real.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the card there too, as Markdown.")]


def conformance_command(
    broker: Broker = None,
    key: Key = "",
    signing_key: SigningKey = None,
    patience: Patience = 120.0,
    provider: Provider = False,
    port: Port = 8900,
    public_key: PublicKey = None,
    out: Out = None,
) -> None:
    """Hold a side of the feed protocol to its clauses; a line a clause. Alone: our own provider and our own broker.

    Exit code 0 only if every clause that was tried is kept, 3 otherwise. The clauses are those of the manual's page on the protocol.
    Against a broker it takes some minutes; use a provider made for trying things out, whose feed is opened with the signing key.

    Example: gridfare conformance --broker https://broker.example --key gf_live_… --signing-key feed.key
    """
    console = Console(soft_wrap=True, highlight=False)
    if broker is not None and provider:
        raise BadInput("one side at a time", would_do="--broker or --provider")
    if provider:
        card = _examined(public_key, port=port, console=console)
    elif broker is not None:
        feed = HttpBroker(asking(broker, key), key=_signing_key(signing_key), clock=SystemClock(), sleep=_sleep)
        card = http_card(feed, patience=patience, told=lambda mark: _say(mark, console))
    else:
        card = report_card(Sides())
    if broker is None:
        for mark in card:
            _say(mark, console)
    if out is not None:
        replace_file(out, card_text(card).encode())
    broken = any(mark.found for mark in card)
    console.print(f"[bold red]{summary(card)}[/]" if broken else summary(card))
    if broken:
        raise typer.Exit(NOT_CONFORMING)


def _examined(public_key: str | None, *, port: int, console: Console) -> tuple[Mark, ...]:
    """Listen until a client has been heard through every stage."""
    ear = Ear(public_key, clock=SystemClock())
    server = listening(ear, host=HOST, port=port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    console.print(f"Point the client at http://{HOST}:{server.server_port}; it is heard for three to eight minutes.")
    while not ear.is_done():
        time.sleep(LOOK_SECONDS)
    server.shutdown()
    assert ear.examiner is not None, "nobody is heard to the end who never began"
    return ear.examiner.card()


def _say(mark: Mark, console: Console) -> None:
    colour = {"kept": "green", "BROKEN": "bold red", "untried": "dim"}[mark.verdict]
    said = escape(mark.found or mark.untried or mark.law)
    console.print(f"[{colour}]{mark.verdict:<7}[/]  {mark.part:<8}  {mark.name.replace('_', ' '):<36} {said}")


def _sleep(step: timedelta) -> None:
    time.sleep(step.total_seconds())


def _signing_key(path: Path | None) -> Ed25519PrivateKey:
    """The key in a file, made there when there is none: a feed that was opened with it is opened with it again."""
    if path is None:
        raise BadInput("a feed is signed", would_do="--signing-key FILE, which is made if it is not there")
    if not path.exists():
        replace_file(path, secrets.token_hex(KEY_BYTES).encode())
        path.chmod(0o600)
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip()))
    except (ValueError, OSError) as error:
        raise BadInput("the signing key cannot be read", file=path.name, found=str(error), would_do="64 hexadecimal digits") from error
