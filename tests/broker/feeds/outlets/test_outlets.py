"""Leases and offers in the files of other tools; those tools themselves read them, where an interpreter that has them is named."""

import csv
import io
import os
import subprocess
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.feeds.adapters import skypilot as read_skypilot
from broker.feeds.adapters.prices import Terms
from broker.feeds.outlets import dstack, skypilot
from broker.feeds.outlets.door import door_of, ssh_config
from broker.services.access_views import AccessView
from broker.services.market_views import OfferView
from broker.world import hardware_classes
from contracts.terms.errors import BadInput
from contracts.terms.time import utc

NOW = utc("2027-01-04T00:00:00Z")
ACCESS = AccessView(
    lease_id="lse_01abc", protocol="ssh", endpoint="ssh://gpu@10.1.2.3:22", token="gfa_secret", valid_until=NOW + timedelta(hours=8)
)


def an_offer(**facts) -> OfferView:
    """Eight H100 in France at 2 dollars, 2.10 with the fee."""
    plain = {
        "offer_id": "ofr_1",
        "provider": "prv_1",
        "provider_name": "One",
        "site": "lyon-1",
        "country": "FR",
        "operator_country": "FR",
        "trust": "verified",
        "hardware": "H100-SXM",
        "memory_gb": 80.0,
        "quantity": 8,
        "firm": True,
        "uptime": 99.9,
        "certifications": [],
        "rate_micros": 2_000_000,
        "transfer_micros": 0,
        "all_in_micros": 2_100_000,
        "total_micros": 2_100_000,
        "last_rate_micros": None,
        "factor": 1.0,
        "rtt_ms": None,
        "arrival_seconds": 0,
        "observed_at": NOW,
        "age_seconds": 0,
        "source": "",
    }
    return msgspec.convert(plain | facts, OfferView)


def rows(offers) -> dict[tuple[str, str], dict[str, str]]:
    found = csv.DictReader(io.StringIO(skypilot.catalogue(offers)))
    return {(row["InstanceType"], row["Region"]): row for row in found}


def test_the_cheapest_of_a_kind_is_its_price_fee_included():
    """2.10 and 1.05 interruptible: eight cost 16.80 and 8.40."""
    found = rows([an_offer(), an_offer(all_in_micros=2_500_000), an_offer(firm=False, all_in_micros=1_050_000)])
    eight = found["8x_H100-SXM", "FR"]
    assert (eight["Price"], eight["SpotPrice"], eight["AcceleratorName"]) == ("16.800000", "8.400000", "H100")
    assert found["1x_H100-SXM", "FR"]["Price"] == "2.100000"


def test_an_hour_here_costs_what_its_work_costs_elsewhere():
    """A reference hour costs 8 dollars and an A100 does 0.25 of one: 2 dollars an hour."""
    found = rows([an_offer(hardware="A100-80", all_in_micros=8_000_000, factor=0.25)])
    assert found["1x_A100-80", "FR"]["Price"] == "2.000000"


def test_no_more_are_listed_than_there_are_and_none_without_a_place():
    assert set(rows([an_offer(quantity=3), an_offer(country=None)])) == {("1x_H100-SXM", "FR"), ("2x_H100-SXM", "FR")}


def test_what_is_written_for_skypilot_is_read_by_the_adapter_that_reads_skypilot():
    terms = Terms(hardware=hardware_classes(), slots=24, provider="gridfare")
    parsed = read_skypilot.parse(
        skypilot.catalogue([an_offer(hardware="A100-80", firm=False), an_offer(hardware="A100-80")]).encode(), terms
    )
    assert set(parsed.offers.select("hardware", "country", "rate_micros").rows()) == {("A100-80", "FR", 2_100_000)}
    assert parsed.offers.height == 8


@given(st.sampled_from(sorted(hardware_classes())), st.sampled_from(skypilot.COUNTS))
def test_an_instance_type_says_what_it_is(hardware, count):
    assert skypilot.kind_of(skypilot.instance_type(hardware, count)) == (hardware, count)


def test_a_lease_is_a_pool_by_its_token_or_by_a_key():
    door = door_of(ACCESS)
    assert skypilot.node_pool(door) == (
        'gridfare-lse-01abc:\n  user: "gpu"\n  password: "gfa_secret"\n'
        '  hosts:\n    - ip: "10.1.2.3"\n      user: "gpu"\n      password: "gfa_secret"\n'
    )
    assert "gfa_secret" not in skypilot.node_pool(door, identity_file="~/.ssh/k")


