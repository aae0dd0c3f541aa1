"""Blocks give back the rows they were made of, whatever their values, and keep no more than those need."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.files import cells
from broker.files.cells import NAMES, block_of, cells_at, packed
from contracts.terms.errors import BadInput

HOUR = 3_600_000_000
WHOLE = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-3, 3)
STEPS = st.builds(lambda number, step, least: least + number * step, st.integers(0, 70_000), st.sampled_from([1, 900, HOUR]), SMALL)


def column(rows: int):
    """Values of every size: any at all, few, or so many steps above one."""
    return st.one_of(*(st.lists(values, min_size=rows, max_size=rows) for values in (WHOLE, SMALL, STEPS)))


def blocks():
    """Blocks of up to five rows, as lists by name of column."""
    return st.lists(st.integers(0, 5).flatmap(lambda rows: st.fixed_dictionaries({name: column(rows) for name in NAMES})), max_size=4)


@given(blocks(), st.randoms())
def test_rows_are_found_by_their_numbers(tmp_path_factory, given_blocks, rng):
    path = tmp_path_factory.mktemp("cells") / "rows"
    kept = [block_of({name: np.array(values, dtype=np.int64) for name, values in block.items()}) for block in given_blocks]
    path.write_bytes(b"".join(content for _, content in kept))
    rows = [dict(zip(NAMES, row, strict=True)) for block in given_blocks for row in zip(*(block[name] for name in NAMES), strict=True)]
    at = sorted(rng.sample(range(len(rows)), rng.randint(0, len(rows))))
    found = cells_at(path, [block for block, _ in kept], at=np.array(at, dtype=np.int64))
    assert [dict(zip(NAMES, row, strict=True)) for row in zip(*(found[name].tolist() for name in NAMES), strict=True)] == [
        rows[number] for number in at
    ]


@pytest.mark.parametrize(
    ("values", "width"),
    [
        ([7, 7, 7], 0),
        ([-3, -2, 252], 1),
        ([-3, -2, 253], 2),
        ([5, 5 + 255 * HOUR], 1),
        ([5, 5 + HOUR, 5 + 256 * HOUR], 2),
        ([0, 1, 2**32 - 1], 4),
        ([0, 1, 2**32], 8),
        ([-(2**63), 2**63 - 1], 8),
    ],
)
def test_a_column_takes_what_its_values_need(values, width):
    """Steps of an hour are counted, not microseconds."""
    how, content = packed(np.array(values, dtype=np.int64))
    assert (how.width, len(content)) == (width, width * len(values))


def test_a_step_that_only_the_first_values_have_is_none(monkeypatch):
    monkeypatch.setattr(cells, "SAMPLE", 2)
    how, _ = packed(np.array([0, 10, 20, 25], dtype=np.int64))
    assert how.step == 1


def test_a_file_cut_short_is_not_read_as_if_it_were_whole(tmp_path):
    block, content = block_of({name: np.arange(300, dtype=np.int64) for name in NAMES})
    (tmp_path / "remembered").mkdir()
    path = tmp_path / "remembered" / "rows"
    path.write_bytes(content[:-1])
    with pytest.raises(BadInput, match="remembered/rows"):
        cells_at(path, [block], at=np.array([0]))
