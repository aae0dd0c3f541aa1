"""Bring a database to the shape this release needs.

Migrations are Alembic revisions in `migrations/versions`, written as SQL and read by no alembic.ini. All that are
missing run in one transaction: one that fails leaves the database as it was. Programs that start together take turns.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text

from broker.store.engine import open_engine
from broker.store.premises import ServerFailed

SCRIPTS = Path(__file__).with_name("migrations")
TURN = 0x67726964  # "grid", the advisory lock by which programs take turns


async def upgrade(dsn: str) -> None:
    """Apply the revisions a database lacks; harmless when it lacks none.

    Raises ServerFailed for a database that a newer release has changed.
    """
    engine = open_engine(dsn, pool_size=1)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": TURN})
            await connection.run_sync(_upgrade)
    except CommandError as error:
        raise ServerFailed(f"the database cannot be brought to this release: {error}; run the release that made it") from error
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, *, to: str = "head") -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


async def wipe(dsn: str) -> None:
    """Take away everything a database holds. For databases that can be made again: the demo's, a test's."""
    engine = open_engine(dsn, pool_size=1)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("DROP SCHEMA public CASCADE"))
            await connection.execute(text("CREATE SCHEMA public"))
    finally:
        await engine.dispose()
