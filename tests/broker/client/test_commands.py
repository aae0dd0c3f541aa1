"""What a buyer does at a terminal, against a broker that answers over HTTP in front of a real PostgreSQL."""

import json
import stat
from pathlib import Path

import pytest

from broker.commands.lease import ENDED_EARLY
from broker.store.repositories.leases import LeaseRepository
from broker.store.unit_of_work import unit_of_work
from tests.broker.client.conftest import KEY, OTHER_KEY, Program, Served
from tests.broker.small_market import GATE, START, cycle_of, pass_time

pytestmark = pytest.mark.anyio
QUOTE = ("quote", "hardware=H100-SXM", "accelerators=8", "hours=2", "start=2027-01-04T00:00Z")
BID = ("bid", "hardware=H100-SXM", "width=8", "hours=16", "limit_spot=3.00")
WINDOW = ("window_start=2027-01-04T00:00Z", "window_end=2027-01-04T04:00Z")


async def test_a_quote_is_shown_with_its_worst_case_taken_and_held(gridfare: Program, served: Served):
    """8 for 2 hours at 1.00 and 2 % more."""
    shown = await gridfare(*QUOTE)
    assert shown.code == 0, shown.err
    assert "8 H100-SXM (spot) at 1.0200 USD per accelerator-hour" in shown.out
    assert "Held for 5 minutes" in shown.out
    quote_id = shown.out.partition("--take ")[2].strip()
    (kept,) = json.loads((await gridfare("quote", "--list", "--json")).out)
    assert (kept["quote_id"], kept["worst_case_micros"]) == (quote_id, 16_320_000)
    taken = await gridfare("quote", "--take", quote_id, "--yes")
    assert (taken.code, "Yours: lse_" in taken.out) == (0, True), taken.err
    again = await gridfare("quote", "--take", quote_id, "--yes")
    assert (again.code, "only an open quote can be taken" in again.err) == (2, True)


async def test_a_quote_taken_at_once_answers_with_the_lease(gridfare: Program):
    taken = await gridfare(*QUOTE, "--accept", "--yes", "--json")
    lease = json.loads(taken.out)
    assert (lease["state"], lease["hardware"], [slot["quantity"] for slot in lease["slots"]]) == ("awarded", "H100-SXM", [8, 8])
    listed = await gridfare("lease", "list")
    assert lease["lease_id"] in listed.out
    shown = await gridfare("lease", "show", lease["lease_id"])
    assert "At these rates 16.32 in all" in shown.out
    released = await gridfare("lease", "release", lease["lease_id"], "--yes", "--json")
    assert json.loads(released.out)["state"] == "released"


async def test_nothing_is_bought_where_nobody_can_be_asked(gridfare: Program):
    """The quote is held, the lease is not begun, and the sentence says what would do."""
    refused = await gridfare(*QUOTE, "--accept")
    assert (refused.code, "--yes would do" in refused.err) == (2, True)
    assert json.loads((await gridfare("lease", "list", "--json")).out) == []
    left = await gridfare("quote", "--leave", json.loads((await gridfare("quote", "--list", "--json")).out)[0]["quote_id"])
    assert (left.code, left.out.startswith("Left: quo_")) == (0, True)


async def test_a_bid_is_entered_and_explained(gridfare: Program, served: Served):
    """Before the first gate nothing has a price, and no gate a window could begin at."""
    lost = await gridfare(*BID, "--yes")
    assert (lost.code, "window_start=" in lost.err) == (2, True)
    entered = await gridfare(*BID, *WINDOW, "--yes")
    assert entered.code == 0, entered.err
    assert "no price is known" in entered.out
    assert "8 at once, 16 accelerator-hours: at most 48.00 USD, fee included" in entered.out
    (bid,) = json.loads((await gridfare("bid", "--list", "--json")).out)
    pass_time(served.market, GATE - served.market.clock.now())
    await cycle_of(served.market).run(GATE)
    told = await gridfare("bid", "--explain", bid["bid_id"])
    assert (told.code, "at cycle 1:" in told.out) == (0, True), told.err
    assert bid["bid_id"] in (await gridfare("bid", "--list")).out


async def test_what_is_bought_is_for_the_project_that_is_named(gridfare: Program):
    """There is only the default one here; another's name is answered with what there is."""
    named = await gridfare(*BID, *WINDOW, "--yes", "--json", "--project", "Default")
    assert json.loads(named.out)["project_id"] == "default"
    for wish in (BID, QUOTE):
        unknown = await gridfare(*wish, *(WINDOW if wish is BID else ()), "--yes", "--project", "night")
        assert (unknown.code, "there are: Default" in unknown.err) == (2, True), unknown.err


