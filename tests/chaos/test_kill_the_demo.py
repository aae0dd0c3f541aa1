"""Kill the whole demo, hard, at twenty random moments: it takes up where it was, and ends as if nothing had happened."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from broker.store.embedded import EmbeddedServer

KILLS = 20
PATIENCE_SECONDS = 400
SEED = 7
SOLD_TWICE = """
    SELECT count(*) FROM (
        SELECT l.offer_id, s.slot_start FROM leases l JOIN lease_slots s ON s.lease_id = l.id
        JOIN offers o ON o.id = l.offer_id AND o.superseded_at IS NULL
        LEFT JOIN offer_hours h ON h.offer_id = l.offer_id AND h.hour = extract(hour FROM s.slot_start AT TIME ZONE 'UTC')
        GROUP BY l.offer_id, s.slot_start, o.quantity, h.quantity
        HAVING sum(s.quantity) > coalesce(h.quantity, o.quantity)
    ) AS oversold
"""
BEYOND_ITS_HOURS = """
    SELECT count(*) FROM (
        SELECT b.id FROM bids b JOIN awards a ON a.bid_id = b.id
        WHERE NOT EXISTS (SELECT 1 FROM leases l WHERE l.bid_id = b.id AND l.state = 'failed')
        GROUP BY b.id, b.hours HAVING sum(a.quantity) > b.hours + 1e-6
    ) AS overserved
"""
QUESTIONS = {
    "awards written twice": """
        SELECT count(*) FROM (SELECT 1 FROM awards GROUP BY cycle_id, bid_id, offer_id, slot_start, tier HAVING count(*) > 1) AS twice""",
    "slots leased beyond the offer": SOLD_TWICE,
    "bids given more than they asked": BEYOND_ITS_HOURS,
    "entries off balance": """
        SELECT count(*) FROM (SELECT 1 FROM postings GROUP BY entry_id, currency HAVING sum(amount_micros) <> 0) AS off""",
    "trial balance": """
        SELECT coalesce(sum(amount_micros), 0) FROM postings JOIN journal_entries e ON e.id = entry_id
        WHERE e.state IN ('posted', 'reversed')""",
    "slots metered twice": """
        SELECT count(*) FROM (SELECT 1 FROM usage_records GROUP BY lease_id, start HAVING count(*) > 1) AS twice""",
    "leases without a slot": "SELECT count(*) FROM leases l WHERE NOT EXISTS (SELECT 1 FROM lease_slots s WHERE s.lease_id = l.id)",
}


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """The demo as a program of its own, in a session of its own."""
    with (folder / "said.txt").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "broker.cli", "demo", *words],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(Path.cwd()), "GRIDFARE_DATA_DIRECTORY": str(folder / "postgres")},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run_once(folder: Path) -> float:
    """Run the demo to its summary without a kill; how long that took, in seconds."""
    began = time.monotonic()
    process = start(folder, "--once")
    assert process.wait(PATIENCE_SECONDS) == 0, (folder / "said.txt").read_text()[-2000:]
    return time.monotonic() - began


def run_and_kill(folder: Path, seconds: float) -> None:
    """Run the demo as it serves, a market hour in a fifth of a second, and kill it after a while."""
    process = start(folder, "--pace", "0.2", "--port", "8900")
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    assert process.wait() == -signal.SIGKILL, (folder / "said.txt").read_text()[-2000:]


def run_until_it_serves(folder: Path) -> None:
    """Run the demo until it says where the portal is, and stop it as a person does."""
    process = start(folder, "--pace", "60", "--port", "8900")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while b"Portal" not in (folder / "said.txt").read_bytes():
        assert process.poll() is None, (folder / "said.txt").read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def close_hash(folder: Path) -> str:
    """The hash of the month the demo closed."""
    return str(json.loads((folder / ".gridfare/demo/period-1/close/close.json").read_text())["hash"])


async def answers(dsn: str) -> dict[str, int]:
    connection = await asyncpg.connect(dsn)
    try:
        return {name: int(await connection.fetchval(question)) for name, question in QUESTIONS.items()}
    finally:
        await connection.close()


@pytest.mark.slow
def test_twenty_kills_lose_nothing_and_double_nothing(scratch: Path):
    """Twenty kill -9 of the demo's process, then one run to its summary: no award twice, books that balance, the same close hash."""
    calm, stormy = scratch / "calm", scratch / "stormy"
    for folder in (calm, stormy):
        folder.mkdir(mode=0o755)
    length = run_once(calm)
    moments = random.Random(SEED)
    for _ in range(KILLS):
        run_and_kill(stormy, moments.uniform(0.1, 1.0) * length)
    run_until_it_serves(stormy)
    assert close_hash(stormy) == close_hash(calm)
    with EmbeddedServer(stormy / "postgres") as server:
        assert asyncio.run(answers(server.dsn)) == dict.fromkeys(QUESTIONS, 0)
