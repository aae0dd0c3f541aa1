"""The kit in the broker's place: a provider's client is examined by what it says by itself."""

import http.client
import threading
from contextlib import closing
from datetime import timedelta

import msgspec
import pytest

from broker.clock import SimulatedClock
from broker.feeds.protocol.examiner import Examiner
from broker.feeds.protocol.listening import Ear, listening
from broker.feeds.protocol.sides import OurProvider
from broker.feeds.protocol.stage import KEY, OTHER_KEY, START, an_offer, our_provider
from contracts.feed.wire import public_key_of
from tests.broker.feeds.planted import FAULTY_PROVIDERS


def examined(provider: OurProvider, *, ttl_seconds: int = 60, key=KEY):
    """A client that speaks once a second, reconnects when nobody answers, and has two offers."""
    examiner = Examiner(public_key_of(key), now=START)
    provider.start(START)
    provider.say(an_offer("a", ttl_seconds=ttl_seconds), START)
    provider.say(an_offer("b"), START)
    wires = provider.start(START)
    for second in range(900):
        now = START + timedelta(seconds=second)
        for _ in range(8):
            if not wires:
                break
            replies = examiner.take(wires, now)
            heard = [] if replies is None else replies
            wires = provider.reconnect(now) if replies is None else [wire for reply in heard for wire in provider.hear(reply, now)]
        examiner.wait(now)
        if examiner.stage == "done":
            break
        wires = provider.wait(now + timedelta(seconds=1))
    assert examiner.stage == "done", examiner.stage
    return {mark.name: mark for mark in examiner.card()}


def test_our_client_keeps_every_clause():
    assert {mark.name: mark.verdict for mark in examined(our_provider()).values() if mark.verdict != "kept"} == {}


def test_what_was_not_to_be_seen_is_not_called_kept():
    """No offer's life ends while it is listened to."""
    marks = examined(our_provider(), ttl_seconds=80_000)
    assert {name for name, mark in marks.items() if mark.verdict == "untried"} == {"it_renews"}


@pytest.mark.parametrize(("faulty", "clause"), FAULTY_PROVIDERS.items(), ids=lambda item: getattr(item, "__name__", item))
def test_a_faulty_client_is_found(faulty, clause: str):
    marks = examined(faulty())
    # What is numbered anew, or left out of a table, is found among the numbers.
    among_numbers = clause in {"it_repeats_word_for_word", "it_greets_with_its_table"}
    assert marks["its_numbers_rise" if among_numbers else clause].found


def test_a_stranger_is_found():
    assert examined(our_provider(), key=OTHER_KEY)["it_greets_with_its_table"].found == "refused: unknown_key"


def test_a_client_is_examined_at_an_address():
    """Over a socket, the clock set forward by hand: what the client registers, sends and is refused."""
    clock = SimulatedClock(START)
    ear = Ear(None, clock=clock)
    server = listening(ear, host="127.0.0.1", port=0)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def post(path: str, body: bytes, form: str = "application/json") -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as line:
            line.request("POST", path, body=body, headers={"Content-Type": form})
            answer = line.getresponse()
            return answer.status, answer.read()

    provider = our_provider()
    wires = provider.start(START)
    assert post("/v1/feed", b"[" + b",".join(wires) + b"]")[0] == 404
    assert post("/v1/feed/key", b'{"public_key":"short"}')[0] == 400
    assert post("/v1/feed/key", msgspec.json.encode({"public_key": public_key_of(KEY)}))[0] == 201
    assert post("/v1/feed", b"[", "application/json")[0] == 400
    assert post("/v1/feed", b"\x90", "application/msgpack")[0] == 415
    while not ear.is_done():
        status, body = post("/v1/feed", b"[" + b",".join(wires) + b"]")
        replies = msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]])["replies"] if status == 200 else []
        wires = (
            provider.reconnect(clock.now()) if status == 503 else [w for reply in replies for w in provider.hear(bytes(reply), clock.now())]
        )
        if not wires:
            wires = provider.wait(clock.advance(timedelta(seconds=5)))
    server.shutdown()
    server.server_close()
    assert {mark.name for mark in ear.examiner.card() if mark.verdict != "kept"} <= {"it_renews"}
