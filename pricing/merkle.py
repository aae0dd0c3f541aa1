"""One short root over what became of every bid, so that each buyer can check her own part without seeing another's.

The tree is that of RFC 6962: SHA-256, a leaf hashed behind a byte 0 and a pair of nodes behind a byte 1, n leaves split at
the largest power of two below n. There is one leaf for each bid, in text order of bid_id; its text is the canonical CSV
line of the bid itself, then that of its outcome, then those of its awards. The bid's own terms, which nobody else knows,
keep a neighbour in the tree from guessing the rest.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from contracts.terms.tables import AWARDS, BIDS, OUTCOMES
from pricing.canonical import Written, WrittenTable, write_table

LEAF, NODE = b"\x00", b"\x01"
LINE_END, QUOTE = ord("\n"), ord('"')


def leaf_hash(text: str) -> bytes:
    """The hash of one leaf."""
    return sha256(LEAF + text.encode()).digest()


def merkle_root(leaves: Sequence[bytes]) -> str:
    """The root over leaf hashes, in hexadecimal; of none, the hash of nothing."""
    levels = _levels(leaves)
    return levels[-1][0].hex() if levels[-1] else sha256(b"").hexdigest()


def merkle_path(leaves: Sequence[bytes], index: int) -> list[str]:
    """The hashes beside the way from one leaf to the root, from the bottom up, in hexadecimal."""
    path = []
    for level in _levels(leaves)[:-1]:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside].hex())
        index //= 2
    return path


def root_above(leaf: bytes, *, index: int, count: int, path: Sequence[str]) -> str:
    """The root that a leaf at a place among `count` and the hashes beside its way lead to, in hexadecimal.

    Raises ValueError for a place outside the tree, or a way too short, too long or not of hashes.
    """
    if not 0 <= index < count:
        raise ValueError(f"leaf {index} is not among {count}")
    beside = [bytes.fromhex(text) for text in path]
    if any(len(node) != len(leaf) for node in beside):
        raise ValueError("a node of the way is not a SHA-256")
    here, last = leaf, count - 1
    while last:
        if index % 2 or index < last:
            if not beside:
                raise ValueError("the way to the root is too short")
            other = beside.pop(0)
            here = _node(other, here) if index % 2 else _node(here, other)
        index, last = index // 2, last // 2
    if beside:
        raise ValueError("the way to the root is too long")
    return here.hex()


def leaf_texts(book: MarketBook, clearing: Clearing) -> tuple[list[str], list[str]]:
    """The ids of the bids in text order, and the text of each one's leaf."""
    frames = ((BIDS, book.bids), (OUTCOMES, clearing.outcomes), (AWARDS, clearing.awards))
    written = {table.name: write_table(table, frame) for table, frame in frames}
    return written[BIDS.name].rows["bid_id"].to_list(), [leaf.decode() for leaf in _leaves(written)]


def result_root(written: Written) -> str:
    """The root over every bid of a book and what became of it, in hexadecimal; `written` holds bids, outcomes and awards."""
    return merkle_root([sha256(LEAF + leaf).digest() for leaf in _leaves(written)])


def _leaves(written: Written) -> Iterator[bytes]:
    """Of each bid, in text order of its id, its line of the bids, then its lines of the outcomes and of the awards."""
    tables = [written[table.name] for table in (BIDS, OUTCOMES, AWARDS)]
    bids, outcomes, awards = (table.text for table in tables)
    spans = [places for table in tables for places in _spans(tables[0].rows["bid_id"], table)]
    # Cut and joined one leaf at a time: a hundred thousand pieces kept until the last were half of the whole cost.
    for a, b, c, d, e, f in zip(*spans, strict=True):
        yield bids[a:b] + outcomes[c:d] + awards[e:f]


def _spans(ids: pl.Series, table: WrittenTable) -> tuple[list[int], list[int]]:
    """Where in the text of a table each bid's lines begin and end; the same where it has none."""
    ends = _line_ends(table)
    runs = table.rows["bid_id"].rle().struct.unnest().with_columns(end=pl.col("len").cum_sum().cast(pl.Int64))
    own = ids.rename("value").to_frame().join(runs, on="value", how="left", maintain_order="left").fill_null(0)
    last = own["end"].to_numpy()
    return ends[last - own["len"].to_numpy()].tolist(), ends[last].tolist()


def _line_ends(table: WrittenTable) -> npt.NDArray[np.int64]:
    """Where the header ends, then each row: a line end inside quotes, of which an odd number are then before it, ends none."""
    text = np.frombuffer(table.text, dtype=np.uint8)
    ends = np.flatnonzero(text == LINE_END)
    if len(ends) != table.rows.height + 1:
        ends = ends[np.cumsum(text == QUOTE)[ends] % 2 == 0]
    return ends + 1


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """The tree from its leaves up: pairs are hashed, the last of an odd number goes up as it is."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [sha256(NODE + left + right).digest() for left, right in zip(below[::2], below[1::2], strict=False)]
        levels.append(above + below[len(above) * 2 :])
    return levels


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(NODE + left + right).digest()
