"""A clearing is a function of its market: another process, other threads, another order of rows, the same bytes."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.files.market import write_market
from broker.world import shipped_book
from pricing.clearing import PATHS
from pricing.simulation.generator import generate
from pricing.simulation.suite import SUITE


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("market")
    seed_world = shipped_book(datetime(2027, 1, 4, tzinfo=UTC))
    write_market(folder, generate(seed_world, spec=SUITE["plain-100"].spec, seed=3))
    return folder


def clear_elsewhere(market: Path, out: Path, *arguments: str, **environment: str) -> dict[str, bytes]:
    """Clear in a process of its own; the bytes of every file but the one that tells time and machine."""
    command = [sys.executable, "-m", "broker.cli", "clear", str(market), "--out", str(out), *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.name != "timing.json"}


@pytest.mark.parametrize("path", [path for path in PATHS if path != "auto"])
def test_another_process_writes_the_same_bytes(market: Path, tmp_path: Path, path: str):
    turned = tmp_path / "turned"
    turned.mkdir()
    for file in market.iterdir():
        head, *rows = file.read_text().splitlines(keepends=True)
        turned.joinpath(file.name).write_text("".join([head, *(reversed(rows) if file.suffix == ".csv" else rows)]))
    one = clear_elsewhere(market, tmp_path / "one", "--path", path, PYTHONHASHSEED="1", POLARS_MAX_THREADS="1", NUMBA_NUM_THREADS="1")
    two = clear_elsewhere(turned, tmp_path / "two", "--path", path, PYTHONHASHSEED="2", POLARS_MAX_THREADS="2", NUMBA_NUM_THREADS="2")
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
