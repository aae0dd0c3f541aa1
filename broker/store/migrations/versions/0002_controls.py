"""What finance controls: entries that cannot grow, acts of people, staff, counter-readings, and closes that are facts.

Written as SQL, in the file beside this one, statements parted by blank lines.
"""

from pathlib import Path

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None

SCRIPT = "0002_controls.sql"


def upgrade() -> None:
    """Run the script, statement by statement: asyncpg prepares one at a time."""
    connection = op.get_bind()
    for statement in Path(__file__).with_name(SCRIPT).read_text().strip().split("\n\n"):
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    """Raises NotImplementedError: there is no way back from facts."""
    raise NotImplementedError("facts are never unmade: restore a backup")
