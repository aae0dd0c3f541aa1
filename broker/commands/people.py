"""`gridfare people`: the first person of an organisation, and a way back in for who lost the password."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from rich.console import Console

from broker.app import Services, open_market
from broker.clock import SystemClock
from broker.cycle import Timetable
from broker.settings import Settings, read_settings
from broker.store.embedded import server
from broker.store.migrate import upgrade
from broker.world.catalogue import hardware_classes
from contracts.people import BROKER_PARTY, INVITATION_FOR, RESET_FOR, Person, clean_email
from contracts.terms.errors import BadInput

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="Address of the person.")]
Party = Annotated[str, typer.Option("--party", metavar="ID", help="acct_… for a buyer, provider:prv_… for a grid, staff for the broker.")]
Role = Annotated[str, typer.Option("--role", help="owner; staff has finance and operator too, a buyer buyer and reader.")]
Origin = Annotated[str | None, typer.Option("--origin", metavar="URL", help="Where the portal is; this machine's unless said.")]

people_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="""Let the first people in. From there on they invite each other, in the portal under Account.

    The market is the one of DATABASE_URL, or of .gridfare/postgres. Nothing is sent: give the link by a way you trust.

    Example: gridfare people invite ada@example.org --party staff --role owner
    """,
)


@people_app.command("invite")
def invite_command(email: Email, party: Party = BROKER_PARTY, role: Role = "owner", origin: Origin = None) -> None:
    """Print a link by which somebody joins an organisation, the broker itself unless said.

    Example: gridfare people invite sam@grid.example --party provider:prv_a
    """

    async def step(services: Services) -> str:
        operator = Person(id="", email="operator", name="The operator of the market", created_at=services.clock.now())
        return await services.members.invite_as(operator, email, party=party, role=role)

    settings = read_settings(os.environ)
    token = _run(settings, step)
    Console(soft_wrap=True).print(
        f"{_origin(origin, settings)}/invitations/{token}\nWhoever opens it within {INVITATION_FOR.days} days may join {party} as {role}.",
        highlight=False,
    )


@people_app.command("password")
def password_command(email: Email, origin: Origin = None) -> None:
    """Print a link by which a person sets a new password, once; it ends every session of theirs.

    Example: gridfare people password ada@example.org
    """

    async def step(services: Services) -> str:
        person = await services.members.by_email(clean_email(email))
        if person is None:
            raise BadInput("no person has this address", found=email, would_do="the address they signed up with")
        return await services.members.password_link_for(person)

    settings = read_settings(os.environ)
    token, hours = _run(settings, step), RESET_FOR.total_seconds() / 3600
    told = f"{_origin(origin, settings)}/passwords/{token}\nIt sets a password once, within {hours:g} hours."
    Console(soft_wrap=True).print(told, highlight=False)


def _origin(stated: str | None, settings: Settings) -> str:
    return stated.rstrip("/") if stated else f"http://{settings.host}:{settings.port}"


def _run(settings: Settings, act: Callable[[Services], Awaitable[str]]) -> str:
    """One act on the market that the environment names, in a transaction of its own."""

    async def work(dsn: str) -> str:
        await upgrade(dsn)
        hardware = [each for _, each in sorted(hardware_classes().items())]
        async with open_market(dsn, clock=SystemClock(), timetable=Timetable(), hardware=hardware) as market, market.services() as services:
            return await act(services)

    with server(settings) as dsn:
        return asyncio.run(work(dsn))
