"""Accounts say what an e-invoice must name.

Written as SQL, in the file beside this one, statements parted by blank lines.
"""

from broker.store.revision import run_script

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Run the script beside this file."""
    run_script("0007_parties.sql")
