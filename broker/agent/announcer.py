"""The agent's feed: what the cluster has, said in order, signed, and said again when the broker missed it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from broker.agent import calls
from broker.agent.announcing import changes
from broker.agent.cluster import Node
from broker.agent.grid import Grid, signing_key
from broker.agent.line import FeedLine
from broker.client import AsyncGridfare
from contracts.feed import speaker
from contracts.feed.messages import Unsigned
from contracts.feed.speaker import Speaker, SpeakerTerms, Spoken
from contracts.feed.wire import public_key_of
from contracts.terms.time import EPOCH, MICROSECOND

RESTART_SECONDS = 600


class Announcer:
    """A provider's side of a feed over HTTP. It keeps its memory while it runs; one that starts anew begins a greater epoch."""

    def __init__(self, grid: Grid, market: AsyncGridfare, *, say: Callable[[str], None]) -> None:
        """Raises BadInput for a key that cannot be read."""
        self._grid = grid
        self._market = market
        self._key = signing_key(grid.signing_key_file)
        self._line = FeedLine(market, self._key, say=say)
        self._speaker: Speaker | None = None

    async def beat(self, nodes: Sequence[Node], now: datetime) -> None:
        """Say what has changed and whatever is due. Raises MarketError when the broker does not take it: the next beat repeats it."""
        if self._speaker is None:
            await self._market.send(calls.register_feed_key(public_key_of(self._key)))
            terms = SpeakerTerms(hold_seconds=self._grid.hold_seconds, restart_seconds=RESTART_SECONDS)
            begun = speaker.started(Speaker(provider=self._grid.provider, epoch=_micros(now), terms=terms), now)
            self._speaker = begun.speaker
            self._speaker = await self._line.exchange(begun, now=now)
        known = {name: said.offer for name, said in self._speaker.offers.items()}
        version = max([_micros(now), *(offer.version + 1 for offer in known.values())])
        said: list[Unsigned] = []
        for message in changes(self._grid.offers, nodes, said=known, version=version):
            spoken = speaker.say(self._speaker, message, now=now)
            self._speaker = spoken.speaker
            said += spoken.sent
        if not said:
            spoken = speaker.tick(self._speaker, now)
            self._speaker, said = spoken.speaker, list(spoken.sent)
        self._speaker = await self._line.exchange(Spoken(self._speaker, tuple(said)), now=now)


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND
