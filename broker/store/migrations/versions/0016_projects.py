"""Accounts have projects: what bids are for, who may buy for each, and a budget of its own.

Written as SQL, in the file beside this one, statements parted by blank lines.
"""

from broker.store.revision import run_script

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Run the script beside this file."""
    run_script("0016_projects.sql")
