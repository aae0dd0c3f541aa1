"""A server has a place wherever the project is checked out and whoever runs it."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from broker.store import premises
from broker.store.embedded import EmbeddedServer
from broker.store.premises import Account, ServerFailed, own
from tests.broker.store.programs import AS_ROOT, SECONDS, Runner, ask, owner_of, running, sockets_of, wheel

DEBIAN_PYTHON = Path("/usr/bin/python3")


def test_a_path_too_long_for_a_socket_gets_a_short_one(scratch: Path):
    path = scratch / ("long" * 20) / ("er" * 20)
    with EmbeddedServer(path, durable=False) as one:
        assert ask(one.dsn, "SELECT 1") == 1
        sockets = sockets_of(one.dsn)
        assert len(str(sockets / ".s.PGSQL.5432")) < 108
        assert sockets.stat().st_mode & 0o777 == 0o700
    sockets.rmdir()


def test_what_somebody_else_put_in_the_way_is_refused(scratch: Path):
    """In /tmp anybody may take the short name first, with a directory of theirs or a link to one."""
    link, theirs = scratch / "link", scratch / "theirs"
    link.symlink_to(scratch)
    theirs.mkdir()
    with pytest.raises(ServerFailed, match=f"{link} belongs to somebody else"):
        own(link, Account(os.geteuid(), os.getegid()))
    with pytest.raises(ServerFailed, match=f"{theirs} belongs to somebody else"):
        own(theirs, Account(os.geteuid() + 1, os.getegid()))


@pytest.mark.skipif(not AS_ROOT, reason="only root has something to give up")
def test_root_runs_the_server_as_somebody_else(cluster: Path):
    """With none of root's groups and powers."""
    with running(cluster, Runner(groups=(0, 4))) as (_, _dsn, pid):
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    assert status["Groups"].split() == []
    assert int(status["CapEff"], 16) == 0


@pytest.mark.skipif(not AS_ROOT, reason="only root's own directories are closed to the server's account")
def test_what_the_account_cannot_reach_is_put_where_it_can(scratch: Path, monkeypatch: pytest.MonkeyPatch):
    """A checkout in root's home, with the wheel in it: neither is opened up to the account."""
    closed = scratch / "closed"
    closed.mkdir(mode=0o700)
    outside = scratch / "outside"
    monkeypatch.setattr(premises, "OUTSIDE", outside)
    subprocess.run(["cp", "-a", str(wheel()), f"{wheel()}.libs", str(closed)], check=True)
    monkeypatch.syspath_prepend(str(closed))
    path = closed / "postgres"
    for turn in range(2):
        with EmbeddedServer(path, durable=False) as one:
            executable = Path(f"/proc/{one.pid}/exe").readlink()
            assert executable.is_relative_to(outside)
            if turn == 0:
                ask(one.dsn, "CREATE TABLE kept (n int)")
            assert ask(one.dsn, "SELECT count(*) FROM kept") == 0
    assert closed.stat().st_mode & 0o777 == 0o700
    assert (path / "elsewhere").resolve().parent == outside
    (path / "elsewhere").unlink()
    assert not premises.settle_in(path).data.exists(), "data whose link was deleted came back"


@pytest.mark.skipif(not AS_ROOT, reason="the other tests run as an ordinary user already")
def test_an_ordinary_user_runs_it_as_herself(scratch: Path):
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not DEBIAN_PYTHON.exists() or version not in subprocess.check_output([DEBIAN_PYTHON, "--version"], text=True):
        pytest.skip(f"there is no {DEBIAN_PYTHON} {version} for a user who cannot reach {sys.executable}")
    nobody = pwd.getpwnam("nobody")
    home = scratch / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    path = home / "postgres"
    with running(path, Runner(DEBIAN_PYTHON, packages, uid=nobody.pw_uid, groups=())) as (other, dsn, pid):
        assert owner_of(pid) == nobody.pw_uid
        assert ask(dsn, "SELECT 1") == 1
        other.kill()
        other.wait(SECONDS)
    with EmbeddedServer(path) as one:
        assert owner_of(one.pid) == nobody.pw_uid, "root runs a user's data as the user"