async def test_a_bid_is_shown_beside_the_last_price(gridfare: Program, served: Served):
    """Its window begins with the first slot after the next gate, at 00:45; an hour that does half an hour's work costs twice as much."""
    await gridfare(*BID, *WINDOW, "--yes")
    pass_time(served.market, GATE - served.market.clock.now())
    await cycle_of(served.market).run(GATE)
    beside = await gridfare("bid", "hardware=H100-SXM:0.5", "width=1", "hours=1", "limit_spot=3", "--within", "2", "--yes")
    (row,) = [line.split() for line in beside.out.splitlines() if line.split()[:2] == ["H100-SXM", "spot"]]
    assert row[2:] == ["2.0000", "3.0000", "within", "your", "limit"]
    windows = {
        bid["request"]["window_start"]: bid["request"]["window_end"] for bid in json.loads((await gridfare("bid", "--list", "--json")).out)
    }
    assert windows["2027-01-04T01:00:00Z"] == "2027-01-04T03:00:00Z"


async def test_a_bid_from_a_file_is_overruled_by_the_line(gridfare: Program, tmp_path: Path):
    file = tmp_path / "bid.json"
    wish = {"width": 8, "hours": 16.0, "hardware": {"H100-SXM": 1.0}, "limit_spot_micros": 3_000_000}
    file.write_text(json.dumps(wish))
    entered = json.loads((await gridfare("bid", "--file", file, *WINDOW, "limit_spot=1.50", "--yes", "--json")).out)
    assert (entered["request"]["limit_spot_micros"], entered["hold_micros"]) == (1_500_000, 24_000_000)
    withdrawn = await gridfare("bid", "--withdraw", entered["bid_id"], "--json")
    assert json.loads(withdrawn.out)["status"] == "withdrawn"
    file.write_text("[]")
    assert (await gridfare("bid", "--file", file, *WINDOW, "--yes")).code == 2


async def test_a_lease_is_watched_until_it_has_ended(gridfare: Program, served: Served):
    """Delivered to its end: 0. Ended by its provider: 5, after a few looks more."""
    first, second = [json.loads((await gridfare(*QUOTE, "--accept", "--yes", "--json")).out)["lease_id"] for _ in range(2)]
    looked = await gridfare("lease", "watch", first, "--looks", "1")
    assert (looked.code, "0.00 of 16.00 accelerator-hours delivered" in looked.out) == (0, True)
    async with unit_of_work(served.market.sessions) as work:
        leases = LeaseRepository(work)
        for state in ("provisioning", "active", "completed"):
            await leases.move(first, state, at=START, reason="told")
        await leases.move(second, "failed", at=START, reason="a fire", closed_by="provider")
    done = await gridfare("lease", "watch", first, "--every", "0.05", "--json")
    assert (done.code, [json.loads(line)["state"] for line in done.out.splitlines()]) == (0, ["completed"])
    lost = await gridfare("lease", "watch", second, "--every", "0.05")
    assert (lost.code, "failed" in lost.out) == (ENDED_EARLY, True)


async def test_a_lease_is_made_longer_by_a_quote(gridfare: Program, served: Served):
    lease = json.loads((await gridfare(*QUOTE, "--accept", "--yes", "--json")).out)
    offered = await gridfare("lease", "extend", lease["lease_id"], "1")
    assert "Take it: gridfare quote --take quo_" in offered.out
    quote_id = offered.out.partition("--take ")[2].strip()
    longer = json.loads((await gridfare("quote", "--take", quote_id, "--yes", "--json")).out)
    assert (longer["lease_id"], len(longer["slots"])) == (lease["lease_id"], 3)


async def test_a_lease_is_offered_on_and_taken_back(gridfare: Program):
    lease = json.loads((await gridfare(*QUOTE, "--accept", "--yes", "--json")).out)["lease_id"]
    assert (await gridfare("lease", "resell", lease, "rate=2.50")).code == 2, "nobody is there to be asked"
    offered = json.loads((await gridfare("lease", "resell", lease, "rate=2.50", "accelerators=4", "--yes", "--json")).out)
    assert [each["state"] for each in offered["resales"]] == ["open"]
    back = await gridfare("lease", "resell", lease, "--withdraw")
    assert (back.code, "Taken back" in back.out) == (0, True)
    assert (await gridfare("lease", "resell", lease)).code == 2


