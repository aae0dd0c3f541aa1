"""One short root over what became of every bid, so that each buyer can check her own part without seeing another's.

The tree is that of RFC 6962: SHA-256, a leaf hashed behind a byte 0 and a pair of nodes behind a byte 1, n leaves split at
the largest power of two below n. There is one leaf for each bid, in text order of bid_id; its text is the canonical CSV
line of the bid itself, then that of its outcome, then those of its awards. The bid's own terms, which nobody else knows,
keep a neighbour in the tree from guessing the rest.
"""

import hashlib
from collections.abc import Sequence

import polars as pl

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from contracts.terms.tables import AWARDS, BIDS, OUTCOMES, Table
from pricing.canonical import canonical_text

LEAF, NODE = b"\x00", b"\x01"


def leaf_hash(text: str) -> bytes:
    """The hash of one leaf."""
    return hashlib.sha256(LEAF + text.encode()).digest()


def merkle_root(leaves: Sequence[bytes]) -> str:
    """The root over leaf hashes, in hexadecimal; of none, the hash of nothing."""
    levels = _levels(leaves)
    return levels[-1][0].hex() if levels[-1] else hashlib.sha256(b"").hexdigest()


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
    ids = book.bids["bid_id"].sort()
    tables = ((BIDS, book.bids), (OUTCOMES, clearing.outcomes), (AWARDS, clearing.awards))
    parts = [_lines_of(ids, table, frame=frame) for table, frame in tables]
    return ids.to_list(), [bid + outcome + awards for bid, outcome, awards in zip(*parts, strict=True)]


def result_root(book: MarketBook, clearing: Clearing) -> str:
    """The root over every bid of a book and what became of it, in hexadecimal."""
    return merkle_root([leaf_hash(text) for text in leaf_texts(book, clearing)[1]])


def _lines_of(ids: pl.Series, table: Table, *, frame: pl.DataFrame) -> list[str]:
    """Of each bid its lines of the canonical text of a table, each ended; nothing where it has none."""
    bids = ids.to_frame("bid_id")
    ours = frame.join(bids, on="bid_id", how="semi")
    counts = bids.join(ours.group_by("bid_id").len(), on="bid_id", how="left", maintain_order="left")["len"].fill_null(0)
    lines = canonical_text(table, ours).split("\n")[1:-1]
    if len(lines) != ours.height:
        lines = _records(lines)
    ends = counts.cast(pl.Int64).cum_sum()
    begins = (ends - counts).to_list()
    return ["\n".join([*lines[low:high], ""]) for low, high in zip(begins, ends.to_list(), strict=True)]


def _records(lines: list[str]) -> list[str]:
    """Lines joined again where a text holds a line end: a record is over where its quotes are even."""
    records, open_ = [], ""
    for line in lines:
        open_ += line
        if open_.count('"') % 2:
            open_ += "\n"
        else:
            records.append(open_)
            open_ = ""
    return records


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """The tree from its leaves up: pairs are hashed, the last of an odd number goes up as it is."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [_node(left, right) for left, right in zip(below[::2], below[1::2], strict=False)]
        levels.append(above + below[len(above) * 2 :])
    return levels


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE + left + right).digest()
