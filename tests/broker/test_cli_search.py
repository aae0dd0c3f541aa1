"""`gridfare search` against a broker that answers over HTTP."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from litestar.testing import TestClient

from broker.application import application
from tests.broker.terminal import run
from tests.fake_market import FakeMarket


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A port that hands requests to the API of the tests' market."""
    with TestClient(application(FakeMarket().services)) as client:

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = client.get(self.path)
                self.send_response(answer.status_code)
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()


def test_a_search_shows_offers_and_explains_the_rest(capsys, address):
    ended = run(capsys, "search", "hardware=H100-SXM", "countries=FR", "--url", address, "--explain")
    assert ended.code == 0, ended.err
    assert "offers answer" in ended.out
    assert "Left out, by reason" in ended.out
    assert "countries: " in ended.out


@pytest.mark.parametrize(
    ("demands", "said"),
    [
        (["hardware=H100"], "hardware: no offer has H100; there is H100-PCIE, H100-SXM."),
        (["countries=France"], "countries: no offer has France; there is FR"),
        (["certifications=???"], "certifications: no offer has ???; there is "),
        (["hardware=H100-SXM", "countries=FR", "quantity=512"], "No single demand is to blame"),
        (["hardware=B200", "rate_max=1.00"], "a reference hour"),
    ],
)
def test_an_explanation_says_what_would_do(capsys, address, demands, said):
    ended = run(capsys, "search", *demands, "--url", address, "--explain")
    assert said in ended.out
    lines = [line for line in ended.out.splitlines() if line.startswith(" " * 20)]
    assert len(lines) == len(set(lines)), "no example is given twice"


def test_a_search_for_free_hours_says_when_offers_are_free(capsys, address):
    ended = run(capsys, "search", "hardware=H100-SXM", "free_hours=2", "--url", address)
    heading, row, *_ = ended.out.splitlines()
    assert "free until" in heading
    assert re.search(r" \d{4}-\d\d-\d\d \d\d:00Z ", row), row


def test_a_search_as_json_is_what_the_broker_said(capsys, address):
    ended = run(capsys, "search", "hardware=H100-SXM", "--url", address, "--json")
    assert json.loads(ended.out)["considered"] > 0


@pytest.mark.parametrize(("demand", "why"), [("hardware", "names what it asks for"), ("colour=red", "colour"), ("quantity=0", "quantity")])
def test_a_demand_nobody_knows_is_refused_by_name(capsys, address, demand, why):
    ended = run(capsys, "search", demand, "--url", address)
    assert (ended.code, why in ended.err) == (2, True), ended.err


def test_a_broker_that_is_not_there_is_one_sentence(capsys):
    ended = run(capsys, "search", "--url", "http://127.0.0.1:9")
    assert (ended.code, "no broker answers at http://127.0.0.1:9" in ended.err) == (2, True)
