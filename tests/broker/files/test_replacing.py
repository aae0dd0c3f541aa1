"""Files that are old or new, never half."""

import os

import pytest

from broker.files.replacing import replace_file


def test_a_file_is_replaced_and_nothing_stays_beside_it(tmp_path):
    replace_file(tmp_path / "close.json", b"old")
    replace_file(tmp_path / "close.json", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("close.json", b"new")]


def test_the_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    """The power goes at the fsync: whoever comes back finds what was there before."""
    replace_file(tmp_path / "close.json", b"old")

    def fails(_):
        raise OSError("no more power")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="power"):
        replace_file(tmp_path / "close.json", b"new")
    assert (tmp_path / "close.json").read_bytes() == b"old"
