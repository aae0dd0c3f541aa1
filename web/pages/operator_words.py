"""What the operator desk says: how a feed stands, what went wrong, what was checked."""

from collections.abc import Sequence

from broker.services.operator_views import AccessPhase, Overview, VerdictView
from web.i18n import found, gettext, later, ngettext

FEEDS = {
    "none": later("no feed"),
    "new": later("opened, not heard yet"),
    "in_step": later("in step"),
    "silent": later("silent: not sold"),
}
KINDS = {
    "lease failed": later("a lease broke off"),
    "lease reclaimed": later("a lease was called back"),
    "cycle failed": later("a cycle was not applied"),
    "feed lease reclaimed": later("a feed called a lease back"),
    "feed protocol error": later("a feed broke its rules"),
}
STATUSES = {
    "open": later("open"),
    "clearing": later("clearing"),
    "applied": later("applied"),
    "failed": later("failed"),
}


def finding(overview: Overview) -> str:
    """What there is to look at, in one line."""
    parts = []
    if overview.silent:
        parts.append(ngettext("%(num)s feed is silent", "%(num)s feeds are silent", num=overview.silent))
    if overview.quarantined:
        parts.append(ngettext("%(num)s offer is in quarantine", "%(num)s offers are in quarantine", num=overview.quarantined))
    if overview.failovers_waiting:
        parts.append(ngettext("%(num)s lease waits for a new place", "%(num)s leases wait for a new place", num=overview.failovers_waiting))
    return gettext("Look at: %(parts)s.", parts=gettext(", ").join(parts)) if parts else gettext("Nothing needs a person now.")


def verdict(found_: VerdictView) -> str:
    """What became of checking a cycle again."""
    facts = {"number": found_.cycle_number, "seconds": f"{found_.cpu_seconds:.2f}"}
    broken = sum(not check.holds for check in found_.checks)
    if found_.way == "verify":
        if found_.holds:
            return gettext(
                "Every check of cycle %(number)s holds, from its book and without a solver. It took %(seconds)s s of CPU.", **facts
            )
        return gettext("Of the checks of cycle %(number)s %(broken)s do not hold. It took %(seconds)s s of CPU.", broken=broken, **facts)
    if found_.holds:
        return gettext("Cleared again, cycle %(number)s is the same to the byte. It took %(seconds)s s of CPU.", **facts)
    return gettext("Cleared again, %(broken)s tables of cycle %(number)s are not what was stored. It took %(seconds)s s of CPU.",
                   broken=broken, **facts)  # fmt: skip


def phase(each: AccessPhase, names: Sequence[tuple[str, str]]) -> str:
    """To whom offers are open."""
    known = dict(names)
    opened, closed = ([known.get(code, code) for code in codes] for codes in (each.open_to, each.closed_to))
    words = gettext("buyers of %(countries)s", countries=gettext(", ").join(opened)) if opened else gettext("everybody")
    return gettext("%(open)s, but not %(closed)s", open=words, closed=gettext(", ").join(closed)) if closed else words


def kind_words(kind: str) -> str:
    """What sort of incident it was."""
    return found(KINDS.get(kind, kind))
