"""A segment is a copy of rows: the same whatever their order, found wherever it was put, and named when it is spoilt."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.files.archive import UsageArchive
from contracts.ledger_tables import USAGE
from contracts.settlement_book import in_total_order
from contracts.terms.errors import BadInput
from tests.contracts.months import book_of, random_month
from tests.object_store import Bucket, object_store

PLACES = ["directory", "bucket"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with object_store("segments-of-tests") as found:
        yield found


@pytest.fixture(params=PLACES)
def archive(request, tmp_path: Path, bucket: Bucket) -> UsageArchive:
    return UsageArchive(str(tmp_path / "segments") if request.param == "directory" else f"{bucket.url}/{tmp_path.name}")


def usage(seed: int) -> pl.DataFrame:
    """The usage of a month with copies that differ."""
    return book_of(random_month(seed)).usage


def put(archive: UsageArchive, bucket: Bucket, *, name: str, content: bytes | None) -> None:
    """Write over a file, or take it away."""
    if archive.place.startswith(bucket.url):
        bucket.put(f"{archive.place.removeprefix(bucket.url + '/')}/{name}", content)
    elif content is None:
        (Path(archive.place) / name).unlink()
    else:
        (Path(archive.place) / name).write_bytes(content)


def test_what_is_written_is_read(archive):
    rows = usage(1)
    segment = archive.write(3, rows)
    assert (segment.rows, segment.name[:12]) == (rows.height, "usage-00003-")
    assert archive.holds(segment)
    assert archive.read(segment).equals(in_total_order(rows))


def test_a_month_without_usage_has_a_segment_too(archive):
    segment = archive.write(1, USAGE.empty())
    assert archive.read(segment).equals(USAGE.empty())


def test_a_missing_file_is_no_fault(archive, bucket):
    segment = archive.write(1, usage(2))
    put(archive, bucket, name=segment.name, content=None)
    assert not archive.holds(segment)
    assert archive.read(segment) is None


def test_a_spoilt_file_is_named_with_what_to_do(archive, bucket, tmp_path):
    segment = archive.write(1, usage(2))
    one_second_less = usage(2).with_columns(pl.col("accelerator_seconds") - (pl.int_range(pl.len()) == 0))
    in_total_order(one_second_less).write_parquet(tmp_path / "other.parquet")
    for content in (b"junk", (tmp_path / "other.parquet").read_bytes()):
        put(archive, bucket, name=segment.name, content=content)
        assert archive.holds(segment)
        with pytest.raises(BadInput, match=segment.name) as refusal:
            archive.read(segment)
        assert "the rows are then read from the store" in str(refusal.value)


def test_a_place_that_takes_no_files_is_named(tmp_path, bucket):
    (tmp_path / "taken").write_bytes(b"")
    for place in (str(tmp_path / "taken"), "s3://no-such-bucket/prefix"):
        with pytest.raises(BadInput, match="GRIDFARE_SEGMENTS"):
            UsageArchive(place).write(1, usage(2))


@given(st.integers(0, 50), st.randoms())
def test_the_order_of_rows_changes_nothing(seed, rng):
    """Also of copies of one usage_id and rev, which differ in what they say."""
    rows = usage(seed)
    order = list(range(rows.height))
    rng.shuffle(order)
    assert in_total_order(rows[order]).equals(in_total_order(rows))
