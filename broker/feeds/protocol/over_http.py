"""A broker at its address, as the conformance kit meets it: a provider's key, and nothing but what `/v1/feed` answers.

What a clause asks of the table is read from the view of the feed. An offer is taken to be bookable where the view says live and names the
version; an offer the market finds implausible is live as far as the protocol goes. Time is real: a clause that lets half a minute pass
takes half a minute, and one that would take longer than the patience of whoever asks is not tried.
"""

import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.clock import Clock
from broker.feeds.protocol.broker_clauses import BROKER_CLAUSES
from broker.feeds.protocol.card import Clause, Mark, marked
from broker.feeds.protocol.sides import BrokerSide
from broker.feeds.protocol.stage import NAMES, START, Part, Sides, our_broker
from broker.services.feed_views import FeedKey, FeedView
from contracts.feed.messages import Nack
from contracts.feed.table import ShownOffer
from contracts.feed.wire import encode, public_key_of
from contracts.terms.errors import BadInput

SECONDS = 30
PAGE = 1_000
TRIES = 20
# A clause that had to wait for its quota would find the broker's clock ahead of its own: so none begins before what was said is paid for.
MESSAGES_PER_SECOND = 10
# What cannot be tried from outside, and why.
UNSEEN: Mapping[str, str] = {
    "keys_rotate": "it would leave your feed with another key",
    "the_unknown_is_kept": "the view of a feed does not show attributes",
    "a_reclaim_is_told": "a reclaim is told to the lease's holder, not to its provider",
    "others_speak_apart": "it needs a third party whose key the broker knows",
    "only_so_many_offers": "the limit is the broker's, and it does not say",
    "a_life_is_the_brokers": "it takes as long as the broker's longest life, a day with ours",
}
FLOOD = "a_flood_is_held_off"
Request = Callable[[str, bytes | None], tuple[int, bytes]]


class Replies(msgspec.Struct):
    """The answer to a batch, each reply still encoded."""

    replies: list[msgspec.Raw]


class HttpBroker:
    """One feed at one address, for all clauses: each begins an epoch, with offers of its own names."""

    def __init__(self, request: Request, *, key: Ed25519PrivateKey, clock: Clock, sleep: Callable[[timedelta], None]) -> None:
        self._request = request
        self._key = key
        self._clock = clock
        self._sleep = sleep
        self.paced = True
        self._said = 0

    def open(self) -> FeedView:
        """Open the feed with the kit's key, or find it open with that key. Raises BadInput when the broker will not."""
        body = msgspec.json.encode(FeedKey(public_key=public_key_of(self._key)))
        status, answer = self._request("/key", body)
        if status not in (200, 201):
            raise BadInput("the feed cannot be opened", found=f"{status}: {answer.decode(errors='replace')[:300]}")
        return self._view(None)

    def part(self) -> Part:
        """As the provider whose key it is, in an epoch after all others, from now on."""
        self._sleep(timedelta(seconds=self._said / MESSAGES_PER_SECOND))
        self._said = 0
        view = self._view(None)
        now = self._clock.now()
        return Part(provider=view.provider, key=self._key, start=now, epoch=view.epoch + 1, present=lambda at: max(at, self._clock.now()))

    def take(self, wire: bytes, now: datetime) -> list[bytes]:
        """A batch of one; told to wait it waits and says it again, as a provider does, except where that is what is tried."""
        self.wait(now)
        for _ in range(TRIES):
            replies = self._sent(wire)
            wait = next((seconds for reply in replies if (seconds := _wait_of(reply))), 0)
            if not wait or not self.paced:
                break
            self._sleep(timedelta(seconds=wait))
        return replies

    def wait(self, now: datetime) -> None:
        """Until it is that late."""
        left = now - self._clock.now()
        if left > timedelta(0):
            self._sleep(left)

    def table(self, now: datetime) -> dict[str, ShownOffer]:
        """What the view of the feed shows, page by page."""
        self.wait(now)
        shown: dict[str, ShownOffer] = {}
        cursor: str | None = None
        while True:
            view = self._view(cursor)
            for offer in view.offers:
                facts = msgspec.to_builtins(offer) | {"state": "live" if offer.state == "suspect" else offer.state}
                shown[offer.offer_id] = msgspec.convert(facts, ShownOffer)
            cursor = view.next_cursor
            if cursor is None:
                return shown

    def may_book(self, offer_id: str, *, version: int, now: datetime) -> bool:
        """What the view says of it."""
        row = self.table(now).get(offer_id)
        return row is not None and (row.state, row.version) == ("live", version)

    def reclaimed(self) -> set[str]:
        """Not to be seen from a provider's side."""
        return set()

    def _view(self, cursor: str | None) -> FeedView:
        status, answer = self._request(f"?limit={PAGE}" + (f"&cursor={cursor}" if cursor else ""), None)
        if status != 200:
            raise BadInput("the feed cannot be read", found=f"{status}: {answer.decode(errors='replace')[:300]}")
        return msgspec.json.decode(answer, type=FeedView)

    def _sent(self, wire: bytes) -> list[bytes]:
        self._said += 1
        status, answer = self._request("", b"[" + wire + b"]" if wire else b"")
        if status == 400:
            return [encode(Nack(epoch=0, seq=0, code="unreadable", consumed=False))]
        if status != 200:
            raise BadInput("a batch was not taken", found=f"{status}: {answer.decode(errors='replace')[:300]}")
        return [bytes(reply) for reply in msgspec.json.decode(answer, type=Replies).replies]


