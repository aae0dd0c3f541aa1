"""The market for users of SkyPilot: its offers as a catalogue of a cloud called Gridfare, and a lease as a pool of SSH nodes.

A catalogue has one row an instance type and region; here an instance type is a number of accelerators of one class, a region is a
country. Prices are all-in, fee included, for the cheapest offer of each; what is interruptible is the spot price.
"""

import csv
import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from broker.feeds.outlets.door import SSH_PORT, Door, yaml_text
from broker.services.market_views import OfferView
from contracts.terms.money import half_up, micros_text

COLUMNS = ("InstanceType", "AcceleratorName", "AcceleratorCount", "vCPUs", "MemoryGiB", "Price", "Region", "GpuInfo", "SpotPrice")
COUNTS = (1, 2, 4, 8)
PLUGIN = Path(__file__).parent / "skypilot_plugin"
PLUGIN_FILES = ("gridfare_sky.py", "gridfare-ray.yml.j2")
# What SkyPilot calls a class where it does not call it as we do.
NAMES = {
    "A100-40": "A100",
    "A100-80": "A100-80GB",
    "GAUDI2": "Gaudi2",
    "GAUDI3": "Gaudi3",
    "H100-PCIE": "H100-PCIE",
    "H100-SXM": "H100",
    "INFERENTIA2": "Inferentia2",
    "RTX-PRO-6000": "RTXPRO6000",
    "TRAINIUM2": "Trainium2",
    "V100-16": "V100",
    "V100-32": "V100-32GB",
}
MEBIBYTES = 1_024
Kind = tuple[str, str, int]


def catalogue(offers: Iterable[OfferView]) -> str:
    """`gridfare/vms.csv`: what is on offer, by class, country and number. An offer whose country nobody knows has no region, no row.

    CPUs and memory of a machine are nobody's to say here and stay empty.
    """
    cheapest: dict[Kind, dict[bool, int]] = {}
    memory: dict[str, float | None] = {}
    for offer in offers:
        memory.setdefault(offer.hardware, offer.memory_gb)
        for count in COUNTS:
            if offer.country is not None and count <= offer.quantity:
                rates = cheapest.setdefault((offer.hardware, offer.country, count), {})
                rates[offer.firm] = min(_all_in(offer), rates.get(offer.firm, 2**63))
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(COLUMNS)
    for (hardware, country, count), rates in sorted(cheapest.items()):
        price, spot = (micros_text(count * rates[firm]) if firm in rates else "" for firm in (True, False))
        info = _gpu_info(hardware, count, gigabytes=memory[hardware])
        lines.writerow([instance_type(hardware, count), NAMES.get(hardware, hardware), float(count), "", "", price, country, info, spot])
    return out.getvalue()


def instance_type(hardware: str, count: int) -> str:
    """What a number of accelerators of a class is called."""
    return f"{count}x_{hardware}"


def kind_of(instance: str) -> tuple[str, int]:
    """Class and number behind an instance type. Raises ValueError for another cloud's."""
    count, _, hardware = instance.partition("x_")
    if not hardware:
        raise ValueError(f"{instance} is no instance type of ours, which look like 8x_H100-SXM")
    return hardware, int(count)


def node_pool(door: Door, *, identity_file: str | None = None) -> str:
    """An entry of `~/.sky/ssh_node_pools.yaml`: after `sky ssh up`, work sent to `ssh/NAME` runs on the lease.

    With a key that was let in, by that; else by the lease's token, as a password. A port that is not SSH's own cannot be said there:
    then the host is called by its name in `~/.ssh/config`.
    """
    by = {"identity_file": identity_file} if identity_file else {"password": door.password}
    host = {"ip": door.host, "user": door.user, **by}
    pool = {"user": door.user, **by, "hosts": [host] if door.port == SSH_PORT else [door.name]}
    return yaml_text({door.name: pool})


def _all_in(offer: OfferView) -> int:
    """Micros an accelerator-hour, fee and transfer included: what a reference hour costs times what an hour here is worth."""
    return half_up(Fraction(offer.all_in_micros) * Fraction(repr(offer.factor)))


def _gpu_info(hardware: str, count: int, *, gigabytes: float | None) -> str:
    """The column SkyPilot reads with Python's own reader of literals."""
    size = 0 if gigabytes is None else int(gigabytes * MEBIBYTES)
    gpu = {"Name": NAMES.get(hardware, hardware), "Manufacturer": "", "Count": float(count), "MemoryInfo": {"SizeInMiB": size}}
    return repr({"Gpus": [gpu], "TotalGpuMemoryInMiB": size * count})
