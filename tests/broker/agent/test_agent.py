"""The agent from what is owed to what is counted, whenever it is killed, whoever is away."""

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.agent.cluster import Node
from broker.agent.deciding import NEVER_STARTED, NO_ROOM, Patience
from contracts.terms.errors import BadInput, Conflict, NotSignedIn
from tests.broker.agent.pretending import SECOND, TOKEN, Scene, a_delivery
from tests.broker.small_market import START

pytestmark = pytest.mark.anyio
QUICK = "/dev/shm" if Path("/dev/shm").is_dir() else None


async def kept(scene: Scene, seconds: int, *, every: int = 5) -> None:
    """The agent, turn after turn."""
    for _ in range(seconds // every):
        await scene.turn(every)


async def test_a_lease_is_prepared_opened_metered_and_completed(tmp_path: Path):
    """Twenty seconds before its start it is prepared; both minutes are delivered whole: 4 × 60 each."""
    scene = Scene(tmp_path, a_delivery())
    await kept(scene, 95)
    assert scene.cluster.held == {}
    await scene.turn(5)
    assert list(scene.cluster.held) == [("lse_a", 4)]
    assert scene.broker.moves == [("lse_a", "provisioning")]
    await kept(scene, 25)
    assert scene.broker.moves[1:] == [("lse_a", "active")]
    assert scene.broker.endpoints == ["http://door/leases/lse_a"]
    await kept(scene, 120)
    assert scene.counted() == [(0, 60, 240, "delivered"), (60, 120, 240, "delivered")]
    assert scene.broker.moves[2:] == [("lse_a", "completed")]
    assert scene.cluster.held == {}


async def test_what_was_lost_in_between_is_not_billed(tmp_path: Path):
    """The machine dies after 30 s. Turn by turn what was lost is let go of, asked for again, and seen to be there at 45 s."""
    scene = Scene(tmp_path, a_delivery(slots=[(0, 60, 4)]))
    await kept(scene, 150)
    scene.cluster.lose()
    await kept(scene, 50)
    assert scene.counted() == [(0, 30, 120, "delivered"), (30, 45, 60, "provider_failed"), (45, 60, 60, "delivered")]


async def test_a_lease_without_room_is_given_up_so_that_it_goes_on_elsewhere(tmp_path: Path):
    scene = Scene(tmp_path, a_delivery(slots=[(0, 600, 4), (600, 1200, 4)]), patience=Patience(room_seconds=60))
    scene.cluster.full = True
    await kept(scene, 180)
    assert ("lse_a", "failed") not in scene.broker.moves
    await scene.turn(5)
    assert scene.broker.moves[-1] == ("lse_a", "failed")
    assert any(NO_ROOM in said for said in scene.said)
    await kept(scene, 600)
    assert scene.cluster.held == {}
    assert scene.counted() == [(0, 600, 2400, "provider_failed")], "the slot it began in; the next is not its any more"


async def test_an_agent_that_comes_back_to_an_empty_cluster_tries_before_it_gives_up(tmp_path: Path):
    """The cluster was begun anew while the agent was away for eight minutes: what is owed is held again within two turns."""
    scene = Scene(tmp_path, a_delivery(slots=[(0, 1200, 4)]))
    await kept(scene, 150)
    scene.cluster.held.clear()
    scene.clock.advance(480 * SECOND)
    scene.begin()
    await kept(scene, 10)
    assert ("lse_a", "failed") not in scene.broker.moves
    await kept(scene, 700)
    assert scene.counted() == [(0, 30, 120, "delivered"), (30, 520, 1960, "provider_failed"), (520, 1200, 2720, "delivered")]


async def test_an_agent_that_slept_through_a_lease_says_so(tmp_path: Path):
    scene = Scene(tmp_path, a_delivery())
    await scene.turn(500)
    await scene.turn(5)
    assert scene.counted() == [(0, 60, 240, "provider_failed"), (60, 120, 240, "provider_failed")]
    await scene.turn(5)
    assert scene.broker.moves[-1] == ("lse_a", "failed")
    assert any(NEVER_STARTED in said for said in scene.said)


async def test_other_quantities_in_other_slots_are_other_holds(tmp_path: Path):
    """Four, then eight, then a pause, then four: each is there for its slot, and what is prepared early costs nothing."""
    scene = Scene(tmp_path, a_delivery(slots=[(0, 60, 4), (60, 120, 8), (240, 300, 4)]))
    held = []
    for _ in range(90):
        await scene.turn(5)
        held.append(sorted(quantity for _, quantity in scene.cluster.held))
    assert [state for before, state in zip([None, *held], held, strict=False) if state != before] == [[], [4], [4, 8], [8], [], [4], []]
    assert scene.counted() == [(0, 60, 240, "delivered"), (60, 120, 480, "delivered"), (240, 300, 240, "delivered")]


async def test_a_released_lease_keeps_its_slot_and_a_failed_one_nothing(tmp_path: Path):
    scene = Scene(tmp_path, a_delivery("lse_a"), a_delivery("lse_b"))
    await kept(scene, 130)
    scene.broker.deliveries["lse_a"] = a_delivery("lse_a", state="released", slots=[(0, 60, 4)])
    scene.broker.deliveries["lse_b"] = a_delivery("lse_b", state="failed", slots=[(0, 60, 4)])
    await scene.turn(5)
    assert list(scene.cluster.held) == [("lse_a", 4)]
    await kept(scene, 60)
    assert scene.counted("lse_a") == [(0, 60, 240, "delivered")]
    assert scene.counted("lse_b") == [(0, 15, 60, "delivered"), (15, 60, 180, "provider_failed")]


async def test_the_cluster_is_announced_as_it_is_and_not_when_nobody_can_see_it(tmp_path: Path):
    scene = Scene(tmp_path)
    await scene.turn(5)
    assert scene.broker.offers() == {"ofr_x": (16, "live")}
    scene.cluster.alive = [Node(id="n1", accelerator="H100", quantity=8), Node(id="n3", accelerator="A100", quantity=8)]
    await scene.turn(5)
    assert scene.broker.offers() == {"ofr_x": (8, "live")}
    scene.cluster.away = True
    await kept(scene, 90)
    assert scene.broker.offers() == {"ofr_x": (8, "stale")}
    scene.cluster.away = False
    await scene.turn(5)
    assert scene.broker.offers() == {"ofr_x": (8, "live")}
    scene.cluster.alive = []
    await scene.turn(5)
    assert scene.broker.offers() == {}
    scene.begin()
    scene.cluster.alive = [Node(id="n1", accelerator="H100", quantity=8)]
    await scene.turn(5)
    assert scene.broker.offers() == {"ofr_x": (8, "live")}


async def test_only_the_token_of_a_slot_under_way_is_let_in(tmp_path: Path):
    scene = Scene(tmp_path, a_delivery(slots=[(0, 60, 4), (120, 180, 4)]))
    with pytest.raises(NotSignedIn):
        scene.agent.admit("lse_a", TOKEN)
    await kept(scene, 130)
    delivery, slot = scene.agent.admit("lse_a", TOKEN)
    assert (delivery.lease_id, slot.quantity) == ("lse_a", 4)
    for lease_id, token in (("lse_a", "gfa_guessed"), ("lse_b", TOKEN), ("lse_a", "")):
        with pytest.raises(NotSignedIn):
            scene.agent.admit(lease_id, token)
    await kept(scene, 60)
    with pytest.raises(Conflict, match="pauses until"):
        scene.agent.admit("lse_a", TOKEN)
    scene.broker.deliveries.pop("lse_a")
    await scene.turn(60)
    with pytest.raises(NotSignedIn):
        scene.agent.admit("lse_a", TOKEN)


async def test_while_the_broker_is_away_leases_begin_and_end_as_they_were_told(tmp_path: Path):
    scene = Scene(tmp_path, a_delivery())
    await kept(scene, 60)
    scene.broker.away = True
    await kept(scene, 200)
    assert scene.counted() == []
    scene.broker.away = False
    await scene.turn(5)
    assert scene.counted() == [(0, 60, 240, "delivered"), (60, 120, 240, "delivered")]


async def test_a_report_that_came_too_early_comes_again(tmp_path: Path):
    """The broker that judges is a minute behind the one that told the time."""
    scene = Scene(tmp_path, a_delivery(slots=[(0, 60, 4)]))
    scene.broker.slow = timedelta(seconds=60)
    await kept(scene, 200)
    assert scene.counted() == []
    scene.begin()
    await kept(scene, 60)
    assert scene.counted() == [(0, 60, 240, "delivered")]


async def test_what_the_broker_will_not_count_is_said_once_and_not_repeated(tmp_path: Path):
    scene = Scene(tmp_path, a_delivery(slots=[(0, 60, 4)]))
    scene.broker.refuses = True
    await kept(scene, 300)
    assert scene.broker.batches == 1
    assert len([said for said in scene.said if said.endswith("is not counted: too much")]) == 1


async def test_an_agent_without_memory_lets_go_of_nothing_before_it_was_told_what_is_owed(tmp_path: Path):
    scene = Scene(tmp_path, a_delivery())
    await kept(scene, 130)
    scene.broker.away = True
    scene.begin(forgetful=True)
    await kept(scene, 20)
    assert list(scene.cluster.held) == [("lse_a", 4)]
    scene.broker.away = False
    await kept(scene, 120)
    assert scene.counted() == [(0, 60, 240, "delivered"), (60, 120, 240, "delivered")]


async def test_a_memory_that_cannot_be_read_is_said_before_anything_is_done(tmp_path: Path):
    (tmp_path / "agent.json").write_text("{")
    with pytest.raises(BadInput, match="memory cannot be read"):
        Scene(tmp_path)


# What may happen between two turns, or in one: seconds pass, and something goes wrong.
TROUBLE = st.sampled_from(["none", "none", "killed", "restarted", "forgot", "away", "deaf", "lost"])
TURN = st.tuples(st.integers(1, 20), TROUBLE, st.integers(1, 6))


@given(st.lists(TURN, min_size=8, max_size=40))
@settings(max_examples=60)
def test_every_second_is_told_once_and_none_that_did_not_run_is_billed(turns: list[tuple[int, str, int]]):
    """Whatever is killed, away, deaf or lost, whenever: the lease's 3 × 40 seconds of four and then six are told, each once."""
    with tempfile.TemporaryDirectory(dir=QUICK) as folder:
        scene = Scene(Path(folder), a_delivery(slots=[(0, 40, 4), (40, 80, 4), (80, 120, 6)]))
        asyncio.run(_played(scene, turns))
    told = scene.counted()
    assert [row[:2] for row in told] == [(a, b) for a, b in zip([0, *(r[1] for r in told)], [r[1] for r in told], strict=False)], told
    assert told[-1][1] == 120
    assert scene.broker.contradictions == 0
    for first, end, seconds, status in told:
        quantity = 4 if end <= 80 else 6
        assert seconds == quantity * (end - first)
        if status == "delivered":
            assert _ran(scene, quantity) >= set(range(first, end)), "it ran"
    if turns[0][1] == "none" and not any(trouble == "lost" for _, trouble, _ in turns):
        assert all(row[3] == "delivered" for row in told if row[1] <= 80), "what was ready in time is delivered, whoever sleeps"


async def _played(scene: Scene, turns: list[tuple[int, str, int]]) -> None:
    await kept(scene, 100)
    for seconds, trouble, number in turns:
        scene.broker.away, scene.broker.deaf = trouble == "away", trouble == "deaf"
        match trouble:
            case "killed":
                scene.broker.kill_at = number
            case "restarted":
                scene.begin()
            case "forgot":
                if not scene.owes():
                    scene.begin(forgetful=True)
            case "lost":
                scene.cluster.lose()
            case _:
                pass
        await scene.turn(seconds)
    scene.broker.away = scene.broker.deaf = False
    scene.broker.kill_at = -1
    await kept(scene, 200)


def _ran(scene: Scene, quantity: int) -> set[int]:
    """Seconds after the start in which the lease was really held at a quantity."""
    spans = [(start, end) for key, start, end in scene.cluster.ran if key == ("lse_a", quantity)]
    return {second for start, end in spans for second in range((start - START) // SECOND, (end - START) // SECOND)}


def test_ahead_is_the_brokers_clock(tmp_path: Path):
    """An agent whose clock is an hour slow begins leases by the broker's."""
    scene = Scene(tmp_path, a_delivery())
    scene.agent._clock = type(scene.clock)(scene.clock.now() - timedelta(hours=1))
    asyncio.run(scene.turn(0))
    assert scene.agent.now == scene.clock.now()
