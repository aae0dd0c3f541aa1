"""Which broker a buyer's program speaks to, and with whose key.

    GRIDFARE_URL       address of the broker; without it the one last signed in to, or http://127.0.0.1:8000
    GRIDFARE_KEY       API key for that address
    GRIDFARE_PROFILE   name of a kept broker
    GRIDFARE_BROKERS   file of kept brokers (~/.config/gridfare/brokers.json, or below XDG_CONFIG_HOME)

The file holds keys, so nobody else may read it. A key is shown to the address it was kept for and to no other.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from contracts.terms.errors import BadInput, NotFound

HERE = "http://127.0.0.1:8000"
FILE = Path("gridfare") / "brokers.json"
OTHERS = 0o077


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A broker and the key to it; written out, it does not show the key."""

    url: str
    key: str | None = None

    def __repr__(self) -> str:
        return f"Profile(url={self.url!r}, key={'set' if self.key else 'not set'})"


class Profiles(msgspec.Struct, frozen=True, kw_only=True):
    """Kept brokers by name, and the name of the one that is used when none is said."""

    current: str | None = None
    known: dict[str, Profile] = {}

    def with_profile(self, name: str, profile: Profile) -> "Profiles":
        """With one more, which is used from now on."""
        return Profiles(current=name, known=self.known | {name: profile})

    def without(self, name: str) -> "Profiles":
        """Without one. Raises NotFound."""
        self.named(name)
        return Profiles(
            current=None if self.current == name else self.current, known={each: self.known[each] for each in self.known if each != name}
        )

    def named(self, name: str) -> Profile:
        """One of them. Raises NotFound."""
        if name not in self.known:
            raise NotFound(f"no broker is kept as {name}; {', '.join(sorted(self.known)) or '`gridfare login`'} would do", profile=name)
        return self.known[name]

    def key_for(self, url: str) -> str | None:
        """The key that was kept for an address, the current one's first."""
        order = sorted(self.known, key=lambda name: (name != self.current, name))
        return next((self.known[name].key for name in order if _same(self.known[name].url, url)), None)


class BuyerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment says of it; written out, it does not show the key."""

    url: str | None = None
    key: str | None = None
    profile: str | None = None
    file: Path

    def __repr__(self) -> str:
        return f"BuyerSettings(url={self.url!r}, key={'set' if self.key else 'not set'}, profile={self.profile!r}, file={str(self.file)!r})"


def read_settings(environ: Mapping[str, str]) -> BuyerSettings:
    """What an environment states; a variable that is empty counts as not set."""
    stated = {name: value for name, value in environ.items() if value}
    home = Path(stated.get("XDG_CONFIG_HOME") or Path(stated.get("HOME", ".")) / ".config")
    return BuyerSettings(
        url=stated.get("GRIDFARE_URL"),
        key=stated.get("GRIDFARE_KEY"),
        profile=stated.get("GRIDFARE_PROFILE"),
        file=Path(stated.get("GRIDFARE_BROKERS", home / FILE)),
    )


def choose(settings: BuyerSettings, profiles: Profiles, *, url: str | None, name: str | None) -> Profile:
    """The broker to speak to: what the command line says, else the environment, else the one last signed in to, else this machine.

    Raises NotFound for a name nobody kept, and BadInput for a name together with an address.
    """
    if url is not None and name is not None:
        raise BadInput("a broker is named once", would_do="--url or --profile")
    if url is None and (name or (settings.profile if settings.url is None else None)):
        return profiles.named(name or settings.profile or "")
    stated = url or settings.url
    if stated is not None:
        own = settings.key if settings.url is None or _same(settings.url, stated) else None
        return Profile(url=stated, key=own or profiles.key_for(stated))
    kept = profiles.known.get(profiles.current or "", Profile(url=HERE))
    return Profile(url=kept.url, key=settings.key or kept.key)


def read_profiles(path: Path) -> Profiles:
    """The kept brokers; none where there is no file. Raises BadInput for one that others may read, or that is none."""
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError:
        return Profiles()
    if mode & OTHERS:
        raise BadInput("others may read this file, and it holds keys", file=str(path), would_do=f"chmod 600 {path}")
    try:
        return msgspec.json.decode(content, type=Profiles)
    except msgspec.DecodeError as fault:
        raise BadInput(
            f"the file is none of kept brokers: {fault}", file=str(path), would_do="`gridfare login` after removing it"
        ) from fault


def write_profiles(path: Path, profiles: Profiles) -> None:
    """Keep them where only this user reads them: at no moment is there a file that others could open."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(profiles), indent=2) + b"\n")
    beside.replace(path)


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
