"""Accounts have budgets.

Written as SQL, in the file beside this one, statements parted by blank lines.
"""

from broker.store.revision import run_script

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Run the script beside this file."""
    run_script("0014_budgets.sql")
