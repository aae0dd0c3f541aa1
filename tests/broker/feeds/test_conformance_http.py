"""The kit at a broker's address: the real API on a socket, and what it finds there."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from broker.demo.fed_grid import feed_address
from broker.feeds.protocol.broker_clauses import BROKER_CLAUSES
from broker.feeds.protocol.card import Mark
from broker.feeds.protocol.over_http import UNSEEN, HttpBroker, asking, http_card, seconds_of
from broker.feeds.protocol.stage import KEY, PROVIDER
from broker.store.unit_of_work import Sessions
from contracts.feed.wire import public_key_of
from contracts.terms.errors import BadInput
from tests.broker.feeds.http_sides import API_KEY, fed_market
from tests.broker.small_market import pass_time

pytestmark = pytest.mark.anyio
EVER = 10.0**6


async def test_our_broker_keeps_every_clause_that_can_be_tried_from_outside(sessions: Sessions):
    """A real server, a real store; a request takes ten milliseconds, and half an hour of damping takes no time."""
    market = await fed_market(sessions, provider=PROVIDER, public_key=public_key_of(KEY))
    async with feed_address(market) as address:
        real = asking(address, API_KEY)

        def slow(path: str, body: bytes | None) -> tuple[int, bytes]:
            pass_time(market, timedelta(milliseconds=10))
            return real(path, body)

        broker = HttpBroker(slow, key=KEY, clock=market.clock, sleep=lambda step: pass_time(market, step))
        told: list[Mark] = []
        card = await asyncio.to_thread(http_card, broker, patience=EVER, told=told.append)
        assert [(mark.name, mark.found) for mark in card if mark.found] == []
        assert {mark.name for mark in card if mark.untried} == set(UNSEEN)
        assert {mark.name for mark in card} == {clause.__name__ for clause in BROKER_CLAUSES}
        assert list(card) == told


async def test_a_fault_on_the_way_is_found(sessions: Sessions):
    """A broker that says every offer is live, and one that answers nothing."""
    market = await fed_market(sessions, provider=PROVIDER, public_key=public_key_of(KEY))
    async with feed_address(market) as address:
        real = asking(address, API_KEY)

        def rosy(path: str, body: bytes | None) -> tuple[int, bytes]:
            status, answer = real(path, body)
            return status, answer.replace(b'"state":"stale"', b'"state":"live"').replace(b'"state":"paused"', b'"state":"live"')

        broker = HttpBroker(rosy, key=KEY, clock=market.clock, sleep=lambda step: pass_time(market, step))
        card = await asyncio.to_thread(http_card, broker, patience=100, told=lambda mark: None)
        broken = {mark.name for mark in card if mark.found}
        assert {"silence_makes_stale_then_withdrawn", "held_back_is_not_booked", "a_heartbeat_compares"} <= broken
        untried = {mark.name: mark.untried for mark in card if mark.untried}
        assert untried["flapping_is_damped"] == "it takes 3,000 s, more than the 100 s of --patience"


def test_how_long_a_clause_takes_is_what_it_takes_against_ours():
    found = {clause.__name__: seconds_of(clause) for clause in BROKER_CLAUSES}
    assert found["silence_makes_stale_then_withdrawn"] == 91
    assert found["taken_in_order"] == 0


def test_a_broker_that_does_not_know_the_key_says_so():
    def refuses(path: str, body: bytes | None) -> tuple[int, bytes]:
        return 403, msgspec.json.encode({"type": "/problems/not_permitted"})

    broker = HttpBroker(refuses, key=KEY, clock=None, sleep=lambda step: None)
    with pytest.raises(BadInput, match="not_permitted"):
        http_card(broker, patience=1, told=lambda mark: None)
    with pytest.raises(BadInput, match="over HTTP"):
        asking("ftp://somewhere", "key")