async def test_usage_adds_up_what_leases_hold(gridfare: Program):
    """Two leases of 16 accelerator-hours, at 1.02 and at 2.04: 16.32 and 32.64."""
    for _ in range(2):
        await gridfare(*QUOTE, "--accept", "--yes")
    told = await gridfare("usage")
    assert "together" in told.out
    assert told.out.split("together")[1].split() == ["32.00", "0.00", "0.00", "48.96"]
    records = json.loads((await gridfare("usage", "--json")).out)
    assert sorted(record["cost_micros"] for record in records) == [16_320_000, 32_640_000]


async def test_statements_before_the_first_close(gridfare: Program):
    told = await gridfare("statements")
    assert (told.code, "the first comes when a month is closed" in told.out) == (0, True)
    assert json.loads((await gridfare("statements", "--json")).out) == []
    assert (await gridfare("statements", "--pdf", "x.pdf")).code == 2
    assert (await gridfare("statements", "7")).code == 2


async def test_signing_in_keeps_the_key_where_nobody_else_reads_it(gridfare: Program, served: Served, tmp_path: Path, monkeypatch):
    monkeypatch.delenv("GRIDFARE_URL")
    monkeypatch.delenv("GRIDFARE_KEY")
    file = tmp_path / "config" / "gridfare" / "brokers.json"
    wrong = await gridfare("login", served.url, "--key", "gf_nobody")
    assert (wrong.code, file.exists(), "gf_nobody" in wrong.err) == (2, False, False)
    assert (await gridfare("login", served.url, "--key", KEY, "--profile", "first")).code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (await gridfare(*QUOTE)).code == 0
    assert (await gridfare("login", served.url, "--key", OTHER_KEY, "--profile", "second")).code == 0
    assert json.loads((await gridfare("quote", "--list", "--json")).out) == [], "the other buyer's"
    assert len(json.loads((await gridfare("quote", "--list", "--json", "--profile", "first")).out)) == 1
    listed = await gridfare("login", "--list")
    assert ("first" in listed.out, KEY in listed.out, OTHER_KEY in listed.out) == (True, False, False)
    file.chmod(0o644)
    open_to_all = await gridfare("quote", "--list")
    assert (open_to_all.code, f"chmod 600 {file}" in open_to_all.err) == (2, True)
    file.chmod(0o600)
    assert (await gridfare("login", "--forget", "--profile", "second")).code == 0
    assert (await gridfare("quote", "--list", "--profile", "second")).code == 2


async def test_a_search_asks_the_same_broker(gridfare: Program):
    found = json.loads((await gridfare("search", "hardware=H100-SXM", "quantity=8", "rate_max=1.50", "--json")).out)
    assert (found["found"] + found["left_out"], found["currency"]) == (found["considered"], "USD")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("quote",), "one thing at a time"),
        (("quote", "hardware=H100-SXM", "--list"), "one thing at a time"),
        (("quote", "accelerators=8", "hours=2"), "name an offer, or at least one hardware class"),
        (("quote", "hardware=H100-SXM", "accelerators=eight", "hours=2"), "accelerators: "),
        (("quote", "hardware=H100-SXM", "accelerators=8", "hours=2", "tier=gold"), "tier: "),
        (("quote", "hardware=H100-SXM", "accelerators=8", "hours=2", "start=2027-01-04"), "says its zone"),
        (("quote", "hardware=H100-SXM", "accelerators=8", "hours=1.5", "start=2027-01-04T00:00Z"), "a multiple of 1 would do"),
        (("quote", "hardware=H100-SXM", "accelerators=900", "hours=1", "start=2027-01-04T00:00Z"), "ask for fewer"),
        (("bid", "hardware=H100-SXM", "width=8", "hours=1", "limit_spot=cheap", *WINDOW), "an amount in currency units"),
        (("bid", "hardware=H100-SXM", "width=8", "hours=1", "limit_spot=0.0000001", *WINDOW), "an amount in currency units"),
        (("bid", "hardware=H100-SXM", "width=8", "hours=1", *WINDOW), "name a limit for at least one tier"),
        (("bid", "hardware=H100-SXM", "width=8", "hours=1", "colour=red", *WINDOW), "nobody knows the demand colour"),
        (("lease", "show", "lse_nobody"), "lse_nobody"),
        (("search", "--url", "http://127.0.0.1:9"), "no broker answers at http://127.0.0.1:9"),
        (("quote", "--list", "--url", "http://127.0.0.1:8000", "--profile", "x"), "named once"),
    ],
)
async def test_a_refusal_is_one_sentence_that_says_what_would_do(gridfare: Program, words, why):
    refused = await gridfare(*words)
    assert (refused.code, refused.out) == (2, ""), refused
    assert why in refused.err
    assert refused.err.startswith("Refused: ")
    assert "Traceback" not in refused.err
    assert len(refused.err.strip().splitlines()) == 1
