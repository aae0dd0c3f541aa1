"""What a transport carries at a time: envelopes and sealed batches, taken one after the other.

Neither is a unit of the protocol: the session after them is the one that the same messages would have made one by one.
"""

from collections.abc import Sequence
from datetime import datetime

from contracts.feed.messages import Ack, Nack, Reply
from contracts.feed.receiving import step, step_sealed
from contracts.feed.sealed import decode_batch
from contracts.feed.session import Effect, Outcome, Session
from contracts.feed.wire import decode
from contracts.terms.errors import BadInput


def take(session: Session, wires: Sequence[bytes], *, now: datetime, binary: bool = False) -> Outcome:
    """Take encoded envelopes and sealed batches in their order. `now` is the broker's clock, UTC.

    Bytes that are neither are refused as `unreadable`, without a number, and the next is taken. Of acknowledgements that
    follow one another only the last is given: it says everything the others say.
    """
    replies: list[Reply] = []
    effects: list[Effect] = []
    for wire in wires:
        batch = decode_batch(wire, binary=binary)
        try:
            if batch is None:
                outcome = step(session, decode(wire, binary=binary), now=now)
            else:
                outcome = step_sealed(session, batch, now=now, binary=binary)
        except BadInput:
            outcome = Outcome(session, (Nack(epoch=session.epoch, seq=session.seq, code="unreadable", consumed=False),))
        session = outcome.session
        effects += outcome.effects
        for reply in outcome.replies:
            if replies and isinstance(reply, Ack) and isinstance(replies[-1], Ack):
                replies.pop()
            replies.append(reply)
    return Outcome(session, tuple(replies), tuple(effects))
