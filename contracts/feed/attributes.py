"""From what a provider says of an offer to a row of the market's offers; and what nobody should believe.

The protocol keeps every attribute, known or not. Those that are columns of the published table `offers` must be what the table
takes, or the offer is shown with the reason and not listed. What can be read may still be incredible: a rate far from what
others ask for the same chips, more memory than the chip has, a chip from another country than its maker's.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Annotated

import msgspec

from contracts.feed.messages import Announce
from contracts.terms.hardware import HardwareClass
from contracts.terms.money import half_up

IMPLAUSIBLE_FACTOR = 20
FEW = 3
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]
Countries = Annotated[tuple[Country, ...], msgspec.Meta(max_length=300)]


class OfferAttributes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The attributes the market reads; the others are kept and shown. Names, units and defaults are those of the table `offers`.

    The trust class of an operator is not among them: that is for the broker to say, not for a provider.
    """

    site: Text
    country: Country | None
    hardware: Text
    subdivision: Text | None = None
    operator_country: Country | None = None
    parent_country: Country | None = None
    chip_origin: Country | None = None
    memory_gb: Annotated[float, msgspec.Meta(ge=0, le=100_000)] | None = None
    node_size: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    firm: bool = True
    uptime: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    zone: Text | None = None
    watts: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 0.0
    pue: Annotated[float, msgspec.Meta(ge=1, le=10)] = 1.0
    energy_indexed: bool = False
    certifications: Annotated[tuple[Text, ...], msgspec.Meta(max_length=100)] | None = ()
    open_to: Countries = ()
    closed_to: Countries = ()


class Norms(msgspec.Struct, frozen=True, kw_only=True):
    """What is usual in the market: offers are judged against it.

    hardware  the catalogue by class name
    rates     by class: the median of providers' own medians, micros per accelerator-hour, and how many providers those are. A
              provider that floods the market moves it no more than another
    usual     by class: the rate found from those, where it has been worked out already
    """

    hardware: Mapping[str, HardwareClass]
    rates: Mapping[str, tuple[int, int]] = {}
    usual: Mapping[str, int | None] = {}

    def settled(self, names: Iterable[str]) -> "Norms":
        """The same norms with the usual rates of these classes worked out, for many offers to be judged by."""
        return msgspec.structs.replace(self, usual={name: self.usual_rate(name) for name in names})

    def usual_rate(self, hardware: str) -> int | None:
        """What a class usually costs: its own median where three providers or more ask one, else what chips cost by their throughput."""
        if hardware in self.usual:
            return self.usual[hardware]
        median, providers = self.rates.get(hardware, (0, 0))
        if providers >= FEW:
            return median
        chip = self.hardware.get(hardware)
        ratios = sorted(Fraction(rate, self.hardware[name].tflops) for name, (rate, _) in self.rates.items() if name in self.hardware)
        if chip is None or not ratios:
            return None
        return half_up(ratios[len(ratios) // 2] * chip.tflops)


def attributes_of(offer: Announce) -> OfferAttributes | str:
    """The attributes as the market reads them, or why it cannot."""
    try:
        found = msgspec.convert(offer.attributes, OfferAttributes)
    except msgspec.ValidationError as fault:
        return f"its attributes cannot be read: {fault}"
    return _completed(offer, found)


def attributes_of_all(offers: Sequence[Announce]) -> list[OfferAttributes | str]:
    """The same for many offers, which are read at once where all of them can be."""
    try:
        found = msgspec.convert([offer.attributes for offer in offers], list[OfferAttributes])
    except msgspec.ValidationError:
        return [attributes_of(offer) for offer in offers]
    return list(map(_completed, offers, found))


def _completed(offer: Announce, found: OfferAttributes) -> OfferAttributes:
    """An operator nobody names is of the site's country, and a parent nobody names of the operator's."""
    operator = found.operator_country if "operator_country" in offer.attributes else found.country
    parent = found.parent_country if "parent_country" in offer.attributes else operator
    return msgspec.structs.replace(found, operator_country=operator, parent_country=parent)


def doubt(offer: Announce, listed: OfferAttributes, *, norms: Norms) -> str:
    """Why an offer is not plausible; empty when nothing speaks against it."""
    usual = norms.usual_rate(listed.hardware)
    if usual and not usual <= offer.rate_micros * IMPLAUSIBLE_FACTOR <= usual * IMPLAUSIBLE_FACTOR**2:
        return (
            f"{offer.rate_micros} micros an accelerator-hour, where {listed.hardware} usually costs {usual}: "
            f"more than {IMPLAUSIBLE_FACTOR} times off"
        )
    chip = norms.hardware.get(listed.hardware)
    if chip is None:
        return ""
    if listed.chip_origin is not None and listed.chip_origin != chip.chip_origin:
        return f"chip_origin {listed.chip_origin}, where {chip.name} comes from {chip.chip_origin}"
    if listed.memory_gb is not None and chip.memory_gb is not None and listed.memory_gb > chip.memory_gb:
        return f"{listed.memory_gb:g} GB of memory, where {chip.name} has {chip.memory_gb:g}"
    return ""
