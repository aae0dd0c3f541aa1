"""Paying providers: a run is proposed by one person, approved by another, and paid line by line.

A run is a history of acts. Nothing is paid twice: a line is a transfer in a group of its own name at the processor, its
entry has the name of that movement, and a run that died is taken up by paying it again. One run of a currency at a time,
so that what is under way is never proposed once more.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from broker.clock import Clock
from broker.payments.collector import Collector
from broker.payments.decisions import Payout
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.acts import ActRepository
from broker.store.repositories.journal import JournalRepository
from broker.store.unit_of_work import Sessions, WorkSession, unit_of_work
from contracts.acts import AFFILIATION, PAYOUT_RUN, Act, By, latest, state
from contracts.events import Reserve, reserve_entry
from contracts.payout_runs import Due, PayoutLine, PayoutPolicy, propose
from contracts.terms.errors import Conflict, NotFound, NotSupported, WrongState

ENDED = ("", "rejected", "ended")
POLICY = PayoutPolicy()


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would pay."""

    lines: tuple[PayoutLine, ...]


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """That one line is paid."""

    provider_id: str
    cents: int


class PayoutRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run and what was done to it.

    paid     providers whose lines are paid
    waiting  providers whom the processor would not pay yet, for want of papers or money
    """

    currency: str
    number: int
    state: str
    lines: tuple[PayoutLine, ...]
    paid: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    history: tuple[Act, ...] = ()

    @property
    def subject(self) -> str:
        """The run's name in the history of acts."""
        return f"{self.currency}:{self.number}"

    @property
    def due(self) -> list[PayoutLine]:
        """Lines that are ready and not paid."""
        return [line for line in self.lines if line.standing == "ready" and line.provider_id not in self.paid]


class PayoutDesk:
    """Proposes, approves and pays the runs of one market. `collector` is None where no processor is set up."""

    def __init__(self, sessions: Sessions, collector: Collector | None, *, clock: Clock, policy: PayoutPolicy = POLICY) -> None:
        self._sessions = sessions
        self._collector = collector
        self._clock = clock
        self._policy = policy

    async def runs(self) -> list[PayoutRun]:
        """Every run, by currency and number."""
        async with unit_of_work(self._sessions) as work:
            return await _runs(work)

    async def run(self, currency: str, number: int) -> PayoutRun:
        """One run. Raises NotFound."""
        for each in await self.runs():
            if (each.currency, each.number) == (currency, number):
                return each
        raise NotFound(f"there is no payout run {number} of {currency}", currency=currency, number=number)

    async def propose(self, currency: str, *, actor: str) -> PayoutRun:
        """A run that pays what is owed now. Raises WrongState while another run of the currency is under way."""
        async with unit_of_work(self._sessions) as work:
            runs = [each for each in await _runs(work) if each.currency == currency]
            if runs and runs[-1].state not in ENDED:
                raise WrongState(
                    f"run {runs[-1].number} of {currency} is {runs[-1].state}; end it first", number=runs[-1].number, state=runs[-1].state
                )
            now = self._clock.now()
            lines = propose(await _dues(work, currency, since=self._reserved_since(now)), self._policy, now=now)
            subject = f"{currency}:{len(runs) + 1}"
            act = PAYOUT_RUN.next(subject, [], act="proposed", by=By(actor, now), facts=Proposed(lines=lines))
            await ActRepository(work).append(act)
        return await self.run(currency, len(runs) + 1)

    async def approve(self, currency: str, number: int, *, actor: str) -> PayoutRun:
        """Let a run be paid, and keep back its reserves. Raises NotPermitted for who proposed it, Conflict where less is owed by now."""
        run = await self.run(currency, number)
        if run.state in ("approved", "paid", "ended") and _actor(run.history, "approved") == actor:
            return run
        async with unit_of_work(self._sessions) as work:
            now = self._clock.now()
            await ActRepository(work).append(PAYOUT_RUN.next(run.subject, run.history, act="approved", by=By(actor, now)))
            owed = {due.provider_id: due.owed_micros for due in await _dues(work, currency, since=self._reserved_since(now))}
            short = [line.provider_id for line in run.due if owed.get(line.provider_id, 0) < line.owed_micros]
            if short:
                raise Conflict(f"less is owed to {', '.join(short)} than when this was proposed; propose it again", provider_id=short[0])
            await JournalRepository(work).add_many([reserve_entry(each, now) for each in _reserves(run)])
        return await self.run(currency, number)

    async def reject(self, currency: str, number: int, *, actor: str) -> PayoutRun:
        """Let a proposed run go; nothing was paid."""
        run = await self.run(currency, number)
        if run.state != "rejected":
            await self._act(run, "rejected", actor=actor)
        return await self.run(currency, number)

    async def pay(self, currency: str, number: int, *, actor: str) -> PayoutRun:
        """Pay every line that is not paid, each once; a run whose lines are all paid ends. May be called until it does.

        Raises NotSupported without a processor, ProcessorFailed where it does not answer: what was paid until then stays paid.
        """
        if self._collector is None:
            raise NotSupported("no payment processor is set up; STRIPE_API_KEY would do")
        run = await self.run(currency, number)
        if run.state == "ended":
            return run
        PAYOUT_RUN.check(run.history, "paid", actor=actor)
        waiting = []
        for line in run.due:
            payout = Payout(provider_id=line.provider_id, run=number, currency=currency, cents=line.cents)
            if await self._collector.pay_out(payout, line.country) == "waiting":
                waiting.append(line.provider_id)
            else:
                await self._act(
                    await self.run(currency, number), "paid", actor=actor, facts=Paid(provider_id=line.provider_id, cents=line.cents)
                )
        run = await self.run(currency, number)
        if not run.due:
            await self._act(run, "ended", actor=actor)
        return msgspec.structs.replace(await self.run(currency, number), waiting=tuple(waiting))

    async def end(self, currency: str, number: int, *, actor: str) -> PayoutRun:
        """End a run whose last lines wait: they stay owed, and are in the next one."""
        run = await self.run(currency, number)
        if run.state != "ended":
            await self._act(run, "ended", actor=actor)
        return await self.run(currency, number)

    async def clear(self, account_id: str, provider_id: str, *, actor: str, note: str) -> Act:
        """Note that somebody has looked at what an account paid a provider of its own parent."""
        async with unit_of_work(self._sessions) as work:
            acts, subject = ActRepository(work), f"{account_id}:{provider_id}"
            history = await acts.history(AFFILIATION.kind, subject)
            if state(history) == "cleared":
                return history[-1]
            act = AFFILIATION.next(subject, history, act="cleared", by=By(actor, self._clock.now()), facts={"note": note})
            return await acts.append(act)

    def _reserved_since(self, now: datetime) -> datetime:
        return now - timedelta(days=self._policy.reserve_days)

    async def _act(self, run: PayoutRun, act: str, *, actor: str, facts: object = None) -> None:
        async with unit_of_work(self._sessions) as work:
            by = By(actor, self._clock.now())
            await ActRepository(work).append(PAYOUT_RUN.next(run.subject, run.history, act=act, by=by, facts=facts))


