"""A file appears whole or not at all, and stays when the power goes."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write beside, onto the disk, and rename: a reader never sees half a file, and a crash leaves the old one or the new.

    Without the `fsync` the name may reach the disk before the content does.
    """
    beside = path.with_name(f".{path.name}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
