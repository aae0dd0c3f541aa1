"""A batch of messages, taken one after the other.

What a transport carries at a time is its own affair: a batch is no unit of the protocol, and the session after it is the one that
the same messages would have made one by one.
"""

from collections.abc import Sequence
from datetime import datetime

from contracts.feed.messages import Ack, Nack, Reply
from contracts.feed.receiving import step
from contracts.feed.session import Effect, Outcome, Session
from contracts.feed.wire import decode
from contracts.terms.errors import BadInput


def take(session: Session, wires: Sequence[bytes], *, now: datetime, binary: bool = False) -> Outcome:
    """Take encoded messages in their order. `now` is the broker's clock, UTC.

    Bytes that are no message are refused as `unreadable`, without a number, and the next is taken. Of acknowledgements that
    follow one another only the last is given: it says everything the others say.
    """
    replies: list[Reply] = []
    effects: list[Effect] = []
    for wire in wires:
        try:
            outcome = step(session, decode(wire, binary=binary), now=now)
        except BadInput:
            outcome = Outcome(session, (Nack(epoch=session.epoch, seq=session.seq, code="unreadable", consumed=False),))
        session = outcome.session
        effects += outcome.effects
        for reply in outcome.replies:
            if replies and isinstance(reply, Ack) and isinstance(replies[-1], Ack):
                replies.pop()
            replies.append(reply)
    return Outcome(session, tuple(replies), tuple(effects))