async def _runs(work: WorkSession) -> list[PayoutRun]:
    histories = await ActRepository(work).histories(PAYOUT_RUN.kind)
    return sorted((_run(subject, history) for subject, history in histories.items()), key=lambda run: (run.currency, run.number))


def _run(subject: str, history: Sequence[Act]) -> PayoutRun:
    currency, _, number = subject.rpartition(":")
    return PayoutRun(
        currency=currency,
        number=int(number),
        state=state(history),
        lines=history[0].told(Proposed).lines,
        paid=tuple(each.told(Paid).provider_id for each in history if each.act == "paid"),
        history=tuple(history),
    )


def _reserves(run: PayoutRun) -> list[Reserve]:
    return [
        Reserve(run=run.subject, provider_id=line.provider_id, currency=run.currency, micros=line.reserve_micros)
        for line in run.due
        if line.reserve_micros
    ]


def _actor(history: Sequence[Act], act: str) -> str | None:
    done = latest(history, act)
    return done.actor if done else None


async def _dues(work: WorkSession, currency: str, *, since: datetime) -> list[Due]:
    """What stands between the broker and every provider in a currency."""
    journal = JournalRepository(work)
    owed, kept = await journal.by_party("provider_payable"), await journal.by_party("provider_pending")
    lately = await journal.kept_back_since(since, currency)
    cleared = {name for name, history in (await ActRepository(work).histories(AFFILIATION.kind)).items() if state(history) == "cleared"}
    affiliates: dict[str, list[str]] = {}
    for account, provider in await journal.affiliates():
        if f"{account}:{provider}" not in cleared:
            affiliates.setdefault(provider, []).append(account)
    return [
        Due(
            provider_id=each.id,
            country=each.country,
            owed_micros=-owed.get((currency, each.id), 0),
            kept_micros=-kept.get((currency, each.id), 0),
            kept_lately_micros=lately.get(each.id, 0),
            joined_at=each.joined_at,
            affiliates=tuple(affiliates.get(each.id, ())),
        )
        for each in await AccountRepository(work).providers()
    ]
