"""The examiner at an address: `POST /v1/feed/key` and `POST /v1/feed`, as a broker has them, for one provider's client."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from broker.clock import Clock
from broker.feeds.protocol.examiner import Examiner
from broker.services.feed_views import FeedKey

BYTES_MAX = 8_000_000
JSON = "application/json"


class Ear:
    """What listens: one examination, one batch at a time."""

    def __init__(self, public_key: str | None, *, clock: Clock) -> None:
        self._clock = clock
        self._turn = threading.Lock()
        self.examiner = None if public_key is None else Examiner(public_key, now=clock.now())

    def answer(self, path: str, body: bytes, *, form: str) -> tuple[int, bytes]:
        """Status and body for a POST."""
        with self._turn:
            if path.rstrip("/") == "/v1/feed/key":
                return self._opened(body)
            if path.rstrip("/") != "/v1/feed":
                return 404, _problem("the kit has /v1/feed and /v1/feed/key")
            if form != JSON:
                return 415, _problem("the kit reads JSON; send application/json")
            if self.examiner is None:
                return 404, _problem("no feed has been opened for this provider; register its public key first")
            try:
                wires = [bytes(wire) for wire in msgspec.json.decode(body, type=list[msgspec.Raw])]
            except (msgspec.DecodeError, RecursionError) as fault:
                return 400, _problem(f"the batch cannot be read: {fault}")
            replies = self.examiner.take(wires, self._clock.now())
            return (503, _problem("nobody is here")) if replies is None else (200, b'{"replies":[' + b",".join(replies) + b"]}")

    def is_done(self) -> bool:
        """Whether everything was tried, now that it is so late."""
        with self._turn:
            if self.examiner is None:
                return False
            self.examiner.wait(self._clock.now())
            return self.examiner.stage == "done"

    def _opened(self, body: bytes) -> tuple[int, bytes]:
        try:
            said = msgspec.json.decode(body, type=FeedKey)
        except msgspec.DecodeError as fault:
            return 400, _problem(f"the key cannot be read: {fault}")
        if self.examiner is None:
            self.examiner = Examiner(said.public_key, now=self._clock.now())
        return 201, msgspec.json.encode(said)


def listening(ear: Ear, *, host: str, port: int) -> ThreadingHTTPServer:
    """A server for it, not yet serving; port 0 takes any that is free. Raises OSError for a port that is taken."""

    class Handler(BaseHTTPRequestHandler):
        """Requests for the ear, and nothing said on the terminal."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Answer one batch."""
            length = min(int(self.headers.get("Content-Length") or 0), BYTES_MAX)
            form = self.headers.get_content_type()
            status, body = ear.answer(self.path, self.rfile.read(length), form=form)
            self.send_response(status)
            self.send_header("Content-Type", JSON)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """The card says what there is to say."""

    return ThreadingHTTPServer((host, port), Handler)


def _problem(title: str) -> bytes:
    return msgspec.json.encode({"type": "/problems/conformance", "title": title})
