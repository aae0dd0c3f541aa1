"""SHA-256 of the files of a directory, taken beside other work."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path


def digests(tables: Mapping[str, Sequence[Path]]) -> dict[str, Future[str]]:
    """Table → SHA-256 of its file, hexadecimal, by and by; of several files, of a line each: name, tab, SHA-256, newline.

    Hashing leaves the interpreter to others, so it costs no time where there is a second core.
    """
    with_threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="digest")
    found = {name: with_threads.submit(_digest, tuple(files)) for name, files in tables.items()}
    with_threads.shutdown(wait=False)
    return found


def file_digest(path: Path) -> str:
    """SHA-256 of one file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(files: Sequence[Path]) -> str:
    if len(files) == 1:
        return file_digest(files[0])
    lines = "".join(f"{path.name}\t{file_digest(path)}\n" for path in files)
    return hashlib.sha256(lines.encode()).hexdigest()