def test_another_port_needs_a_name():
    door = door_of(msgspec.structs.replace(ACCESS, endpoint="ssh://gpu@10.1.2.3:2222"))
    assert skypilot.node_pool(door, identity_file="~/.ssh/k").endswith('  hosts:\n    - "gridfare-lse-01abc"\n')
    assert ssh_config(door, identity_file="~/.ssh/k").splitlines() == [
        "Host gridfare-lse-01abc",
        "    HostName 10.1.2.3",
        "    Port 2222",
        "    User gpu",
        "    IdentityFile ~/.ssh/k",
    ]


@pytest.mark.parametrize("change", [{"protocol": "jobs", "endpoint": "http://10.1.2.3:8000"}, {"endpoint": "ssh://10.1.2.3"}])
def test_a_lease_that_is_no_shell_says_so(change):
    with pytest.raises(BadInput):
        door_of(msgspec.structs.replace(ACCESS, **change))


# --- the tools themselves

READ_FLEET = """
import sys, yaml
from dstack._internal.core.models.fleets import FleetConfiguration
fleet = FleetConfiguration.model_validate(yaml.safe_load(sys.stdin))
(host,) = fleet.ssh_config.hosts
print(fleet.name, fleet.blocks, fleet.ssh_config.user, host.hostname, host.port, fleet.ssh_config.identity_file)
"""
READ_POOL = """
import sys, yaml
from sky.ssh_node_pools import core, utils
pools = yaml.load(sys.stdin, Loader=utils.UniqueKeySafeLoader)
for name, pool in pools.items():
    core.SSHNodePoolManager()._validate_pool_config(pool)
    (host,) = utils.prepare_hosts_info(name, utils.get_cluster_config(pools, name)[name])
    print(name, host["ip"], host["user"], host["password"], host["use_ssh_config"])
"""
READ_CATALOGUE = """
import sys
from sky.catalog import common
import pandas
frame = pandas.read_csv(sys.stdin)
print(common.instance_type_exists_impl(frame, "8x_H100-SXM"))
print(common.get_hourly_cost_impl(frame, "8x_H100-SXM", False, "FR", None))
print(common.get_hourly_cost_impl(frame, "8x_H100-SXM", True, "FR", None))
print(common.get_accelerators_from_instance_type_impl(frame, "8x_H100-SXM"))
print(common.get_instance_type_for_accelerator_impl(frame, "H100", 8)[0])
infos = common.list_accelerators_impl("Gridfare", frame, True, None, None, None, False)
print(sorted((info.accelerator_count, info.price, info.spot_price, info.device_memory) for info in infos["H100"])[-1])
"""


def told_by(program: str, text: str, *, tool: str, home) -> list[str]:
    """What a program says of a text, run by the interpreter that has the tool."""
    python = os.environ.get(f"GRIDFARE_{tool}_PYTHON")
    if not python:
        pytest.skip(f"GRIDFARE_{tool}_PYTHON names no interpreter that has the package")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
    done = subprocess.run([python, "-c", program], input=text, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_dstack_takes_the_fleet(tmp_path):
    told = told_by(READ_FLEET, dstack.fleet(door_of(ACCESS), identity_file="~/.ssh/k"), tool="DSTACK", home=tmp_path)
    assert told == ["gridfare-lse-01abc auto gpu 10.1.2.3 22 ~/.ssh/k"]


def test_skypilot_takes_the_pool(tmp_path):
    assert told_by(READ_POOL, skypilot.node_pool(door_of(ACCESS)), tool="SKYPILOT", home=tmp_path) == [
        "gridfare-lse-01abc 10.1.2.3 gpu gfa_secret False"
    ]


def test_skypilot_reads_the_catalogue(tmp_path):
    text = skypilot.catalogue([an_offer(), an_offer(firm=False, all_in_micros=1_050_000), an_offer(country="DE", all_in_micros=3_000_000)])
    assert told_by(READ_CATALOGUE, text, tool="SKYPILOT", home=tmp_path) == [
        "True",
        "16.8",
        "8.4",
        "{'H100': 8}",
        "['8x_H100-SXM']",
        "(8.0, 16.8, 8.4, 80.0)",
    ]
