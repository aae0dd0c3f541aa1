"""What a running broker does about feeds that say nothing: every few seconds it looks whether silence has come to mean something."""

import asyncio
from collections.abc import Callable

from broker.feeds.desk import FeedDesk
from contracts.terms.errors import MarketError

EVERY_SECONDS = 5.0


async def keep_feeds(feeds: FeedDesk, *, say: Callable[[str], None], every: float = EVERY_SECONDS) -> None:
    """Let time pass in every feed, until cancelled. A store that is away is told; the next turn tries again."""
    while True:
        await asyncio.sleep(every)
        try:
            await feeds.pass_time()
        except MarketError as error:
            say(f"feeds: {error}")
