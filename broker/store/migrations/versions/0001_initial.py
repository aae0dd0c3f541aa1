"""The tables, and the guards that keep facts from being changed.

Written as SQL, in the files beside this one, statements parted by blank lines.
"""

from pathlib import Path

from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

SCRIPTS = ("0001_tables.sql", "0001_guards.sql")


def upgrade() -> None:
    """Run both scripts, statement by statement: asyncpg prepares one at a time."""
    connection = op.get_bind()
    for script in SCRIPTS:
        for statement in Path(__file__).with_name(script).read_text().strip().split("\n\n"):
            connection.exec_driver_sql(statement)


def downgrade() -> None:
    """Raises NotImplementedError: there is no way back from facts."""
    raise NotImplementedError("facts are never unmade: restore a backup")
