"""Every refusal the market can give, as a tree.

    MarketError                   something was asked that the rules do not allow
    ├── BadInput            400   a file, row or field cannot be read as what it claims to be
    ├── NotSignedIn         401   no key, or a key nobody was given
    ├── NotPermitted        403   the key is good, the act is not its holder's
    ├── NotFound            404   nothing has this id
    ├── Conflict            409   the facts have moved since the caller looked
    │   ├── WindowClosed          the gate for this period has closed
    │   ├── KeyReused             an idempotency key came back with another payload
    │   ├── QuoteMoved            what a quote rested on has changed; the facts name it, and the new rate
    │   ├── StaleToken            another run of the cycle has taken over
    │   ├── PeriodFrozen          what was known until then is settled
    │   └── WrongState            the lease or entry cannot go there from here
    ├── CreditExceeded      402   the worst case of the order is more than the account may owe
    │   ├── BudgetExceeded        … than the account has set itself for a month
    │   └── GrantExceeded         … more computing than the project's tranches have left
    ├── NotSupported        422   the rules know it, this release does not do it yet
    ├── TooBusy             429   more is on its way in than can be taken; the same, sent again a little later, is welcome
    ├── ClearingFailed      500   the solver or the certificate said no; nothing was applied
    └── ProcessorFailed     502   the payment processor did not answer, or refused

A refusal is one of these; a bug is an assertion. `code` never changes once published.
The message says what happened and what would work; `facts` are for programs.
"""

from typing import ClassVar

Fact = str | int | float | bool | None


class MarketError(Exception):
    """A refusal by the rules: what happened, and the facts behind it."""

    code: ClassVar[str] = "market_error"
    status: ClassVar[int] = 400

    def __init__(self, message: str, **facts: Fact) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class BadInput(MarketError):
    """A file, row or field cannot be read as what it claims to be.

    `facts` name the place (`file`, `row`, `column`), what was `found` and what `would_do`, where known.
    """

    code = "bad_input"
    status = 400

    def __str__(self) -> str:
        places = [f"{name} {self.facts[name]}" for name in ("file", "row", "column") if self.facts.get(name) is not None]
        place = ", ".join(places)
        found = f"; found {self.facts['found']!r}" if "found" in self.facts else ""
        remedy = f"; {self.facts['would_do']} would do" if self.facts.get("would_do") else ""
        return f"{place + ': ' if place else ''}{self.message}{found}{remedy}"


class NotSignedIn(MarketError):
    """No key was shown, or one nobody was given."""

    code = "not_signed_in"
    status = 401


class CreditExceeded(MarketError):
    """The worst case of an order is more than the account may still owe."""

    code = "credit_exceeded"
    status = 402


class BudgetExceeded(CreditExceeded):
    """An order could take the account past what it has set itself as the most for a month."""

    code = "budget_exceeded"


class GrantExceeded(CreditExceeded):
    """An order could take more computing than the tranches of a project's grant have left, for the time it may run in."""

    code = "grant_exceeded"


class NotPermitted(MarketError):
    """The key is good; the act belongs to somebody else."""

    code = "not_permitted"
    status = 403


class NotFound(MarketError):
    """Nothing has this id."""

    code = "not_found"
    status = 404


class Conflict(MarketError):
    """The facts have moved since the caller looked."""

    code = "conflict"
    status = 409


class WindowClosed(Conflict):
    """The gate for the period has closed."""

    code = "window_closed"


class KeyReused(Conflict):
    """An idempotency key came back with another payload."""

    code = "key_reused"


class QuoteMoved(Conflict):
    """What a quote rested on has changed. `changed` of the facts names it; `rate_micros` is the new rate, None where there is none."""

    code = "quote_moved"


class StaleToken(Conflict):
    """Another run of the same cycle has taken over; this result is dropped."""

    code = "stale_token"


class PeriodFrozen(Conflict):
    """Something claims to have arrived before a moment whose knowledge is settled."""

    code = "period_frozen"


class WrongState(Conflict):
    """The state machine has no such transition."""

    code = "wrong_state"


class NotSupported(MarketError):
    """The rules know this, this release does not do it yet."""

    code = "not_supported"
    status = 422


class TooBusy(MarketError):
    """More is on its way in than can be taken. `retry_after` of the facts is in seconds."""

    code = "too_busy"
    status = 429


class ClearingFailed(MarketError):
    """The solver, the deadline or the certificate said no; nothing may be applied."""

    code = "clearing_failed"
    status = 500


class ProcessorFailed(MarketError):
    """The payment processor did not answer, or refused; what was asked may be asked again.

    `facts` hold its own `reason`, where it gave one.
    """

    code = "processor_failed"
    status = 502
