"""One program at a time where two would only get in each other's way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from broker.store.engine import open_engine
from contracts.terms.errors import Conflict


@asynccontextmanager
async def sole_runner(dsn: str, *, name: str) -> AsyncIterator[None]:
    """Hold the database's lock of a name for the block; it is let go with the connection, however the program ends.

    Raises Conflict when another program holds it.
    """
    engine = open_engine(dsn, pool_size=1)
    try:
        async with engine.connect() as connection:
            found = await connection.scalar(text("SELECT pg_try_advisory_lock(hashtext(:name))"), {"name": name})
            if not found:
                raise Conflict(f"another {name} runs on this database; stop it, or start this one in another folder", name=name)
            yield
    finally:
        await engine.dispose()
