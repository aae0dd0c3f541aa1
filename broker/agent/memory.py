"""What the agent remembers, in one small file that is written whole: what it owes, and what it has seen to run."""

from datetime import timedelta
from pathlib import Path

import msgspec

from broker.agent.metering import Span
from broker.files.replacing import replace_file
from broker.services.access_views import Delivery
from contracts.terms.errors import BadInput


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to remember. Without it the cluster says what ran, and the broker what is owed and metered.

    deliveries  as the broker last told them
    spans       what was seen to run
    ahead       the broker's clock less ours
    heard       whether the broker ever told what is owed; before, nothing that is held may be let go of
    """

    deliveries: tuple[Delivery, ...] = ()
    spans: tuple[Span, ...] = ()
    ahead: timedelta = timedelta(0)
    heard: bool = False


def remember(path: Path, memory: Memory) -> None:
    """Keep a memory, in place of the one before."""
    replace_file(path, msgspec.json.encode(memory))


def recall(path: Path) -> Memory:
    """The memory kept there; an empty one where there is none. Raises BadInput for a file that is none."""
    if not path.exists():
        return Memory()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except msgspec.DecodeError as fault:
        raise BadInput(f"the agent's memory cannot be read: {fault}", file=str(path), would_do="to remove it: nothing is lost") from fault
