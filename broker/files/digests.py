"""SHA-256 of the files of a directory, taken beside other work."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path


def digests(tables: Mapping[str, Callable[[], str]]) -> dict[str, Future[str]]:
    """Table → its digest, by and by. Hashing leaves the interpreter to others, so it costs no time where there is a second core."""
    beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="digest")
    found = {name: beside.submit(digest) for name, digest in tables.items()}
    beside.shutdown(wait=False)
    return found


def file_digest(path: Path) -> str:
    """SHA-256 of one file, hexadecimal, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(files: Sequence[Path], *, known: Callable[[Path], str | None] | None = None) -> str:
    """SHA-256 of a table: of its file; of several files, of a line each: name, tab, SHA-256, newline.

    known   gives the digest of a file that need not be read for it
    """
    digests_of = {path.name: (known(path) if known else None) or file_digest(path) for path in files}
    if len(files) == 1:
        return digests_of[files[0].name]
    lines = "".join(f"{name}\t{digest}\n" for name, digest in digests_of.items())
    return hashlib.sha256(lines.encode()).hexdigest()
