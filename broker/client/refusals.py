"""What a broker refused, as the error it raised: problem details read back into the tree of `contracts.terms.errors`.

MarketError
├── …              every refusal the broker knows by its `code`
├── Refused        one that only a newer broker knows: its code and status are facts
├── Unreachable    nobody answered, however often it was tried
└── Unintelligible somebody answered, and it is no broker of this version
"""

import msgspec

from contracts.terms.errors import BadInput, Fact, MarketError

PREFIX = "/problems/"
STANDARD = frozenset({"type", "title", "status", "detail", "instance"})


class Refused(MarketError):
    """A refusal whose code this client does not know; `problem` and `status` of the facts say which."""

    code = "refused"


class Unreachable(MarketError):
    """Nobody answered. Whether a POST was done is unknown; the same call with the same `once` asks again and does it once."""

    code = "unreachable"
    status = 503


class Unintelligible(MarketError):
    """The answer is not what the API's description says."""

    code = "unintelligible"
    status = 502


def known_refusals() -> dict[str, type[MarketError]]:
    """Every class of the tree by its code."""
    found: dict[str, type[MarketError]] = {}
    waiting: list[type[MarketError]] = [MarketError]
    while waiting:
        each = waiting.pop()
        if each.__module__ == MarketError.__module__:
            found[each.code] = each
            waiting += each.__subclasses__()
    return found


KNOWN = known_refusals()


def read_problem(body: bytes, *, status: int) -> MarketError:
    """The refusal that problem details tell of: its class, its sentence and its facts. What is none gives Unintelligible."""
    try:
        members = msgspec.json.decode(body, type=dict[str, Fact])
        code, detail = str(members["type"]).removeprefix(PREFIX), str(members["detail"])
    except (msgspec.DecodeError, KeyError):
        return Unintelligible(f"the answer was {status} without saying why; this is not how a broker refuses", found=status)
    facts = {name: fact for name, fact in members.items() if name not in STANDARD}
    if code not in KNOWN:
        return Refused(detail, **facts | {"problem": code, "status": status})
    return KNOWN[code](_bare(detail, facts) if KNOWN[code] is BadInput else detail, **facts)


def _bare(detail: str, facts: dict[str, Fact]) -> str:
    """The sentence without the place, the find and the remedy that BadInput itself adds from its facts."""
    before, _, behind = str(BadInput("\0", **facts)).rpartition("\0")
    if detail.startswith(before) and detail.endswith(behind) and len(detail) >= len(before) + len(behind):
        return detail[len(before) : len(detail) - len(behind)]
    return detail
