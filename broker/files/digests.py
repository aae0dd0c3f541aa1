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


def files_digest(files: Sequence[Path]) -> str:
    """SHA-256 of a table: of its file; of several files, of a line each: name, tab, SHA-256, newline."""
    if len(files) == 1:
        return file_digest(files[0])
    lines = "".join(f"{path.name}\t{file_digest(path)}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()
