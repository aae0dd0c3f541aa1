"""A real server, killed, orphaned, shared and misled in every way we could think of."""

import asyncio
import os
import signal
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue

import asyncpg
import pytest

from broker.settings import Settings
from broker.store.embedded import EmbeddedServer, server
from broker.store.lockfiles import disown, is_serving, read_postmaster
from broker.store.premises import ServerFailed
from tests.broker.store.programs import (
    SECONDS,
    answer_of,
    as_owner_of,
    ask,
    holder_of,
    owner_of,
    running,
    sockets_of,
    started,
    until,
    wheel,
)

LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


def test_a_first_start_makes_a_database_in_utf8_sorted_by_bytes(cluster: Path):
    with EmbeddedServer(cluster) as fresh:
        assert ask(fresh.dsn, "SELECT current_user || ' ' || current_database()") == "gridfare gridfare"
        assert ask(fresh.dsn, "SHOW server_encoding") == "UTF8"
        assert ask(fresh.dsn, "SHOW data_checksums") == "on"
        assert ask(fresh.dsn, "SHOW fsync") == "on"
        assert ask(fresh.dsn, "SELECT string_agg(x, '' ORDER BY x) FROM unnest('{a,B,é,_,Z,☃}'::text[]) x") == "BZ_aé☃"


def test_what_was_written_is_there_after_a_restart(cluster: Path):
    with EmbeddedServer(cluster) as one:
        ask(one.dsn, "TRUNCATE kept")
        ask(one.dsn, "INSERT INTO kept VALUES (42)")
    with EmbeddedServer(cluster) as two:
        assert ask(two.dsn, "SELECT n FROM kept") == 42


def test_only_a_private_socket_leads_in(cluster: Path):
    with EmbeddedServer(cluster) as one:
        assert ask(one.dsn, "SHOW listen_addresses") == ""
        for path in (sockets_of(one.dsn), cluster / "data"):
            assert path.stat().st_mode & 0o777 == 0o700
            assert path.stat().st_uid == owner_of(one.pid)
        assert (cluster / "server.log").stat().st_mode & 0o077 == 0


def test_a_stop_sends_clients_away(cluster: Path):
    """A client with a transaction open does not hold it up."""
    one = EmbeddedServer(cluster)
    one.start()

    async def linger() -> None:
        connection = await asyncpg.connect(one.dsn)
        await connection.execute("BEGIN; INSERT INTO kept VALUES (1)")
        await asyncio.to_thread(one.stop)
        with pytest.raises(LOST):
            await connection.fetchval("SELECT 1")

    begun = time.monotonic()
    asyncio.run(linger())
    assert time.monotonic() - begun < SECONDS
    assert read_postmaster(cluster / "data") is None


def test_starting_and_stopping_twice_is_harmless(cluster: Path):
    one = EmbeddedServer(cluster)
    assert one.start() == one.start()
    one.stop()
    one.stop()


def test_a_killed_server_loses_nothing_that_was_committed(cluster: Path):
    """Rows are written one transaction each; the server dies while more are under way."""
    with EmbeddedServer(cluster) as one:
        ask(one.dsn, "TRUNCATE kept")
        committed = asyncio.run(_write_until_killed(one, rows=50))
        assert len(committed) >= 50
        one.start()
        found = ask(one.dsn, "SELECT array_agg(n ORDER BY n) FROM kept")
    assert set(found) >= set(committed)
    assert len(found) - len(committed) <= 1, "at most the one whose answer was lost"


def test_a_server_stops_with_its_killed_parent_and_loses_nothing(cluster: Path):
    with running(cluster) as (other, dsn, pid):
        ask(dsn, "TRUNCATE kept")
        ask(dsn, "INSERT INTO kept VALUES (7)")
        other.kill()
        other.wait(SECONDS)
        until(lambda: not is_serving(pid, cluster / "data"), "the server outlived its parent")
    with EmbeddedServer(cluster) as one:
        assert ask(one.dsn, "SELECT n FROM kept") == 7


def test_a_start_right_after_the_parent_was_killed_waits_for_the_old_server(cluster: Path):
    with running(cluster) as (other, _, pid):
        other.kill()
        other.wait(SECONDS)
        with EmbeddedServer(cluster) as one:
            assert one.is_keeper
            assert one.pid != pid
            assert ask(one.dsn, "SELECT 1") == 1


def test_a_program_that_ends_without_stopping_leaves_no_server(cluster: Path):
    with running(cluster) as (other, _, pid):
        assert other.stdin is not None
        other.stdin.close()
        assert other.wait(SECONDS) == 0
        until(lambda: not is_serving(pid, cluster / "data"), "the server outlived its program")


