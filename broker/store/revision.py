"""What every revision of the database does: run the SQL that stands beside it.

There is no way back: facts are never unmade, so a revision has no `downgrade` and Alembic refuses one; a backup is restored instead.
"""

from pathlib import Path

from alembic import op

VERSIONS = Path(__file__).with_name("migrations") / "versions"


def run_script(name: str) -> None:
    """Run a script of `VERSIONS`, its statements parted by blank lines, one at a time: asyncpg prepares no more than one."""
    connection = op.get_bind()
    for statement in (VERSIONS / name).read_text().strip().split("\n\n"):
        connection.exec_driver_sql(statement)
