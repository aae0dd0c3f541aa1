"""What to announce of a cluster: its machines, under the terms of who owns them."""

from collections.abc import Mapping, Sequence

import msgspec

from broker.agent.cluster import Node
from contracts.feed.messages import Announce, Capacity, Micros, Name, Seconds, Withdraw


class OfferTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One offer of a grid: every accelerator of one kind at one site.

    accelerator  what the cluster calls them
    rate_micros  the least accepted, micro-currency per accelerator-hour
    attributes   as in the feed; `node_size` is read from the machines unless it is said here
    """

    offer_id: Name
    accelerator: str
    rate_micros: Micros
    ttl_seconds: Seconds = 3_600
    attributes: dict[str, object]


def changes(
    offers: Sequence[OfferTerms], nodes: Sequence[Node], *, said: Mapping[str, Announce], version: int
) -> list[Announce | Capacity | Withdraw]:
    """What to say so that what was said becomes what is: nothing when it already is; by offer id.

    said     offer_id → as it was last announced
    version  what a change is numbered with; greater than any before
    """
    wanted = {each.offer_id: each for each in (_offer(terms, nodes, version=version) for terms in offers) if each.quantity}
    told: list[Announce | Capacity | Withdraw] = []
    for offer_id in sorted({*wanted, *said}):
        new, old = wanted.get(offer_id), said.get(offer_id)
        if new is None:
            told.append(Withdraw(offer_id=offer_id, reason="no machine of this kind is alive"))
        elif old is None or _apart_from_quantity(old) != _apart_from_quantity(new):
            told.append(new)
        elif old.quantity != new.quantity:
            told.append(Capacity(offer_id=offer_id, version=version, quantity=new.quantity))
    return told


def _offer(terms: OfferTerms, nodes: Sequence[Node], *, version: int) -> Announce:
    sizes = [node.quantity for node in nodes if node.accelerator == terms.accelerator]
    return Announce(
        offer_id=terms.offer_id,
        version=version,
        quantity=sum(sizes),
        rate_micros=terms.rate_micros,
        ttl_seconds=terms.ttl_seconds,
        attributes={"node_size": max(sizes, default=1), **terms.attributes},
    )


def _apart_from_quantity(offer: Announce) -> Announce:
    return msgspec.structs.replace(offer, quantity=0, version=1)
