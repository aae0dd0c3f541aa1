"""Tables of real markets, where there are any: they are not ours to ship, and their tests skip without them."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the public tables. Skips where `GRIDFARE_REAL_DATA` does not name one."""
    folder = os.environ.get("GRIDFARE_REAL_DATA")
    if not folder:
        pytest.skip("GRIDFARE_REAL_DATA names no folder with the public tables")
    return Path(folder)