def test_the_server_outlives_the_thread_that_started_it(cluster: Path):
    """Linux ties a child to the thread that forked it."""
    one = EmbeddedServer(cluster)
    starter = threading.Thread(target=one.start)
    starter.start()
    starter.join()
    assert ask(one.dsn, "SELECT pg_sleep(0.05)::text || 'well'") == "well"
    one.stop()


def test_a_ctrl_c_at_the_terminal_is_ours_to_handle(cluster: Path):
    with EmbeddedServer(cluster) as one:
        assert one.pid is not None
        assert os.getsid(one.pid) == one.pid != os.getsid(0)


def test_the_keepers_lock_is_not_inherited_by_its_children(cluster: Path):
    """A worker forked from a keeper that was killed must not keep others out."""
    one = EmbeddedServer(cluster)
    one.start()
    read, write = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.read(read, 1)
        os._exit(0)
    one.stop()
    try:
        with EmbeddedServer(cluster, patience=3) as two:
            assert two.is_keeper
    finally:
        os.write(write, b".")
        os.waitpid(worker, 0)


def test_two_programs_share_one_server(cluster: Path):
    with running(cluster) as (other, dsn, pid):
        with EmbeddedServer(cluster) as guest:
            assert guest.dsn == dsn
            assert not guest.is_keeper
            assert guest.pid is None
        assert is_serving(pid, cluster / "data"), "a guest does not stop the server"
        assert ask(dsn, "SELECT 1") == 1
        assert other.poll() is None


def test_programs_that_start_at_once_on_an_empty_directory_share_one_server(scratch: Path):
    path = scratch / "at-once"
    with started(path) as first, started(path) as second, started(path) as third:
        answers = [answer_of(program) for program in (first, second, third)]
        assert len({dsn for dsn, _ in answers}) == 1
        assert sorted(pid > 0 for _, pid in answers) == [False, False, True]
        for dsn, _ in answers:
            assert ask(dsn, "SELECT 1") == 1


def test_threads_that_start_at_once_share_one_server(cluster: Path):
    servers = [EmbeddedServer(cluster) for _ in range(4)]
    threads = [threading.Thread(target=one.start) for one in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.dsn for one in servers}) == 1
    assert sum(one.is_keeper for one in servers) == 1
    for one in servers:
        one.stop()


def test_a_guest_takes_over_when_the_keeper_is_gone(cluster: Path):
    guest = EmbeddedServer(cluster)
    with running(cluster) as (other, _, _pid):
        guest.start()
        other.kill()
        other.wait(SECONDS)
    assert ask(guest.start(), "SELECT 1") == 1
    assert guest.is_keeper
    guest.stop()


@pytest.mark.parametrize("holder", ["nobody", "zombie", "stranger", "ourselves", "our parent", "another server"])
def test_a_stale_lock_is_seen_through(cluster: Path, database_server: str, holder):
    """A server died and left its locks; its process id now belongs to whom the case says."""
    one = EmbeddedServer(cluster)
    one.start()
    assert one.pid is not None
    os.kill(one.pid, signal.SIGKILL)
    until(lambda: not is_serving(one.pid or 0, cluster / "data"), "a killed server still runs")
    other = read_postmaster(sockets_of(database_server).parent / "data")
    assert other is not None
    with holder_of(cluster / "data", other.pid if holder == "another server" else holder) as pid:
        _give_the_number_to(pid, cluster)
        one.stop()
        with EmbeddedServer(cluster, patience=10) as two:
            assert two.is_keeper
            assert ask(two.dsn, "SELECT 1") == 1


@pytest.mark.parametrize("holder", ["nobody", "stranger"])
def test_no_server_starts_beside_the_busy_worker_of_a_killed_one(cluster: Path, holder):
    """A worker notices that its server is gone only when it next waits; until then it may write."""
    one = EmbeddedServer(cluster)
    dsn = one.start()
    assert one.pid is not None
    until_when, asking = _keep_a_worker_busy(dsn)
    os.kill(one.pid, signal.SIGKILL)
    until(lambda: not is_serving(one.pid or 0, cluster / "data"), "a killed server still runs")
    with holder_of(cluster / "data", holder) as pid:
        _give_the_number_to(pid, cluster)
        one.stop()
        with EmbeddedServer(cluster) as two:
            assert ask(two.dsn, "SELECT pg_postmaster_start_time()") >= until_when
    asking.join()


def test_a_lock_is_disowned_without_losing_what_it_says(tmp_path: Path):
    """The seventh line leads PostgreSQL to a dead server's workers."""
    lines = ["4711", str(tmp_path), "1798761600", "5432", "/run", "", "  5432001 32768", "ready"]
    (tmp_path / "postmaster.pid").write_text("\n".join(lines) + "\n")
    disown(tmp_path)
    assert (tmp_path / "postmaster.pid").read_text().splitlines() == [str(os.getpid()), *lines[1:]]
    found = read_postmaster(tmp_path)
    assert found is not None
    assert (found.socket_directory, found.status) == ("/run", "ready")


