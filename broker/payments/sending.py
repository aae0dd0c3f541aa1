"""Writes that happen once, whatever the network does.

A request may be lost, or its answer; the processor may be busy or fail. Before each attempt we look whether what we
want is there already, and each attempt carries an idempotency key derived from the facts: the key guards the hours in
which an answer may still be under way, the look guards whatever comes after the processor has forgotten the key.
An error that the processor only repeats, because it has kept it under the key, is no news: the next number of the key asks again.
"""

import hashlib
import time
from collections.abc import Callable
from typing import TypeVar

import stripe

from contracts.terms.errors import ProcessorFailed

Found = TypeVar("Found")
TRIES = 8
CONFLICT = 409
SECONDS_MAX = 5.0


def back_off(tried: int) -> None:
    """Wait a quarter of a second after the first attempt, twice as long after each, five seconds at most."""
    time.sleep(min(SECONDS_MAX, 0.125 * 2**tried))


class Sender:
    """Sends through the SDK and tries again. `pause` is told how often it was tried, and waits; the SDK's own retries stay off."""

    def __init__(self, pause: Callable[[int], None] = back_off, tries: int = TRIES) -> None:
        self._pause = pause
        self._tries = tries

    def read(self, call: Callable[[], Found]) -> Found:
        """An answer, asked for until it comes. Raises ProcessorFailed."""
        for tried in range(1, self._tries):
            try:
                return call()
            except stripe.StripeError as error:
                if not (_unanswered(error) or _broken(error)):
                    raise _failure(error) from error
                self._pause(tried)
        try:
            return call()
        except stripe.StripeError as error:
            raise _failure(error) from error

    def write(self, name: str, *, look: Callable[[], Found | None], make: Callable[[str], Found]) -> Found:
        """What `make` brings about, once: found by `look`, or made under a key derived from `name`, which says all facts.

        Raises ProcessorFailed with the processor's own `reason` where it refuses, or never answers.
        """
        number = 1
        last: stripe.StripeError | None = None
        for tried in range(1, self._tries + 1):
            found = self.read(look)
            if found is not None:
                return found
            try:
                return make(key_of(name, number))
            except stripe.StripeError as error:
                if _kept(error) or _broken(error):
                    number += 1
                elif not _unanswered(error):
                    raise _failure(error) from error
                last = error
                self._pause(tried)
        assert last is not None
        raise _failure(last) from last


def key_of(name: str, number: int) -> str:
    """The idempotency key of an attempt: at most 255 letters, whatever the ids in its name."""
    return f"gridfare-{hashlib.sha256(f'{number}:{name}'.encode()).hexdigest()}"


def _unanswered(error: stripe.StripeError) -> bool:
    """Whether nobody can tell what became of it, or nothing did: the same key may ask again."""
    return isinstance(error, stripe.APIConnectionError | stripe.RateLimitError) or error.http_status == CONFLICT


def _broken(error: stripe.StripeError) -> bool:
    return error.http_status is not None and error.http_status >= 500


def _kept(error: stripe.StripeError) -> bool:
    """Whether the processor repeats what it answered before. A card that was declined is answered for good: its attempt is in the name."""
    headers = {str(name).lower(): value for name, value in (error.headers or {}).items()}
    return headers.get("idempotent-replayed") == "true" and not isinstance(error, stripe.CardError)


def _failure(error: stripe.StripeError) -> ProcessorFailed:
    return ProcessorFailed(
        f"the payment processor said: {error.user_message or 'nothing'}",
        reason=error.code or type(error).__name__,
        answered=error.http_status,
    )
