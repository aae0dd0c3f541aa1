"""The demo, run once for all tests that look at what it leaves; one worker runs them all, so that it runs once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def told(scratch: Path) -> tuple[Path, str]:
    """A folder in which the demo ran once, and what it said."""
    folder = scratch / "demo"
    folder.mkdir(mode=0o755)
    done = subprocess.run(
        [sys.executable, "-m", "broker.cli", "demo", "--once"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path.cwd()), "GRIDFARE_DATA_DIRECTORY": str(folder / "postgres"), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / ".gridfare" / "demo" / "period-1", done.stdout
