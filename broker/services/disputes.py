"""Disputes about statements: opened by the buyer within a window, with evidence, decided by somebody of finance."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.corrections import CorrectionService
from broker.services.finance import Statements
from broker.services.finance_ports import Acts, Closes
from broker.services.views import Caller
from contracts.acts import DISPUTE, Act, By, state
from contracts.events import CreditNote
from contracts.terms.errors import BadInput, NotFound, WindowClosed
from contracts.terms.money import MICROS_PER_CENT
from contracts.terms.time import iso

WINDOW = timedelta(days=30)
OPEN = ("opened", "evidenced")
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


class DisputeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wrong with a statement, and by how much: cents, tax included."""

    cents: Annotated[int, msgspec.Meta(ge=1, le=10**15)]
    reason: Words


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shows it.

    usage_ids  usage records it is about
    digest     SHA-256 of a file kept elsewhere, hexadecimal
    """

    words: Words
    usage_ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)] = ()
    digest: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a dispute ends. Upheld, `cents` before tax and `tax_cents` are proposed as a credit note, which somebody else approves."""

    upheld: bool
    note: Words
    cents: Annotated[int, msgspec.Meta(ge=0, le=10**15)] = 0
    tax_cents: Annotated[int, msgspec.Meta(ge=0, le=10**15)] = 0


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What opening a dispute states."""

    account_id: str
    period: int
    currency: str
    cents: int
    reason: str


class DisputeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened in a dispute, in words."""

    at: datetime
    actor: str
    act: str
    words: str


class DisputeView(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute: opened, evidenced, upheld, dismissed or withdrawn."""

    dispute_id: str
    account_id: str
    period: int
    currency: str
    cents: int
    state: str
    events: tuple[DisputeEvent, ...]


class DisputeService:
    """Opens, supports and decides disputes."""

    def __init__(self, acts: Acts, statements: Statements, *, closes: Closes, corrections: CorrectionService, clock: Clock) -> None:
        self._acts = acts
        self._statements = statements
        self._closes = closes
        self._corrections = corrections
        self._clock = clock

    async def open(self, period: int, request: DisputeRequest, *, caller: Caller) -> DisputeView:
        """Dispute one of the caller's statements, once until it is decided; the same again is the same dispute.

        Raises NotFound without a statement, WindowClosed after 30 days, BadInput for more than is payable.
        """
        found = await self._statements.statements(account_id=caller.account_id, period=period)
        closed_at = await self._closes.closed_at(period)
        if not found or closed_at is None:
            raise NotFound(f"there is no statement for period {period}", period=period)
        until = closed_at + WINDOW
        if self._clock.now() >= until:
            raise WindowClosed(f"a statement may be disputed for {WINDOW.days} days, this one until {iso(until)}", closed_at=iso(until))
        if request.cents > max(0, found[0].payable_cents):
            raise BadInput("no more can be disputed than is payable", found=request.cents, would_do=f"at most {found[0].payable_cents}")
        mine = [each for each in await self._histories(caller.account_id) if each[1][0].told(Opened).period == period]
        for name, history in mine:
            if state(history) in OPEN:
                return _view(name, history)
        facts = Opened(account_id=caller.account_id, period=period, currency=found[0].currency, cents=request.cents, reason=request.reason)
        name = f"{caller.account_id}:{period}:{len(mine) + 1}"
        act = DISPUTE.next(name, [], act="opened", by=By(caller.account_id, self._clock.now()), facts=facts)
        return _view(name, [await self._acts.append(act)])

    async def disputes(self, caller: Caller) -> list[DisputeView]:
        """The caller's disputes, or all of them for finance, by id."""
        everyone = "finance:read" in caller.scopes
        return [_view(name, history) for name, history in await self._histories(None if everyone else caller.account_id)]

    async def support(self, dispute_id: str, evidence: Evidence, *, caller: Caller) -> DisputeView:
        """Add evidence, from either side. Raises NotFound, WrongState for a dispute that is decided."""
        return await self._act(dispute_id, caller, act="evidenced", facts=evidence)

    async def withdraw(self, dispute_id: str, caller: Caller) -> DisputeView:
        """Let a dispute of one's own go. Raises NotFound, WrongState."""
        return await self._act(dispute_id, caller, act="withdrawn")

    async def decide(self, dispute_id: str, decision: Decision, *, caller: Caller) -> DisputeView:
        """End a dispute; upheld, its credit note is proposed. Raises NotPermitted, NotFound, WrongState, BadInput for no credit."""
        require(caller, "finance:write")
        if decision.upheld and not decision.cents:
            raise BadInput("a dispute is upheld with what is given back", found=0, would_do="cents of at least 1")
        view = await self._act(dispute_id, caller, act="upheld" if decision.upheld else "dismissed", facts=decision)
        if decision.upheld:
            note = CreditNote(
                key=f"dispute:{dispute_id}",
                account_id=view.account_id,
                currency=view.currency,
                cents=decision.cents,
                tax_cents=decision.tax_cents,
                reason=f"dispute {dispute_id} upheld",
            )
            await self._corrections.enter(note, actor=caller.account_id)
        return view

    async def disputed_micros(self) -> dict[str, int]:
        """What is under dispute, micros by account."""
        found: dict[str, int] = {}
        for _, history in await self._histories(None):
            if state(history) in OPEN:
                opened = history[0].told(Opened)
                found[opened.account_id] = found.get(opened.account_id, 0) + opened.cents * MICROS_PER_CENT
        return found

    async def _histories(self, account_id: str | None) -> list[tuple[str, list[Act]]]:
        every = (await self._acts.histories(DISPUTE.kind)).items()
        return [(name, history) for name, history in every if account_id in (None, history[0].told(Opened).account_id)]

    async def _act(self, dispute_id: str, caller: Caller, *, act: str, facts: object = None) -> DisputeView:
        history = await self._acts.history(DISPUTE.kind, dispute_id)
        staff = "finance:write" in caller.scopes and act != "withdrawn"
        if not history or not (staff or history[0].told(Opened).account_id == caller.account_id):
            raise NotFound(f"no dispute has the id {dispute_id}", dispute_id=dispute_id)
        by = By(caller.account_id, self._clock.now())
        done = await self._acts.append(DISPUTE.next(dispute_id, history, act=act, by=by, facts=facts))
        return _view(dispute_id, [*history, done])


def _view(dispute_id: str, history: Sequence[Act]) -> DisputeView:
    opened = history[0].told(Opened)
    return DisputeView(
        dispute_id=dispute_id,
        account_id=opened.account_id,
        period=opened.period,
        currency=opened.currency,
        cents=opened.cents,
        state=state(history),
        events=tuple(DisputeEvent(at=each.at, actor=each.actor, act=each.act, words=_words(each)) for each in history),
    )


def _words(act: Act) -> str:
    match act.act:
        case "opened":
            return act.told(Opened).reason
        case "evidenced":
            return act.told(Evidence).words
        case "upheld" | "dismissed":
            return act.told(Decision).note
        case _:
            return ""
