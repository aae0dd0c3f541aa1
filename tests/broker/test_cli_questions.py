"""`gridfare explain`, `what-if`, `rules`, `outage` and `monitor` as a person or a program runs them."""

import json
from functools import partial
from pathlib import Path

import pytest

from broker.files.market import write_market
from tests.broker.terminal import run
from tests.builders import a_bid, an_offer, book

MILLION = 1_000_000


@pytest.fixture
def gridfare(capsys: pytest.CaptureFixture[str]):
    """Run the program in this process."""
    return partial(run, capsys)


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """Eight at 2.00 in the north, eight at 1.00 in Sweden; b1 has four at home, b2 keeps to the cheaper, b3 finds nothing."""
    offers = [
        an_offer("o1", quantity=8, rate_micros=2 * MILLION),
        an_offer("o2", provider="other", quantity=8, rate_micros=MILLION, site="south", country="SE"),
    ]
    bids = [
        a_bid("b1", width=4, limit_spot_micros=3 * MILLION, countries=["FR"]),
        a_bid("b2", width=2, limit_spot_micros=3 * MILLION),
        a_bid("b3", limit_spot_micros=MILLION // 2),
    ]
    write_market(tmp_path / "market", book(offers=offers, bids=bids))
    return tmp_path / "market"


@pytest.fixture
def result(gridfare, market: Path, tmp_path: Path) -> Path:
    """The market's result, as `clear` wrote it."""
    assert gridfare("clear", market, "--out", tmp_path / "out").code == 0
    return tmp_path / "out"


def test_a_price_is_explained_from_a_result_or_on_the_spot(gridfare, market: Path, result: Path):
    done = gridfare("explain", market, result, "--price", "o1:0:spot")
    assert done.code == 0
    assert done.out.startswith("GPU at north (pool o1) in slot 0, spot: 2.000000 USD an accelerator-hour. The marginal offer is o1")
    assert gridfare("explain", market, "--price", "o1:0:spot").out == done.out
    said = json.loads(gridfare("explain", market, result, "--price", "o1:0:spot", "--json").out)
    assert (said["rate_micros"], said["ceiling"]["kind"], said["marginal"]["sold"]) == (2 * MILLION, "left", 4)


def test_a_bid_is_explained(gridfare, market: Path, result: Path):
    assert gridfare("explain", market, result, "--bid", "b3").out.startswith("Bid b3 found nothing. Of 2 offers it may see")
    said = json.loads(gridfare("explain", market, result, "--bid", "b3", "--json").out)
    assert said["removals"] == [{"clause": "worth", "offers": 2}]
    assert said["needs"][0]["limit_micros"] == MILLION


def test_one_bid_otherwise(gridfare, market: Path, result: Path):
    """In any country b1's four hours cost 1.00 in place of 2.00."""
    done = gridfare("what-if", market, "b1", result, "--anywhere")
    assert (done.code, done.out.splitlines()[0]) == (
        0,
        "in any country: -50 %, 2.0000 to 1.0000 USD all-in per reference hour, 4 hours in place of 4.",
    )
    usual = json.loads(gridfare("what-if", market, "b1", "--json").out)
    assert [way["words"] for way in usual["otherwise"]] == [
        "guaranteed only", "standard only", "in any country", "0.10 a kilogram to avoid carbon",
    ]  # fmt: skip
    assert gridfare("what-if", market, "b1", result, "--country", "SE", "--tier", "spot").out.startswith("spot only, in SE: -50 %")


def test_what_each_clause_costs(gridfare, market: Path, result: Path):
    done = gridfare("rules", market, result)
    assert done.code == 0
    assert "countries (the site stands in named countries) costs one bid 4.00 USD (1.0000 an hour) and the market 4.00" in done.out
    (cost,) = json.loads(gridfare("rules", market, result, "--bid", "b1", "--json").out)["rules"]
    assert (cost["clause"], cost["market_micros"]) == ("countries", 4 * MILLION)
    assert gridfare("rules", market, result, "--bid", "b2").out == "No clause of these kinds is in use.\n"


def test_a_site_is_lost(gridfare, market: Path, result: Path):
    """b2's two hours in the south are not to be had at 1.00 in the north; b1's four not in Sweden."""
    done = gridfare("outage", "south", market, result)
    assert done.code == 0
    assert "south is lost from slot 0 on: 1 holder loses 2 accelerator-hours, 0 of them are found elsewhere at the old rate." in done.out
    assert "Nothing is found for b2." in done.out
    assert gridfare("outage", "south", market, result, "--strict").code == 4
    said = json.loads(gridfare("outage", "north", market, "--json").out)
    assert (said["site"], said["credit_base_micros"], said["losers"][0]["holder"]) == ("north", 8 * MILLION, "b1")


def test_the_market_is_watched(gridfare, market: Path, result: Path):
    done = gridfare("monitor", market, result, "--providers", "1")
    assert done.code == 0
    assert "prv is pivotal: without it 4 hours (67 %) go unserved" in done.out
    assert "the market cleared without 1 of 2" in done.out
    assert "Looked for: an index above 1,800; more than 1% of the hours unserved" in done.out
    assert gridfare("monitor", market, result, "--strict").code == 4
    said = json.loads(gridfare("monitor", market, result, "--json").out)
    assert said["thresholds"]["conduct"] == 1.5
    assert {look["provider"]: look["lost_hours"] for look in said["providers"]} == {"prv": 4.0, "other": 0.0}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("explain", "M"), "explain needs one thing to explain; --price POOL:SLOT:TIER or --bid BID_ID would do"),
        (("explain", "M", "--price", "o1"), "--price is not of its form; found 'o1'; POOL:SLOT:TIER, e.g. o1:0:spot would do"),
        (("explain", "M", "--price", "o9:0:spot"), "no offer, and so no pool, is called o9"),
        (("explain", "M", "--price", "o1:7:spot"), "there is no slot 7; 0 to 0 are there"),
        (("explain", "M", "--bid", "b9"), "no bid of the book has the id b9"),
        (("what-if", "M", "b9"), "no bid of the book has the id b9"),
        (("what-if", "M", "b1", "--tier", "gold"), "--tier names no tier; found 'gold'; guaranteed, standard, spot would do"),
        (("what-if", "M", "b1", "--later", "3"), "moved so far, the bid's window leaves the market's slots; found 3"),
        (("what-if", "M", "b1", "--anywhere", "--country", "SE"), "--anywhere and --country cannot both be"),
        (("rules", "M", "--bid", "b9"), "no bid of the book has the id b9"),
        (("outage", "west", "M"), "no offer of the book stands at west"),
        (("monitor", "nowhere"), "there is no such directory"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(gridfare, market: Path, arguments: tuple[str, ...], sentence: str):
    ended = gridfare(*(market if argument == "M" else argument for argument in arguments))
    assert ended.code == 2
    assert ended.err.startswith("Refused: ")
    assert sentence in ended.err


def test_a_result_of_another_market_is_refused(gridfare, market: Path, result: Path):
    bids = market / "bids.csv"
    bids.write_text(bids.read_text().replace(",buyer,FR", ",other,FR"))
    ended = gridfare("rules", market, result)
    assert (ended.code, "the result is not of this market: its bids are others" in ended.err) == (2, True)


@pytest.mark.parametrize("command", ["explain", "what-if", "rules", "outage", "monitor"])
def test_help_has_an_example(gridfare, command: str):
    ended = gridfare(command, "--help")
    assert ended.code == 0
    assert f"Example: gridfare {command} " in " ".join(ended.out.split())
