"""The tables, and the guards that keep facts from being changed.

Written as SQL, in the files beside this one, statements parted by blank lines.
"""

from broker.store.revision import run_script

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Run both scripts beside this file."""
    run_script("0001_tables.sql")
    run_script("0001_guards.sql")
