"""An offer is of a provider that is there, and stays there, though no foreign key says so."""

import pytest
from asyncpg import ForeignKeyViolationError
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from broker.store.copying import driver
from broker.store.packing import copy_columns
from broker.store.repositories.accounts import AccountRepository
from broker.store.rows import OfferRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.accounts import Provider
from tests.broker.small_market import START

pytestmark = pytest.mark.anyio


def columns(*providers: str) -> dict[str, list[object]]:
    """One offer of each."""
    same: dict[str, object] = {
        "site": "s",
        "hardware": "H",
        "node_size": 1,
        "watts": 0.0,
        "pue": 1.0,
        "energy_indexed": False,
        "firm": True,
    }
    same |= {"firm": True, "version": 1, "quantity": 1, "rate_micros": 1, "open_to": (), "closed_to": (), "observed_at": START}
    named: dict[str, list[object]] = {"id": [f"ofr_{name}" for name in providers], "provider": list(providers)}
    return named | {name: [value] * len(providers) for name, value in same.items()}


async def test_an_offer_of_nobody_is_refused_with_all_that_came_with_it(sessions: Sessions):
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_providers([Provider(id="prv_a", name="A", country="DE", kind="neocloud")])
    with pytest.raises(ForeignKeyViolationError):
        async with unit_of_work(sessions) as work:
            await copy_columns(await driver(work), OfferRow, columns=columns("prv_a", "prv_nobody"))
    async with unit_of_work(sessions) as work:
        assert await work.scalar(text("SELECT count(*) FROM offers")) == 0
        await copy_columns(await driver(work), OfferRow, columns=columns("prv_a"))
    with pytest.raises(IntegrityError, match="a provider that has offers stays"):
        async with unit_of_work(sessions) as work:
            await work.execute(text("DELETE FROM providers WHERE id = 'prv_a'"))