class Timed:
    """Our broker, and how late it got in a clause."""

    def __init__(self) -> None:
        self.broker = our_broker()
        self.latest = START

    def __getattr__(self, name: str) -> object:
        return getattr(self.broker, name)

    def wait(self, now: datetime) -> None:
        """It is now later."""
        self.latest = max(self.latest, now)
        self.broker.wait(now)


def seconds_of(clause: Clause) -> float:
    """How long a clause lets pass: found by playing it to our own broker, where time costs nothing."""
    timed = Timed()
    clause(Sides(broker=lambda: timed))  # type: ignore[arg-type,return-value]
    return (timed.latest - START).total_seconds()


def http_card(broker: HttpBroker, *, patience: float, told: Callable[[Mark], None]) -> tuple[Mark, ...]:
    """Every clause a broker keeps, against one at its address; `told` hears of each as it is done.

    The flood comes last: it leaves the provider with nothing to say for a while.
    """
    mark = broker.open()
    names = f"kit-{mark.epoch}-"
    card = []
    for place, clause in enumerate(sorted(BROKER_CLAUSES, key=lambda clause: clause.__name__ == FLOOD)):
        broker.paced = clause.__name__ != FLOOD
        card.append(_tried(clause, broker, patience=patience, names=f"{names}{place}-"))
        told(card[-1])
    return tuple(card)


def _tried(clause: Clause, broker: HttpBroker, *, patience: float, names: str) -> Mark:
    untried = UNSEEN.get(clause.__name__, "")
    if not untried and (needed := seconds_of(clause)) > patience:
        untried = f"it takes {needed:,.0f} s, more than the {patience:,.0f} s of --patience"
    if untried:
        return Mark(part="broker", name=clause.__name__, law=(clause.__doc__ or "").strip(), untried=untried)

    def same() -> BrokerSide:
        return broker

    token = NAMES.set(names)
    try:
        return marked("broker", clause, sides=Sides(broker=same, part=broker.part))
    finally:
        NAMES.reset(token)


def asking(address: str, api_key: str) -> Request:
    """Requests of `/v1/feed` at an address, with a provider's key."""

    def request(path: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{address.rstrip('/')}/v1/feed{path}", data=body, headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read()

    if not address.startswith(("http://", "https://")):
        raise BadInput("a broker is reached over HTTP", found=address, would_do="https://broker.example")
    return request


def _wait_of(reply: bytes) -> int:
    """Seconds a refusal asks for; 0 for any other reply."""
    try:
        refused = msgspec.json.decode(reply, type=Nack)
    except msgspec.ValidationError:
        return 0
    return refused.retry_after_seconds if refused.code == "too_many_messages" else 0
