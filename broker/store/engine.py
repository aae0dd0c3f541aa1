"""The way to PostgreSQL: SQLAlchemy over asyncpg.

asyncpg reads the address itself, so everything libpq understands works here too: sockets (`?host=/run/postgresql`),
`sslmode`, password files. Sessions speak UTC; JSON goes through msgspec.
"""

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from broker.store.premises import ServerFailed

APPLICATION = "gridfare"
POOL_SIZE = 10
CONNECT_SECONDS = 10.0


def open_engine(dsn: str, *, pool_size: int = POOL_SIZE) -> AsyncEngine:
    """An engine for one database; nothing is connected until it is used. Dispose of it when done.

    dsn         a PostgreSQL URL, with or without `+asyncpg`
    pool_size   connections kept; as many again may be opened in a rush

    A connection is tried before it is lent, so that a server that came back is found without an error; one that
    cannot be made raises ServerFailed.
    """
    address = plain_dsn(dsn)

    async def connect() -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                address,
                timeout=CONNECT_SECONDS,
                server_settings={"application_name": APPLICATION, "timezone": "UTC"},
            )
        except (OSError, asyncpg.PostgresError) as error:
            raise ServerFailed(f"PostgreSQL does not answer: {error}; start it, or look at DATABASE_URL") from error

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        json_serializer=_to_json,
        json_deserializer=msgspec.json.decode,
    )


def plain_dsn(dsn: str) -> str:
    """The URL as libpq writes it, without SQLAlchemy's driver: `postgresql+asyncpg://h/d` → `postgresql://h/d`."""
    scheme, separator, rest = dsn.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


def _to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
