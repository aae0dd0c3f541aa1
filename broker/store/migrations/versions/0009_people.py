"""People, whom they act for, how they sign in; keys with names; what came in by the API.

Written as SQL, in the file beside this one, statements parted by blank lines.
"""

from broker.store.revision import run_script

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Run the script beside this file."""
    run_script("0009_people.sql")
