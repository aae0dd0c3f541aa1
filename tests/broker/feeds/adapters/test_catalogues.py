"""gpuhunt's rows and SkyPilot's catalogue become offers."""

import csv
import io
from pathlib import Path

import gpuhunt
import pytest
from gpuhunt import AcceleratorVendor, CatalogItem
from gpuhunt._internal import storage
from hypothesis import given
from hypothesis import strategies as st

from broker.feeds.accelerator_names import NAMES
from broker.feeds.adapters import gpuhunt as hunted
from broker.feeds.adapters import skypilot
from broker.feeds.adapters.places import REGIONS, country_of
from broker.feeds.adapters.prices import Terms
from broker.world import hardware_classes
from broker.world.catalogue import countries
from contracts.terms.errors import BadInput

TERMS = Terms(hardware=hardware_classes(), slots=24, provider="aws")
NVIDIA = AcceleratorVendor.NVIDIA
HEADER = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice\n"


def item(**facts):
    plain = {
        "provider": "aws",
        "instance_name": "p4d.24xlarge",
        "location": "eu-west-3",
        "price": 32.0,
        "cpu": 96,
        "memory": 1152.0,
        "gpu_count": 8,
        "gpu_name": "A100",
        "gpu_memory": 40.0,
        "spot": False,
        "disk_size": None,
        "gpu_vendor": NVIDIA,
    }
    return CatalogItem(**(plain | facts))


def published(items, folder: Path) -> bytes:
    """The file the library itself would publish."""
    storage.dump(items, str(folder / "aws.csv"))
    return (folder / "aws.csv").read_bytes()


def facts(parsed):
    return parsed.offers.sort("rate_micros").select("provider", "site", "country", "hardware", "node_size", "rate_micros", "firm").rows()


def test_a_row_of_gpuhunt_is_one_price():
    """32 USD for eight A100 of 40 GB in Paris is 4 USD each; on spot 12 USD, 1.50 each."""
    parsed = hunted.parse_items([item(), item(price=12.0, spot=True)], TERMS)
    assert facts(parsed) == [
        ("aws", "aws:eu-west-3", "FR", "A100-40", 8, 1_500_000, False),
        ("aws", "aws:eu-west-3", "FR", "A100-40", 8, 4_000_000, True),
    ]
    assert (parsed.on_demand, parsed.interruptible) == (1, 1)


def test_its_memory_tells_boards_of_one_name_apart():
    items = [item(gpu_memory=80.0), item(gpu_name="V100", gpu_memory=32.0), item(gpu_name="V100", gpu_memory=16.0), item(gpu_name="L4")]
    assert sorted(hunted.parse_items(items, TERMS).offers["hardware"]) == ["A100-80", "L4", "V100-16", "V100-32"]


def test_its_published_file_says_the_same_as_its_rows(tmp_path):
    items = [item(), item(spot=True, price=9.0), item(gpu_count=0, gpu_name=None, gpu_vendor=None, gpu_memory=None), item(gpu_name="K80")]
    told, read = hunted.parse_items(items, TERMS), hunted.parse(published(items, tmp_path), TERMS)
    assert told.offers.equals(read.offers)
    assert told.rejected.equals(read.rejected)
    assert sorted(told.rejected["reason"]) == ["accelerator not in the hardware catalogue", "no accelerator"]


def test_everything_the_library_can_find_lands_somewhere():
    """Each accelerator it knows, as an item of its own: those we trade are offered, the others are named."""
    known = gpuhunt.KNOWN_ACCELERATORS
    items = [
        item(gpu_name=each.name, gpu_memory=float(each.memory), gpu_vendor=each.vendor, location=f"r{n}") for n, each in enumerate(known)
    ]
    parsed = hunted.parse_items(items, TERMS)
    assert parsed.offers.height + parsed.rejected.height == len(known)
    assert {"H100-PCIE", "H200", "B200", "MI300X", "L40S", "RTX-PRO-6000"} <= set(parsed.offers["hardware"])
    assert set(parsed.rejected["reason"]) == {"accelerator not in the hardware catalogue"}


def test_a_library_that_is_not_there_or_finds_nothing_is_late_and_says_so(monkeypatch):
    def down(**_):
        raise ConnectionError("no route")

    monkeypatch.setattr(gpuhunt, "query", down)
    with pytest.raises(BadInput, match="no route"):
        hunted.fetch("aws")
    monkeypatch.setattr(hunted, "LIBRARY", "gpuhunt_that_nobody_installed")
    with pytest.raises(BadInput, match="pip install"):
        hunted.fetch("aws")
    monkeypatch.undo()
    monkeypatch.setattr(gpuhunt, "query", lambda provider: [item()])
    assert hunted.parse_items(hunted.fetch("aws"), TERMS).offers.height == 1