def test_a_lock_that_was_never_written_out_is_no_obstacle(cluster: Path):
    """PostgreSQL itself refuses to start over an empty one."""
    (cluster / "data" / "postmaster.pid").write_text("")
    assert read_postmaster(cluster / "data") is None
    with EmbeddedServer(cluster) as one:
        assert ask(one.dsn, "SELECT 1") == 1


def test_a_server_nobody_keeps_is_left_alone_and_named(cluster: Path):
    """Started by hand on our data: we neither share it, nor stop it, nor start beside it."""
    data = cluster / "data"
    words = [str(wheel() / "pginstall/bin/postgres"), "-D", str(data), "-c", "listen_addresses=", "-k", str(cluster / "run")]
    with as_owner_of(data, *words) as by_hand:
        until(lambda: (found := read_postmaster(data)) is not None and found.status == "ready", "no server by hand")
        with pytest.raises(ServerFailed, match=f"stop it with kill -INT {by_hand.pid}"):
            EmbeddedServer(cluster, patience=0.2).start()
        assert by_hand.poll() is None
        by_hand.send_signal(signal.SIGINT)
        by_hand.wait(SECONDS)
    with EmbeddedServer(cluster) as one:
        assert one.is_keeper


def test_a_first_start_that_was_killed_half_way_is_begun_again(scratch: Path):
    path = scratch / "half-way"
    (path / "data.unborn" / "base").mkdir(parents=True)
    (path / "data.unborn" / "PG_VERSION").write_text("1")
    with EmbeddedServer(path, durable=False) as one:
        assert ask(one.dsn, "SELECT 1") == 1
    assert not (path / "data.unborn").exists()


def test_a_server_that_will_not_start_is_quoted(cluster: Path):
    """Twice, because the first failure must not keep the directory's lock."""
    version = cluster / "data" / "PG_VERSION"
    was = version.read_text()
    version.write_text("12\n")
    for _ in range(2):
        with pytest.raises(ServerFailed, match=r"(?s)it said:.*initialized by PostgreSQL version 12"):
            EmbeddedServer(cluster).start()
    version.write_text(was)


def test_a_directory_that_is_a_file_is_named(scratch: Path):
    path = scratch / "file"
    path.write_text("")
    with pytest.raises(ServerFailed, match=f"{path} cannot be used"):
        EmbeddedServer(path).start()


def test_database_url_always_overrides(scratch: Path):
    with server(Settings(database_url="postgresql://h/d", data_directory=scratch / "unused")) as dsn:
        assert dsn == "postgresql://h/d"
    assert not (scratch / "unused").exists()


def test_without_a_url_the_data_directory_is_used(cluster: Path):
    with server(Settings(data_directory=cluster)) as dsn:
        assert ask(dsn, "SELECT current_database()") == "gridfare"
    assert read_postmaster(cluster / "data") is None


async def _write_until_killed(one: EmbeddedServer, *, rows: int) -> list[int]:
    """Insert 0, 1, 2, … and kill the server once `rows` are committed; the numbers whose commit was confirmed."""
    assert one.pid is not None
    connection = await asyncpg.connect(one.dsn)
    committed: list[int] = []
    with suppress(*LOST):
        for n in range(100 * rows):
            await connection.execute("INSERT INTO kept VALUES ($1)", n)
            committed.append(n)
            if len(committed) == rows:
                os.kill(one.pid, signal.SIGKILL)
    connection.terminate()
    return committed


def _give_the_number_to(pid: int, cluster: Path) -> None:
    """Let the two locks of a dead server name a process that has come to have its number."""
    for lock in (cluster / "data" / "postmaster.pid", cluster / "run" / ".s.PGSQL.5432.lock"):
        lock.write_text(f"{pid}\n{lock.read_text().partition(chr(10))[2]}")


def _keep_a_worker_busy(dsn: str) -> tuple[datetime, threading.Thread]:
    """Have a worker compute for a second without ever waiting: when it will end, and the thread of its client."""
    begun: SimpleQueue[tuple[int, datetime]] = SimpleQueue()

    async def ask_for_work() -> None:
        connection = await asyncpg.connect(dsn)
        end = await connection.fetchval("SELECT now() + interval '1 s'")
        begun.put((connection.get_server_pid(), end))
        with suppress(*LOST):
            await connection.execute(f"DO $$ BEGIN WHILE clock_timestamp() < '{end}' LOOP END LOOP; END $$")
        connection.terminate()

    asking = threading.Thread(target=lambda: asyncio.run(ask_for_work()))
    asking.start()
    worker, end = begun.get()
    until(lambda: b" DO" in Path(f"/proc/{worker}/cmdline").read_bytes(), "the worker never began")
    return end, asking
