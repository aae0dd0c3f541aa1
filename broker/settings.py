"""What the operator may choose, read once from the environment.

    DATABASE_URL               PostgreSQL to use; without it an embedded server is started
    GRIDFARE_DATA_DIRECTORY    where the embedded server keeps its data (.gridfare/postgres)
    GRIDFARE_HOST              address the portal and the API listen on (127.0.0.1)
    GRIDFARE_PORT              port they listen on (8000)
    GRIDFARE_LOG_LEVEL         debug, info, warning or error (info)

A variable that is set but empty counts as not set. A module that wants a value takes it as an argument.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from contracts.terms.errors import BadInput

DATABASE_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
LOG_LEVELS = ("debug", "info", "warning", "error")
PORT_MAX = 65_535


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's choices. Written out, it does not show `database_url`, which may hold a password."""

    database_url: str | None = None
    data_directory: Path = Path(".gridfare/postgres")
    host: str = "127.0.0.1"
    port: int = 8000
    log_level: str = "info"

    def __repr__(self) -> str:
        shown = "set" if self.database_url else "not set"
        return (
            f"Settings(database_url={shown}, data_directory={str(self.data_directory)!r}, "
            f"host={self.host!r}, port={self.port}, log_level={self.log_level!r})"
        )


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings that an environment states. Raises BadInput naming the variable that cannot be read."""
    stated = {name: value for name, value in environ.items() if value}
    defaults = Settings()
    return Settings(
        database_url=_database_url(stated.get("DATABASE_URL")),
        data_directory=Path(stated.get("GRIDFARE_DATA_DIRECTORY", defaults.data_directory)),
        host=stated.get("GRIDFARE_HOST", defaults.host),
        port=_port(stated.get("GRIDFARE_PORT", str(defaults.port))),
        log_level=_log_level(stated.get("GRIDFARE_LOG_LEVEL", defaults.log_level)),
    )


def _database_url(text: str | None) -> str | None:
    """The URL itself is kept out of the message: it may hold a password."""
    if text is None or (text.partition("://")[0] in DATABASE_SCHEMES and "://" in text):
        return text
    raise BadInput(
        "DATABASE_URL must name a PostgreSQL database",
        variable="DATABASE_URL",
        would_do="postgresql://user@host/database",
    )


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= PORT_MAX:
        return int(text)
    raise BadInput("GRIDFARE_PORT must be a port", variable="GRIDFARE_PORT", found=text, would_do=f"a whole number from 1 to {PORT_MAX}")


def _log_level(text: str) -> str:
    if text.lower() in LOG_LEVELS:
        return text.lower()
    raise BadInput(
        "GRIDFARE_LOG_LEVEL must be a level", variable="GRIDFARE_LOG_LEVEL", found=text, would_do=f"one of {', '.join(LOG_LEVELS)}"
    )