def test_a_row_of_skypilot_is_a_price_and_perhaps_a_spot_price():
    """6.32 for eight V100 is 0.79 each."""
    payload = HEADER + "gpu_8x_v100,V100,8.0,92.0,448.0,6.32,FR,\"{'Gpus': [{'Name': 'V100'}]}\",2.4\ncpu_4x,,,4.0,16.0,0.2,FR,,\n"
    parsed = skypilot.parse(payload.encode(), Terms(hardware=hardware_classes(), slots=24, provider="lambda"))
    assert facts(parsed) == [
        ("lambda", "lambda:FR", "FR", "V100-16", 8, 300_000, False),
        ("lambda", "lambda:FR", "FR", "V100-16", 8, 790_000, True),
    ]
    assert parsed.rejected["reason"].to_list() == ["no accelerator"]


def test_what_skypilot_has_as_spot_alone_is_offered_as_spot():
    parsed = skypilot.parse((HEADER + "p5.48xlarge,H100,8,192,2048,,us-east-1,,19.2\n").encode(), TERMS)
    assert facts(parsed) == [("aws", "aws:us-east-1", "US", "H100-SXM", 8, 2_400_000, False)]
    assert parsed.rejected["reason"].to_list() == ["no price"]


def test_its_zone_is_the_site_where_it_has_one():
    payload = "InstanceType,AcceleratorName,AcceleratorCount,Price,Region,AvailabilityZone\n1x,L4,1,0.5,US,US-TX-3\n"
    parsed = skypilot.parse(payload.encode(), Terms(hardware=hardware_classes(), slots=24, provider="runpod"))
    assert facts(parsed) == [("runpod", "runpod:US-TX-3", "US", "L4", 1, 500_000, True)]


def test_a_row_that_is_no_row_costs_itself_alone():
    payload = HEADER + "short,row\ngpu_8x_v100,V100,8.0,92.0,448.0,6.32,FR,,\n"
    parsed = skypilot.parse(payload.encode(), TERMS)
    assert parsed.offers.height == 1
    assert parsed.rejected.select("row", "reason", "detail").rows() == [(0, "not one cell a column", "2 cells for 9 columns")]


@pytest.mark.parametrize(
    ("provider", "region", "country"),
    [
        ("aws", "eu-central-2", "CH"),
        ("gcp", "europe-west4", "NL"),
        ("azure", "westeurope", "NL"),
        ("runpod", "EU-RO-1", "RO"),
        ("runpod", "US-TX-3", "US"),
        ("runpod", "CA-MTL-1", "CA"),
        ("vastai", "DE", "DE"),
        ("lambda", "us-east-1", None),
        ("aws", None, None),
    ],
)
def test_a_region_is_in_a_country_where_its_name_says_so(provider, region, country):
    assert country_of(provider, region) == country


def test_every_country_of_a_region_exists():
    assert {code for regions in REGIONS.values() for code in regions.values()} <= set(countries()["country"])


WORDS = ["", "8", "0", "1.5", "nan", "inf", "-3", "1e300", "1e-9", "x\ny", '"', "é", "True", "false", *list(NAMES)[:3]]
ADAPTERS = {
    "skypilot": (skypilot.parse, (*skypilot.COLUMNS, *skypilot.OPTIONAL)),
    "gpuhunt": (hunted.parse, hunted.COLUMNS),
}


@pytest.mark.parametrize("name", ADAPTERS)
@given(data=st.data())
def test_every_row_is_offered_or_rejected_whatever_its_cells_say(name, data):
    parse, columns = ADAPTERS[name]
    rows = data.draw(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=len(columns) + 1), max_size=8))
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([columns, *rows])
    parsed = parse(out.getvalue().encode(), TERMS)
    assert not parsed.fault
    assert parsed.offers.height + parsed.rejected.height == parsed.on_demand + parsed.interruptible
    # A row of SkyPilot's has its price on demand and may have another; a row of gpuhunt's is one price.
    assert len(rows) == parsed.on_demand + (parsed.interruptible if name == "gpuhunt" else 0)
    assert parsed.offers["offer_id"].is_unique().all()
    assert parsed.rejected["reason"].null_count() == 0
