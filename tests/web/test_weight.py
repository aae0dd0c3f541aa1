"""What a first visit has to fetch: the page and everything it names, as it travels."""

import gzip
import re
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.fake_market import FakeMarket
from web.asgi import site

VENDOR = Path(__file__).parents[2] / "web/static/vendor"
TARGET, REQUESTS_MAX = 80_000, 12
# What the target leaves for a market larger than this one: more countries to choose from, longer names.
ROOM = 8_000


@pytest.mark.skipif(not (VENDOR / "fonts.css").exists(), reason="the portal's third-party files are not installed: run `make setup`")
def test_the_search_page_is_light_on_its_first_visit():
    """Fonts are packed already; of the two only the one for plain Latin is fetched."""
    with TestClient[Litestar](site(FakeMarket())) as client:
        page = client.get("/find").text
        named = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page))
        bodies = [page.encode(), *(client.get(address).content for address in named)]
        (face,) = (
            VENDOR / name for name in re.findall(r'url\("([\w.-]+)"\)', client.get("/static/vendor/fonts.css").text) if "ext" not in name
        )
    assert len(named) + 2 <= REQUESTS_MAX
    assert sum(len(gzip.compress(body, 9)) for body in bodies) + face.stat().st_size <= TARGET - ROOM
