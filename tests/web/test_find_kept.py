"""Readers who are not signed in are shown one page in common, for a second; whoever is signed in has one of their own."""

from collections.abc import Iterator

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.fake_market import KEY, FakeMarket
from tests.standing import standing_site
from web.pages import find

SEARCH = "/find?hardware=H100-SXM&countries=FI"


class Stopped:
    """A clock that a test moves on."""

    seconds = 7.25

    def monotonic(self) -> float:
        """Seconds since something long ago."""
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Stopped:
    stopped = Stopped()
    monkeypatch.setattr(find, "time", stopped)
    return stopped


@pytest.fixture
def client(clock: Stopped) -> Iterator[TestClient[Litestar]]:
    with TestClient(standing_site(FakeMarket())) as client:
        yield client


def test_a_page_is_written_once_a_second(client, clock):
    """Each page that is written has a mark of its own, so the same page is one that was kept."""
    first = client.get(SEARCH)
    assert client.get(SEARCH).text == first.text
    assert first.headers["cache-control"] == "no-store", "kept here, and by nobody else"
    clock.seconds += 1
    assert client.get(SEARCH).text != first.text


def test_another_search_language_or_part_is_another_page(client):
    pages = [client.get(address).text for address in (SEARCH, "/find", f"{SEARCH}&lang=zh")]
    pages.append(client.get(f"{SEARCH}&lang=en", headers={"HX-Request": "true"}).text)
    assert len(set(pages)) == 4
    assert 'lang="zh' in pages[2]
    assert "<html" not in pages[3]


def test_a_signed_in_reader_has_a_page_of_their_own(client):
    kept = client.get(SEARCH).text
    client.post("/sign-in", data={"key": KEY}, follow_redirects=False)
    own = client.get(SEARCH).text
    assert len({kept, own, client.get(SEARCH).text}) == 3
    client.cookies.clear()
    assert client.get(SEARCH).text == kept


def test_a_form_that_cannot_be_read_says_so_every_time(client):
    answers = [client.get("/find?run=poetry") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert all("what will you run is one of the kinds of work in the form" in answer.text for answer in answers)
