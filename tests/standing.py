"""A site made once, for whichever market a test puts behind it: making one takes longer than most tests on it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache

from litestar import Litestar

from broker.app import Services
from broker.application import application
from broker.services.views import ShownKey
from tests.fake_market import FakeMarket
from web.asgi import site
from web.pages.kept import Kept


class Behind:
    """The market behind a site that stands: the last one put there."""

    identity = None
    market: FakeMarket

    def __init__(self, shown_keys: Sequence[ShownKey]) -> None:
        self.shown_keys = shown_keys

    def services(self) -> AbstractAsyncContextManager[Services]:
        """One unit of work of the market that is behind the site when it is asked."""
        return self.market.services()


def standing_site(market: FakeMarket) -> Litestar:
    """The API and the portal with this market behind them, until another is put there: for one market at a time."""
    assert market.identity is None
    behind, made = _site(tuple(market.shown_keys))
    behind.market = market
    made.state.kept, made.state.pages = Kept(), Kept()
    return made


def standing_api(market: FakeMarket) -> Litestar:
    """The API alone with this market behind it, until another is put there."""
    behind, made = _api()
    behind.market = market
    return made


@cache
def _site(shown_keys: tuple[ShownKey, ...]) -> tuple[Behind, Litestar]:
    behind = Behind(shown_keys)
    return behind, site(behind)


@cache
def _api() -> tuple[Behind, Litestar]:
    behind = Behind(())
    return behind, application(behind.services)
