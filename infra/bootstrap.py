#!/usr/bin/env python3
"""Set-up from Python alone: fetch uv, install the locked packages, fill in the portal's third-party files.

Standard library only, since it runs before anything is installed; syntax that an older Python can read,
so that it can say which one is needed. Everything lands below the project: `.venv/`, `.gridfare/`,
`web/node_modules/`, `web/static/vendor/`. A step whose inputs have not changed is not run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".gridfare"
STAMPS = STATE / "setup.json"
LOG = STATE / "setup.log"
UV = STATE / "tools" / "uv"
VENV = ROOT / ".venv"
VENDOR = ROOT / "web" / "static" / "vendor"

OLDEST_PYTHON = (3, 11)
FREE_BYTES = 3 * 10**9
DEFAULT_INDEX = "https://pypi.org/simple"
UV_VERSION = "0.13.9"
UV_WHEELS = {
    ("x86_64", "glibc"): (
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    ("x86_64", "musl"): ("musllinux_1_1_x86_64", "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25"),
    ("aarch64", "glibc"): (
        "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
    ("aarch64", "musl"): (
        "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
}


class SetupFailed(Exception):
    """Set-up cannot go on; the message says what would help."""


def main() -> int:
    """Run the steps whose inputs changed; 0 when all is in place, 1 with a sentence when it is not."""
    try:
        check_machine()
        STATE.mkdir(exist_ok=True)
        with one_at_a_time():
            run_steps()
    except SetupFailed as failure:
        say(f"\n\nSet-up stopped: {failure}\n")
        return 1
    except KeyboardInterrupt:
        say("\nSet-up interrupted; `make setup` goes on where it stopped.\n")
        return 1
    return 0


def run_steps() -> None:
    """Each step with what it depends on, in order; prints nothing when nothing is to be done."""
    here = f"{ROOT} {sys.version} {UV_VERSION}"
    lock = digest("uv.lock", "infra/bootstrap.py", "infra/portal_assets.py", extra=here)
    project = digest("pyproject.toml", extra=lock)
    portal = digest("web/package.json", "web/package-lock.json", extra=lock)
    steps = [
        ("uv, the package installer", install_uv, digest(extra=here), UV),
        ("Python packages", install_packages, project, VENV / "bin" / "python"),
        ("htmx, fonts, style base", lambda: run_in_venv("infra/portal_assets.py", "files"), portal, VENDOR / "htmx.min.js"),
        ("chart library", lambda: run_in_venv("infra/portal_assets.py", "charts"), lock, VENDOR / "vega.js"),
        ("database and first imports", lambda: run_in_venv("infra/portal_assets.py", "warm"), lock, VENV),
    ]
    done = read_stamps()
    for number, (title, act, inputs, product) in enumerate(steps, start=1):
        if done.get(title) == inputs and product.exists():
            continue
        say(f"[{number}/{len(steps)}] {title} ... ")
        started = time.monotonic()
        act()
        done[title] = inputs
        STAMPS.write_text(json.dumps(done, indent=1))
        say(f"{time.monotonic() - started:.1f} s\n")


def check_machine() -> None:
    """Refuse early what cannot work: an old Python, a system without wheels, a full disk."""
    if sys.version_info < OLDEST_PYTHON:
        raise SetupFailed(
            "Python {}.{} or newer is needed, {} is {}.\n`make setup PYTHON=/path/to/python3` names another.".format(
                *OLDEST_PYTHON, sys.executable, platform.python_version()
            )
        )
    if sys.platform != "linux" or (platform.machine(), libc()) not in UV_WHEELS:
        raise SetupFailed(f"Linux on x86_64 or aarch64 is needed, this is {sys.platform} on {platform.machine()}.")
    free = shutil.disk_usage(str(ROOT)).free
    if free < FREE_BYTES and not VENV.exists():
        raise SetupFailed(f"about 3 GB of disk are needed below {ROOT}, {free / 1e9:.1f} GB are free.")


def libc() -> str:
    """Which C library programs of this machine are linked to: glibc or musl."""
    return "glibc" if platform.libc_ver()[0] == "glibc" else "musl"


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the set-up lock, so that two `make` in one folder do not install over each other."""
    with (STATE / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("Another set-up is running in this folder; waiting for it.\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install_uv() -> None:
    """Fetch the pinned uv wheel from the package index, check its hash, unpack the one binary."""
    tag, sha256 = UV_WHEELS[(platform.machine(), libc())]
    name = f"uv-{UV_VERSION}-py3-none-{tag}.whl"
    index = chosen_index() or DEFAULT_INDEX
    page_url = "{}/uv/".format(index.rstrip("/"))
    links = re.findall(r'href="([^"]+)"', download(page_url).decode("utf-8", "replace"))
    found = [link for link in links if name in urllib.parse.unquote(link)]
    if not found:
        raise SetupFailed(f"{page_url} does not offer {name}. Is the index complete?")
    wheel = download(urllib.parse.urljoin(page_url, found[0].replace("&amp;", "&").split("#")[0]))
    actual = hashlib.sha256(wheel).hexdigest()
    if actual != sha256:
        raise SetupFailed(f"{name} has SHA-256 {actual}, not the pinned {sha256}: it was altered or cut short.")
    UV.parent.mkdir(parents=True, exist_ok=True)
    fresh = UV.with_name("uv.new")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        fresh.write_bytes(archive.read(f"uv-{UV_VERSION}.data/scripts/uv"))
    fresh.chmod(0o755)
    fresh.replace(UV)


def install_packages() -> None:
    """Install exactly what uv.lock names into .venv, compiled to bytecode.

    The lock names PyPI's own addresses; where an index is set by the environment, the same versions
    come from there, checked against the hashes of the lock.
    """
    index = chosen_index()
    if index is None:
        run([str(UV), "sync", "--frozen", "--compile-bytecode"])
        return
    wanted = STATE / "requirements.txt"
    run([str(UV), "export", "--frozen", "--no-emit-project", "--all-groups", "--output-file", str(wanted)])
    if not VENV.exists():
        run([str(UV), "venv", str(VENV)])
    into = ["--python", str(VENV / "bin" / "python"), "--default-index", index]
    run([str(UV), "pip", "sync", *into, "--require-hashes", "--compile-bytecode", str(wanted)])
    run([str(UV), "pip", "install", *into, "--no-deps", "--editable", str(ROOT)])


def run_in_venv(*arguments: str) -> None:
    """Run a script of ours with the installed packages at hand."""
    run([str(VENV / "bin" / "python"), *arguments])


def run(command: list[str]) -> None:
    """Run one command, its output into the log; raise SetupFailed with the end of it when it fails."""
    with LOG.open("w", encoding="utf-8") as log:
        log.write("$ {}\n".format(" ".join(command)))
        log.flush()
        finished = subprocess.run(command, cwd=str(ROOT), env=environment(), stdout=log, stderr=subprocess.STDOUT, check=False)
    if finished.returncode != 0:
        lines = LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        raise SetupFailed("a command failed (all of it is in {}):\n  {}\n{}".format(LOG, "\n  ".join(lines), advice("\n".join(lines))))


def environment() -> dict[str, str]:
    """The environment of every command: this Python and no other, no configuration but the project's.

    Certificates and index addresses that the machine sets for one tool are passed on to the others.
    """
    env = dict(os.environ)
    env.pop("VIRTUAL_ENV", None)
    env.update(UV_PYTHON=sys.executable, UV_PYTHON_DOWNLOADS="never", UV_NO_CONFIG="1", UV_PROJECT_ENVIRONMENT=str(VENV))
    env.update(UV_NO_PROGRESS="1", NO_COLOR="1")
    certificates = env.get("SSL_CERT_FILE") or env.get("PIP_CERT")
    if certificates:
        env.setdefault("SSL_CERT_FILE", certificates)
        env.setdefault("NODE_EXTRA_CA_CERTS", certificates)
    if not os.access(env.get("HOME") or "/nonexistent", os.W_OK):
        env.setdefault("UV_CACHE_DIR", str(STATE / "cache" / "uv"))
        env.setdefault("npm_config_cache", str(STATE / "cache" / "npm"))
    return env


def chosen_index() -> str | None:
    """The package index this machine's user has chosen by environment, or None for PyPI."""
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if os.environ.get(name):
            return os.environ[name]
    return None


def download(url: str) -> bytes:
    """The bytes at an address, three tries; raise SetupFailed with what would help."""
    certificates = os.environ.get("SSL_CERT_FILE") or os.environ.get("PIP_CERT")
    if certificates:
        os.environ.setdefault("SSL_CERT_FILE", certificates)
    for attempt in (1, 2, 3):
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                return bytes(response.read())
        except (OSError, ValueError) as error:
            reason = f"{url} could not be read: {error}"
            if isinstance(error, urllib.error.HTTPError):
                break
            time.sleep(attempt)
    raise SetupFailed(f"{reason}\n{advice(reason)}")


def advice(text: str) -> str:
    """What would help, judged by the words of the failure."""
    lowered = text.lower()
    if "certificate" in lowered:
        return "Install the package ca-certificates, or set SSL_CERT_FILE to the certificates of your network."
    if "no space left" in lowered:
        return "The disk is full: about 3 GB are needed."
    if any(word in lowered for word in ("resol", "connect", "timed out", "unreachable", "dns", "enotfound", "network")):
        return "Is the network up? Behind a mirror set PIP_INDEX_URL (Python) and npm_config_registry (npm); behind a proxy HTTPS_PROXY."
    return "`make clean setup` starts over."


def digest(*names: str, extra: str = "") -> str:
    """One hash over the content of files and a text: what a step depends on."""
    whole = hashlib.sha256(extra.encode())
    for name in names:
        whole.update(name.encode())
        whole.update((ROOT / name).read_bytes())
    return whole.hexdigest()


def read_stamps() -> dict[str, str]:
    """Step title → hash of the inputs it was last done for."""
    try:
        return dict(json.loads(STAMPS.read_text()))
    except (OSError, ValueError):
        return {}


def say(text: str) -> None:
    """Write to the terminal at once, so that a step that takes long is seen to run."""
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
