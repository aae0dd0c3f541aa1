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
    ids = book.bids["bid_id"].sort().to_list()
    texts = dict.fromkeys(ids, "")
    for table, frame in ((BIDS, book.bids), (OUTCOMES, clearing.outcomes), (AWARDS, clearing.awards)):
        for bid, lines in _lines_by_bid(table, frame):
            if bid in texts:
                texts[bid] += lines
    return ids, list(texts.values())


def result_root(book: MarketBook, clearing: Clearing) -> str:
    """The root over every bid of a book and what became of it, in hexadecimal."""
    return merkle_root([leaf_hash(text) for text in leaf_texts(book, clearing)[1]])


def _lines_by_bid(table: Table, frame: pl.DataFrame) -> list[tuple[str, str]]:
    """Each bid of a table in text order, with its lines of the canonical text, each ended."""
    counts = frame.group_by("bid_id").len().drop_nulls().sort("bid_id")
    lines = canonical_text(table, frame.drop_nulls("bid_id")).split("\n")[1:-1]
    if len(lines) != int(counts["len"].sum()):  # a text that holds a line end: line by line, then
        return [(bid, _text_of(table, frame.filter(pl.col("bid_id") == bid))) for bid in counts["bid_id"]]
    ends = counts["len"].cum_sum().to_list()
    begins = [0, *ends][: len(ends)]
    return [(bid, "\n".join([*lines[low:high], ""])) for bid, low, high in zip(counts["bid_id"], begins, ends, strict=True)]


def _text_of(table: Table, frame: pl.DataFrame) -> str:
    """The canonical text without its header."""
    return canonical_text(table, frame).removeprefix(canonical_text(table, frame.clear()))


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
