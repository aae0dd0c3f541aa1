"""A data directory for the tests that start and stop servers themselves."""

from pathlib import Path

import pytest

from broker.store.embedded import EmbeddedServer
from tests.broker.store.programs import ask


@pytest.fixture(scope="session")
def cluster(scratch: Path) -> Path:
    """A data directory that has been started once and stopped; every test leaves it stopped."""
    path = scratch / "cluster"
    with EmbeddedServer(path) as first:
        ask(first.dsn, "CREATE TABLE kept (n int)")
    return path
