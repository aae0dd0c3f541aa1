"""`gridfare people` on a database of its own: the first person comes in by its link, and back in by another."""

import asyncio
import re
from functools import partial

import pytest

from broker.clock import SystemClock
from broker.services.signing_in import NewPerson
from broker.store.engine import open_engine
from broker.store.repositories.members import MemberRepository
from broker.store.repositories.people import PeopleRepository
from broker.store.unit_of_work import open_sessions, unit_of_work
from tests.broker.terminal import run
from tests.broker.test_people import PASSWORD, Desk


@pytest.fixture
def gridfare(capsys: pytest.CaptureFixture[str]):
    """Run the program in this process."""
    return partial(run, capsys)


@pytest.fixture(autouse=True)
def _here(monkeypatch, database):
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("GRIDFARE_PORT", "8001")


def joined(database: str, token: str) -> tuple[str, frozenset[str]]:
    async def join() -> tuple[str, frozenset[str]]:
        engine = open_engine(database)
        async with unit_of_work(open_sessions(engine)) as work:
            desk = Desk(PeopleRepository(work), MemberRepository(work), now=SystemClock().now())
            session, nobody = await desk.up(NewPerson(email="ada@example.org", name="Ada", password=PASSWORD))
            await desk.members.accept(token, nobody)
            caller = await desk.signing_in.caller(session)
        await engine.dispose()
        return caller.account_id, caller.scopes

    return asyncio.run(join())


def test_the_first_person_of_the_broker_comes_in_by_a_link(gridfare, database):
    code, out, _ = gridfare("people", "invite", "ada@example.org")
    assert code == 0
    address = re.match(r"http://127\.0\.0\.1:8001/invitations/([0-9a-f]{48})\n", out)
    party, scopes = joined(database, address[1])
    assert party.startswith("staff:prs_")
    assert "finance:approve" in scopes
    code, out, _ = gridfare("people", "password", "Ada@example.org", "--origin", "https://market.example/")
    assert (code, out.startswith("https://market.example/passwords/")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("invite", "ada"), "not an email address"),
        (("invite", "ada@example.org", "--party", "acct_nobody"), "no party has the id acct_nobody"),
        (("invite", "ada@example.org", "--role", "king"), "owner or finance or operator would do"),
        (("password", "eve@example.org"), "no person has this address"),
    ],
)
def test_what_cannot_be_is_said_without_traces(gridfare, arguments, said):
    code, out, err = gridfare("people", *arguments)
    assert (code, out.count("\n")) == (2, 0)
    assert said in err
