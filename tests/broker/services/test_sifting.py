"""One pass, two speeds: the compiled one, the plain one and a reading that sorts everything find the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.services import sifting
from broker.services.sifting import ROOM, Asked, Offers, Sifted, Terms, fits, room, sift
from contracts.terms.money import half_up

DEMANDS, NUMBER, BUDGET = 4, 2, 3
EXAMPLES = 2
RATES = st.integers(0, 60) | st.integers(0, 1 << 50)
KINDS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40), st.integers(1, 9), st.integers(-1, 80)), min_size=1, max_size=3)


@st.composite
def books(draw: st.DrawFn) -> dict[str, Any]:
    """Offers of a few cells, what each cell fails in, what a kind costs, and what is asked."""
    kinds = draw(KINDS)
    cells = draw(st.lists(st.tuples(st.sampled_from([-1, 0, 0, 1, 2, 3]), st.integers(0, len(kinds) - 1)), min_size=1, max_size=5))
    own = st.tuples(st.integers(0, len(cells) - 1), RATES, st.integers(0, 4))
    offers = draw(st.lists(own, max_size=30))
    asked = {"quantity": draw(st.integers(1, 3)), "sort": draw(st.integers(0, 2)), "page": draw(st.integers(1, 5))}
    after = {"least": draw(st.just(-ROOM) | st.integers(-4, 60)), "place": draw(st.integers(0, 30))}
    return {"kinds": kinds, "cells": cells, "offers": offers} | asked | after


def laid(book: dict[str, Any]) -> tuple[Offers, Terms, Asked, Sifted]:
    """The same as a pass takes it, and room for what it finds."""
    cell, rate, quantity = np.ascontiguousarray(np.array(book["offers"], dtype=np.int64).reshape(-1, 3).T)
    row = np.argsort(cell, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=len(book["cells"])))])
    above, moved, below, limit = np.ascontiguousarray(np.array(book["kinds"], dtype=np.int64).T)
    failed, kind = np.ascontiguousarray(np.array(book["cells"], dtype=np.int64).T)
    terms = Terms(failed, kind, limit, above, moved, below, slope=above / below, base=moved / below)
    asked = Asked(book["quantity"], NUMBER, BUDGET, book["sort"], book["least"], book["place"])
    return Offers(start, row, rate[row], quantity[row]), terms, asked, room(DEMANDS, len(failed), page=book["page"], examples=EXAMPLES)


def told(found: Sifted) -> list[Any]:
    """What a pass found, without what is beyond the end of its lists."""
    kept = found.kept.tolist()
    lists = [list(zip(found.keys[d, :n].tolist(), found.rows[d, :n].tolist(), strict=True)) for d, n in enumerate(kept)]
    return [found.out.tolist(), found.alone.tolist(), found.passed.tolist(), lists]


def by_sorting(book: dict[str, Any]) -> list[Any]:
    """The same by making every list whole, with the fractions of the rulebook."""
    out, passed = [0] * DEMANDS, [0] * len(book["cells"])
    lists: list[list[tuple[int, int]]] = [[] for _ in range(DEMANDS + 1)]
    for row, (cell, rate, quantity) in enumerate(book["offers"]):
        failed, kind = book["cells"][cell]
        above, moved, below, limit = book["kinds"][kind]
        if failed < 0:
            continue
        own = [NUMBER] * (quantity < book["quantity"]) + [BUDGET] * (rate > limit)
        fails = [d for d in range(DEMANDS) if failed >> d & 1] + own
        passed[cell] += not own
        for demand in fails:
            out[demand] += 1
        key = half_up(rate * above + moved, below)
        if len(fails) == 1:
            lists[fails[0]].append((key, row))
        if not fails:
            lists[DEMANDS].append(((key, rate, -quantity)[book["sort"]], row))
    alone = [len(each) for each in lists]
    lists[DEMANDS] = [(key, row) for key, row in lists[DEMANDS] if (key, row) >= (book["least"], book["place"])]
    return [out, alone, passed, [sorted(each)[: book["page"] if d == DEMANDS else EXAMPLES] for d, each in enumerate(lists)]]


@settings(max_examples=60)
@given(books())
@pytest.mark.parametrize("small", [-1, 1_000], ids=["compiled", "plain"])
def test_a_pass_finds_what_sorting_everything_finds(small: int, book: dict[str, Any]):
    offers, terms, asked, into = laid(book)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sifting, "SMALL", small)
        assert told(sift(offers, terms, asked=asked, into=into, rate_max=1 << 50)) == by_sorting(book)


def test_figures_beyond_a_machine_word_are_reckoned_in_plain(monkeypatch):
    """2^62 times 9 is more than a machine holds; the dear offer comes last, at what it costs."""
    monkeypatch.setattr(sifting, "SMALL", -1)
    book = {"kinds": [(9, 0, 1, ROOM)], "cells": [(0, 0)], "offers": [(0, ROOM, 4), (0, 1, 4)]}
    offers, terms, asked, into = laid(book | {"quantity": 1, "sort": 0, "page": 5, "least": -ROOM, "place": 0})
    assert fits(terms, asked, rate_max=1 << 50)
    assert not fits(terms, asked, rate_max=ROOM)
    assert told(sift(offers, terms, asked=asked, into=into, rate_max=ROOM))[3][DEMANDS] == [(9, 1), (9 * ROOM, 0)]


def test_what_is_compiled_beforehand_is_what_a_search_runs_on(monkeypatch):
    """A second form of the pass would be compiled while somebody waits."""
    monkeypatch.setattr(sifting, "SMALL", -1)
    sifting.be_compiled()
    compiled: Any = sifting._compiled
    before = set(compiled.signatures)
    book = {"kinds": [(9, 0, 1, ROOM)], "cells": [(0, 0)], "offers": [(0, 5, 4)]}
    offers, terms, asked, into = laid(book | {"quantity": 1, "sort": 0, "page": 5, "least": -ROOM, "place": 0})
    assert sift(offers, terms, asked=asked, into=into, rate_max=5).kept[DEMANDS] == 1
    assert set(compiled.signatures) == before
