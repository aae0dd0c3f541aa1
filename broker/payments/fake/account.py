"""What the fake keeps: objects by id, the balance, and events as they happened."""

import copy
from collections.abc import Callable
from datetime import datetime

from broker.payments.fake.wire import Refused, Thing, shown

FEE_BPS = 150
FEE_FIXED = 25
WORDS = {"in": "invoice", "cus": "customer", "acct": "account", "ch": "charge", "tr": "transfer", "pi": "payment_intent"}


class FakeAccount:
    """A Stripe account in memory. `now` gives the time, UTC."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.things: dict[str, Thing] = {}
        self.events: list[Thing] = []
        self.held: dict[str, int] = {}

    def make(self, prefix: str, kind: str, **fields: object) -> Thing:
        """A new object of a kind; its id counts up, so that a run repeats."""
        thing: Thing = {
            "id": f"{prefix}_fake{len(self.things) + 1:06d}",
            "object": kind,
            "created": self.moment(),
            "livemode": False,
            **fields,
        }
        self.things[thing["id"]] = thing
        return thing

    def moment(self) -> int:
        """Now, in Unix seconds."""
        return int(self.now().timestamp())

    def get(self, kind: str, id: str) -> Thing:
        """An object. Raises Refused 404 where there is none of that kind."""
        thing = self.things.get(id)
        if thing is None or thing["object"] != kind:
            raise Refused(f"No such {kind}: '{id}'", "resource_missing", status=404)
        return thing

    def all(self, kind: str, **wanted: object) -> list[Thing]:
        """Objects of a kind whose fields are these, oldest first."""
        return [
            thing
            for thing in self.things.values()
            if thing["object"] == kind and all(thing.get(name) == value for name, value in wanted.items())
        ]

    def emit(self, kind: str, thing: Thing) -> None:
        """An event with the object as it is now."""
        snapshot = copy.deepcopy(shown(thing))
        self.events.append(
            {
                "id": f"evt_fake{len(self.events) + 1:06d}",
                "object": "event",
                "type": kind,
                "created": self.moment(),
                "livemode": False,
                "data": {"object": snapshot},
            }
        )

    def move(self, kind: str, source: Thing, *, amount: int, fee: int = 0) -> Thing:
        """A balance transaction about `source`, and the balance after it. Amounts are cents; the fee is taken off."""
        moved = self.make("txn", "balance_transaction", type=kind, amount=amount, fee=fee, net=amount - fee, currency=source["currency"])
        moved["source"] = source["id"]
        self.held[source["currency"]] = self.held.get(source["currency"], 0) + moved["net"]
        return moved

    def expanded(self, thing: Thing, paths: list[str]) -> Thing:
        """A copy in which these ids stand as what they name; a path leads through lists by `data`."""
        answer = copy.deepcopy(thing)
        for path in paths:
            self._expand(answer, path.split("."))
        return answer

    def _expand(self, place: Thing, path: list[str]) -> None:
        name, *rest = path
        if name == "data":
            for each in place["data"]:
                self._expand(each, rest)
            return
        if name not in place:
            raise Refused(f"This property cannot be expanded ({name}).")
        if isinstance(place[name], str) and place[name] in self.things:
            place[name] = copy.deepcopy(self.things[place[name]])
        if rest and isinstance(place[name], dict):
            self._expand(place[name], rest)


def fee_on(amount: int) -> int:
    """What the fake keeps of a payment: 1.5 % and 25 cents, half up, and never all of it."""
    return min(amount, (amount * FEE_BPS + 5_000) // 10_000 + FEE_FIXED)
