"""What the operator may choose, read once from the environment.

    DATABASE_URL               PostgreSQL to use; without it an embedded server is started
    GRIDFARE_DATA_DIRECTORY    where the embedded server keeps its data (.gridfare/postgres)
    GRIDFARE_HOST              address the portal and the API listen on (127.0.0.1)
    GRIDFARE_PORT              port they listen on (8000)
    GRIDFARE_LOG_LEVEL         debug, info, warning or error (info)
    GRIDFARE_SELLER            seller.toml: who issues the invoices, as e-invoices and bank files must name it; kept once said
    GRIDFARE_SEGMENTS          directory, or s3://bucket/prefix (with the usual AWS_* variables), that closed usage is copied to
    GRIDFARE_OIDC_ISSUER       OpenID Connect provider that people may sign in with; its redirect is <portal>/sign-in/elsewhere/back
    GRIDFARE_OIDC_CLIENT_ID    what that provider calls this market, and
    GRIDFARE_OIDC_SECRET       the secret it knows it by; both needed with the issuer
    STRIPE_API_KEY             secret key by which statements are collected and providers paid; without it nothing is
    STRIPE_WEBHOOK_SECRET      secret that signs the events Stripe sends; needed with the key

A variable that is set but empty counts as not set. A module that wants a value takes it as an argument.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from contracts.terms.errors import BadInput

DATABASE_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
OBJECT_STORE = "s3://"
LOG_LEVELS = ("debug", "info", "warning", "error")
PORT_MAX = 65_535


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's choices. Written out, it shows neither `database_url`, which may hold a password, nor Stripe's secrets."""

    database_url: str | None = None
    data_directory: Path = Path(".gridfare/postgres")
    host: str = "127.0.0.1"
    port: int = 8000
    log_level: str = "info"
    seller_file: Path | None = None
    segments: str | None = None
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_secret: str | None = None
    stripe_api_key: str | None = None
    stripe_webhook_secret: str | None = None

    def __repr__(self) -> str:
        names = ("database_url", "oidc_secret", "stripe_api_key", "stripe_webhook_secret")
        secrets = ", ".join(f"{name}={'set' if getattr(self, name) else 'not set'}" for name in names)
        return (
            f"Settings({secrets}, data_directory={str(self.data_directory)!r}, "
            f"host={self.host!r}, port={self.port}, log_level={self.log_level!r}, "
            f"seller_file={str(self.seller_file) if self.seller_file else None!r}, segments={self.segments!r})"
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
        seller_file=Path(stated["GRIDFARE_SELLER"]) if "GRIDFARE_SELLER" in stated else None,
        segments=_segments(stated.get("GRIDFARE_SEGMENTS")),
        oidc_issuer=_oidc_issuer(stated),
        oidc_client_id=stated.get("GRIDFARE_OIDC_CLIENT_ID"),
        oidc_secret=stated.get("GRIDFARE_OIDC_SECRET"),
        stripe_api_key=_stripe_key(stated.get("STRIPE_API_KEY"), stated.get("STRIPE_WEBHOOK_SECRET")),
        stripe_webhook_secret=stated.get("STRIPE_WEBHOOK_SECRET"),
    )


def _oidc_issuer(stated: Mapping[str, str]) -> str | None:
    issuer = stated.get("GRIDFARE_OIDC_ISSUER")
    missing = [name for name in ("GRIDFARE_OIDC_CLIENT_ID", "GRIDFARE_OIDC_SECRET") if name not in stated]
    if issuer is not None and missing:
        raise BadInput("an identity provider knows this market by an id and a secret", variable=missing[0], would_do="what it gave you")
    return issuer


def _stripe_key(key: str | None, secret: str | None) -> str | None:
    """The key itself is kept out of the message."""
    if key is not None and not key.startswith(("sk_", "rk_")):
        raise BadInput("STRIPE_API_KEY must be a secret or restricted key", variable="STRIPE_API_KEY", would_do="sk_test_… or rk_live_…")
    if key is not None and not secret:
        raise BadInput("with STRIPE_API_KEY comes the secret of the webhook endpoint", variable="STRIPE_WEBHOOK_SECRET", would_do="whsec_…")
    return key


def _database_url(text: str | None) -> str | None:
    """The URL itself is kept out of the message: it may hold a password."""
    if text is None or (text.partition("://")[0] in DATABASE_SCHEMES and "://" in text):
        return text
    raise BadInput(
        "DATABASE_URL must name a PostgreSQL database",
        variable="DATABASE_URL",
        would_do="postgresql://user@host/database",
    )


def _segments(text: str | None) -> str | None:
    """A directory as it is, or a bucket."""
    if text is None or "://" not in text or (text.startswith(OBJECT_STORE) and text != OBJECT_STORE):
        return text
    raise BadInput(
        "GRIDFARE_SEGMENTS must be a directory or an object store",
        variable="GRIDFARE_SEGMENTS",
        found=text,
        would_do="/var/lib/gridfare/segments or s3://bucket/prefix",
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
