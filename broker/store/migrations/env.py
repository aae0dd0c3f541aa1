"""What Alembic runs for every command: our rows against the connection that `broker.store.migrate` opened."""

from alembic import context
from sqlmodel import SQLModel

import broker.store.rows  # noqa: F401 - declares the tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
