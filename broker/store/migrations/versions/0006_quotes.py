"""Quotes and what they hold, leases that go on elsewhere or longer, who closed them, and webhooks with their outbox.

Written as SQL, in the file beside this one, statements parted by blank lines.
"""

from broker.store.revision import run_script

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Run the script beside this file."""
    run_script("0006_quotes.sql")
