"""What meters report, in thousands: content compared in place, leases looked up once a batch, and a list of what was set aside.

Written as SQL, in the file beside this one, statements parted by blank lines.
"""

from pathlib import Path

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None

SCRIPT = "0003_ingest.sql"


def upgrade() -> None:
    """Run the script, statement by statement: asyncpg prepares one at a time."""
    connection = op.get_bind()
    for statement in Path(__file__).with_name(SCRIPT).read_text().strip().split("\n\n"):
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    """Raises NotImplementedError: there is no way back from facts."""
    raise NotImplementedError("facts are never unmade: restore a backup")
