"""The benchmark itself: it measures, stops, judges and keeps, and what it compares are the same books."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from broker.files.market import read_market
from pricing.certificate import certify
from pricing.clearing import clear
from pricing.problem import build, compile_book
from tests.benchmarks.__main__ import bench
from tests.benchmarks.keeping import keep, kept
from tests.benchmarks.linear import every_arc, load, programme, save
from tests.benchmarks.measuring import Program, median, race, run
from tests.benchmarks.registry import REGISTRY, Bench, Finding, at_least, at_most

LOOP = "import json, resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\nwhile True: pass"


def program(code: str, **fields: object) -> Program:
    return Program(arguments=("-c", code), **fields)


@pytest.fixture(scope="module")
def market(tmp_path_factory) -> Path:
    return Bench(tmp_path_factory.mktemp("bench"), runs=1).world("plain-100")


def test_a_program_is_timed_whole_unless_it_times_a_part():
    whole = run(program("sum(range(3_000_000))"))
    assert 0 < whole.cpu_seconds == whole.whole
    assert whole.peak_mb > 1
    part = run(program("print('chatter')\nprint('{\"cpu_seconds\": 0.5, \"welfare\": 3}')"))
    assert (part.cpu_seconds, part.told) == (0.5, {"welfare": 3})


def test_a_program_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="no such book"):
        run(program("raise SystemExit('no such book')"))


def test_a_program_is_stopped_at_its_limit_and_that_is_its_time():
    code = "from tests.benchmarks.spent import stop_after\nstop_after(0.5)\nwhile True: pass"
    raced = race({"endless": program(code, stop_after=0.5)}, runs=3)["endless"]
    assert (raced.stopped, raced.cpu_seconds, raced.runs) == (True, 0.5, 1)


def test_a_program_killed_before_its_limit_is_no_measurement():
    with pytest.raises(RuntimeError, match="-9"):
        run(program("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", stop_after=60.0))


def test_the_median_is_taken_figure_by_figure():
    runs = [run(program(f'print(\'{{"cpu_seconds": {seconds}, "gap": {gap}}}\')')) for seconds, gap in ((1, 9), (3, 7), (2, 8))]
    middle = median(runs)
    assert (middle.cpu_seconds, middle.spread, middle.told) == (2, (1, 3), {"gap": 8})


def test_targets_are_limits_from_one_side():
    assert [at_most(1.1).met(figure) for figure in (1.0, 1.1, 1.2)] == [True, True, False]
    assert [at_least(20).met(figure) for figure in (19, 20, 21)] == [False, True, True]


def test_every_target_has_a_name_that_says_what_and_every_entry_a_sentence():
    assert all(entry.what and entry.minutes > 0 for entry in REGISTRY.values())


def test_what_is_kept_can_be_read_as_a_page(tmp_path):
    entry = REGISTRY["convex"]
    name = next(iter(entry.targets))
    about = {"processor": "P", "cores": 2, "memory_gb": 8.0, "load": 0.1, "python": "3"}
    for day, figure in (("2027-01-01", 2.0), ("2027-01-02", 1.0)):
        finding = Finding(figures={name: figure, "untold": 5.0})
        keep({"convex": kept(entry, finding, commit="abc", runs=5, machine=about)}, date=day, folder=tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert f"| convex | {name} | ≤ 1.1 | 1 | met | 2027-01-02 |" in page
    assert "| convex | untold | stated | 5 |  | 2027-01-02 |" in page
    assert page.index("### 2027-01-02") < page.index("### 2027-01-01")


def test_arcs_written_out_are_the_arcs_of_the_problem(market):
    problem = build(read_market(market))
    arcs = every_arc(problem.network)
    ours = {
        (int(g), int(p), int(t), int(q), int(w))
        for g, p, t, q, w in zip(
            problem.arcs.group, problem.arcs.pool, problem.arcs.slot, problem.arcs.tier, problem.arcs.worth, strict=True
        )
    }
    network = problem.network
    theirs = zip(network.group[arcs.pair], network.pool[arcs.pair], arcs.slot, arcs.tier, arcs.worth, strict=True)
    assert {(int(g), int(p), int(t), int(q), int(w)) for g, p, t, q, w in theirs} == ours
    assert len(arcs.pair) == len(ours) > 1000


def test_a_programme_reads_back_as_itself(market, tmp_path):
    written = programme(compile_book(read_market(market)).network)
    save(written, tmp_path / "arrays.npz")
    read = load(tmp_path / "arrays.npz")
    assert np.array_equal(read.value, written.value)
    assert (read.matrix != written.matrix).nnz == 0


@pytest.mark.parametrize("rival", ["highs_bare", "glop"])
def test_solvers_given_the_arrays_find_our_welfare(market, tmp_path, rival):
    book = read_market(market)
    save(programme(compile_book(book).network), tmp_path / "arrays.npz")
    told = run(Program(arguments=("-m", f"tests.benchmarks.rivals.{rival}", str(tmp_path / "arrays.npz")))).told
    certificate = certify(book, clear(book), path="convex")
    assert told["welfare"] == pytest.approx(float(certificate.welfare_micros / book.rules.hours), rel=1e-9)


def test_nobody_greedy_beats_the_market(market):
    told = run(Program(arguments=("-m", "tests.benchmarks.rivals.greedy", str(market)))).told
    book = read_market(market)
    optimum = float(certify(book, clear(book), path="convex").welfare_micros / book.rules.hours)
    assert 0 < told["cheapest"] <= told["best"] <= optimum
    assert told["best"] > 0.8 * optimum


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "sizes"])
def test_an_entry_runs_in_the_quick_mode(name):
    app = typer.Typer()
    app.command()(bench)
    ended = CliRunner().invoke(app, [name, "--quick"])
    assert ended.exit_code == 0, ended.output
    assert name in ended.output
