"""The line a feed goes over: what the speaker says is signed and sent, and what the broker asks for is said again."""

from collections.abc import Callable
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.agent import calls
from broker.client import AsyncGridfare
from contracts.feed import speaker
from contracts.feed.messages import Unsigned
from contracts.feed.speaker import Speaker, Spoken
from contracts.feed.wire import seal

ROUNDS_MAX = 20


class FeedLine:
    """One provider's line to a broker, by its API key and the key that signs. `say` is told what the broker refused for good."""

    def __init__(self, market: AsyncGridfare, key: Ed25519PrivateKey, *, say: Callable[[str], None]) -> None:
        self._market = market
        self._key = key
        self._say = say

    async def exchange(self, spoken: Spoken, *, now: datetime) -> Speaker:
        """Send, hear the answers, and send what they ask for, until nothing is left to say; the speaker after it.

        Raises MarketError when the broker does not take it. The speaker from before has it in its log still, and repeats it.
        """
        memory, sent = spoken.speaker, spoken.sent
        for _ in range(ROUNDS_MAX):
            if not sent:
                break
            answer = await self._market.send(calls.send_feed([seal(each, self._key) for each in sent]))
            said: list[Unsigned] = []
            for reply in answer.replies:
                heard = speaker.hear(memory, reply, now=now)
                memory = heard.speaker
                said += heard.sent
                for refused in heard.refused:
                    self._say(f"the broker refused {refused.offer_id or 'a message'}: {refused.code} {refused.field}".rstrip())
            sent = tuple(said)
        return memory
