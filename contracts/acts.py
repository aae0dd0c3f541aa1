"""Acts: what people did to something that finance controls, and who may do the next one.

    act      one step about one subject (a period, a payout, a correction of the books), by one person, never taken back
    history  all acts about a subject, by sequence; the state of the subject is the last of them

A `Procedure` says which act may follow which, and which two acts one person may not do both: two pairs of eyes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from contracts.terms.errors import NotPermitted, WrongState

Told = TypeVar("Told")


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One step about a subject.

    sequence  from 1, without a gap: two runs cannot both write the next one
    facts     what was decided, as plain JSON; `told` reads it
    """

    kind: str
    subject: str
    sequence: int
    act: str
    actor: str
    at: datetime
    facts: object = None

    def told(self, shape: type[Told]) -> Told:
        """The facts as a struct. Raises msgspec.ValidationError for facts of another shape."""
        return msgspec.convert(self.facts or {}, shape)


class By(msgspec.Struct, frozen=True):
    """Who acts, and when."""

    actor: str
    at: datetime


class Procedure(msgspec.Struct, frozen=True, kw_only=True):
    """The order of acts about one kind of subject.

    kind     what sort of subject
    follows  act → the acts it may come after; an empty word stands for no act at all
    apart    act → the earlier acts whose person may not do it
    """

    kind: str
    follows: Mapping[str, tuple[str, ...]]
    apart: Mapping[str, tuple[str, ...]] = {}

    def check(self, history: Sequence[Act], act: str, *, actor: str) -> None:
        """Raises WrongState where the act may not come now, NotPermitted where it takes another person."""
        assert act in self.follows, f"{self.kind} knows no act {act}"
        now = state(history)
        if now not in self.follows[act]:
            possible = ", ".join(name for name, after in self.follows.items() if now in after) or "nothing"
            raise WrongState(
                f"a {self.kind} that is {now or 'new'} cannot be {act}; possible: {possible}",
                state=now or "new",
                act=act,
            )
        for earlier in self.apart.get(act, ()):
            done = latest(history, earlier)
            if done is not None and done.actor == actor:
                raise NotPermitted(
                    f"who has {earlier} a {self.kind} may not be who has it {act}; another person would do", act=act, actor=actor
                )

    def next(self, subject: str, history: Sequence[Act], *, act: str, by: By, facts: object = None) -> Act:
        """The act that comes after this history. Raises as `check` does."""
        self.check(history, act, actor=by.actor)
        told = msgspec.to_builtins(facts)
        return Act(kind=self.kind, subject=subject, sequence=len(history) + 1, act=act, actor=by.actor, at=by.at, facts=told)


PERIOD = Procedure(
    kind="period",
    follows={
        "frozen": ("",),
        "rated": ("frozen", "rated", "reviewed", "returned"),
        "reviewed": ("rated",),
        "returned": ("rated", "reviewed"),
        "finalised": ("reviewed",),
        "exported": ("finalised", "exported"),
    },
    apart={"reviewed": ("rated",), "finalised": ("rated",)},
)
PREVIEW = Procedure(kind="preview", follows={"seen": ("", "seen")})
SEGMENT = Procedure(kind="segment", follows={"written": ("", "written")})
PAYOUT_RUN = Procedure(
    kind="payout run",
    follows={
        "proposed": ("",),
        "approved": ("proposed",),
        "rejected": ("proposed",),
        "paid": ("approved", "paid"),
        "ended": ("approved", "paid"),
    },
    apart={"approved": ("proposed",)},
)
CORRECTION = Procedure(
    kind="correction",
    follows={"proposed": ("",), "approved": ("proposed",), "rejected": ("proposed",)},
    apart={"approved": ("proposed",)},
)
DISPUTE = Procedure(
    kind="dispute",
    follows={
        "opened": ("",),
        "evidenced": ("opened", "evidenced"),
        "upheld": ("opened", "evidenced"),
        "dismissed": ("opened", "evidenced"),
        "withdrawn": ("opened", "evidenced"),
    },
    apart={"upheld": ("opened",), "dismissed": ("opened",)},
)
AFFILIATION = Procedure(kind="affiliation", follows={"cleared": ("", "revoked"), "revoked": ("cleared",)})
DUNNING = Procedure(kind="dunning", follows={"told": ("", "told")})


def state(history: Sequence[Act]) -> str:
    """The last act, empty where nothing was done."""
    return history[-1].act if history else ""


def latest(history: Sequence[Act], act: str) -> Act | None:
    """The last act of a name, or None."""
    return next((each for each in reversed(history) if each.act == act), None)
