"""Gridfare as a cloud of SkyPilot (0.14): prices from the catalogue, machines from leases.

~/.sky/plugins.yaml:
    plugins:
      - class: gridfare_sky.GridfarePlugin
        parameters: {hours: 8}

A launch takes a quote of the instance type for `hours`, accepts it, waits until the site lets the lease's holder in, and lets SkyPilot's
key in with the lease's token. Going down releases the lease. Address and key of the broker are those `gridfare login` kept. A lease ends:
a cluster lives no longer than it. One node a cluster; no stopping, no images, no ports.
"""

# ruff: noqa: ARG001, ARG002, ARG003, ARG005, FBT001 (who is called with what is SkyPilot's to say)
# mypy: disable-error-code="import-not-found,misc,no-any-return,type-arg"

import json
import shlex
import subprocess
import sys
import tempfile
import time
import types
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sky import clouds, provision
from sky.catalog import common as tables
from sky.provision import common
from sky.server import plugins
from sky.skylet import constants
from sky.utils import auth_utils, registry, resources_utils, status_lib

NAME = "gridfare"
CATALOGUE = f"{NAME}/vms.csv"
TEMPLATE = str(Path(__file__).with_name("gridfare-ray.yml.j2"))
BROKERS = Path("~/.config/gridfare/brokers.json")
LEASES = Path("~/.sky/gridfare")
WAIT_SECONDS, LOOK_SECONDS = 1_800.0, 5.0
SECONDS = 30
IN_FORCE = {"awarded": "INIT", "provisioning": "INIT", "active": "UP"}
HOURS = {"hours": 8.0}
STANDING = ("STOP", "AUTOSTOP", "AUTODOWN", "AUTO_TERMINATE", "MULTI_NODE", "HOST_CONTROLLERS", "HIGH_AVAILABILITY_CONTROLLERS")
EQUIPMENT = ("IMAGE_ID", "DOCKER_IMAGE", "OPEN_PORTS", "CLONE_DISK_FROM_CLUSTER", "CUSTOM_DISK_TIER", "LOCAL_DISK", "STORAGE_MOUNTING")
UNSUPPORTED = (*STANDING, *EQUIPMENT, "CUSTOM_NETWORK_TIER", "CUSTOM_MULTI_NETWORK")


# --- the broker


def asked(path: str, body: dict[str, object] | None = None, *, once: str = "") -> Any:
    """One request of the broker's API with the kept key; a POST where there is a body. Raises RuntimeError with what the broker says."""
    kept = json.loads(BROKERS.expanduser().read_text())
    broker = kept["known"][kept["current"]]
    headers = {"Authorization": f"Bearer {broker['key']}", "Content-Type": "application/json"}
    if once:
        headers["Idempotency-Key"] = once
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{broker['url'].rstrip('/')}/v1{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as refusal:
        raise RuntimeError(f"Gridfare refused: {refusal.read().decode(errors='replace')}") from refusal


def kept_lease(cluster: str) -> Path:
    """Where the id of a cluster's lease is kept."""
    return LEASES.expanduser() / cluster


def lease_of(cluster: str) -> str | None:
    """The lease of a cluster; None where there is none."""
    path = kept_lease(cluster)
    return path.read_text() if path.is_file() else None


def opened(lease: str) -> Any:
    """The access of a lease, once its site lets somebody in. Raises RuntimeError when it ends before, or takes longer than half an hour."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        state = asked(f"/leases/{lease}")["state"]
        if state == "active":
            return asked(f"/leases/{lease}/access")
        if state not in IN_FORCE:
            raise RuntimeError(f"lease {lease} was {state} before it began")
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"lease {lease} was not ready within {WAIT_SECONDS:.0f} s")


def door(access: Any) -> tuple[str, int, str]:
    """Host, port and user of an access. Raises RuntimeError for a lease that is not reached by SSH."""
    found = urlsplit(access["endpoint"])
    if access["protocol"] != "ssh" or not found.hostname or not found.username:
        raise RuntimeError(f"lease {access['lease_id']} is reached by {access['protocol']}, and SkyPilot needs SSH")
    return found.hostname, found.port or 22, found.username


def let_in(access: Any, public_key: str) -> None:
    """Let a key in, with the lease's token as the password. Raises RuntimeError when the site will not."""
    host, port, user = door(access)
    with tempfile.TemporaryDirectory() as folder:
        says = Path(folder) / "says"
        says.touch(0o700)
        says.write_text(f"#!/bin/sh\necho {shlex.quote(access['token'])}\n")
        order = ["env", f"SSH_ASKPASS={says}", "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none", "ssh-copy-id", "-i", public_key]
        order += ["-p", str(port), "-o", "StrictHostKeyChecking=accept-new", f"{user}@{host}"]
        done = subprocess.run(order, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise RuntimeError(f"the lease's host lets no key in: {done.stderr.strip()}")


# --- the catalogue, as SkyPilot looks for one: a module of its own by the cloud's name


def frame() -> Any:
    """The catalogue that `gridfare outlet skypilot-catalogue` wrote, read anew when asked for first."""
    return tables.read_catalog(CATALOGUE)


def instance_types(acc_name: str, acc_count: float, *rest: Any) -> Any:
    """Instance types with so many of an accelerator, cheapest first."""
    cpus, memory, use_spot, _, region, zone, most = (*rest, *[None] * 7)[:7]
    facts = {"cpus": cpus, "memory": memory, "use_spot": bool(use_spot), "region": region, "zone": zone, "max_hourly_cost": most}
    return tables.get_instance_type_for_accelerator_impl(df=frame(), acc_name=acc_name, acc_count=acc_count, **facts)


def regions_of(instance_type: str, use_spot: bool) -> Any:
    """Countries an instance type is had in."""
    rows = frame()
    return tables.get_region_zones(rows[rows["InstanceType"] == instance_type], use_spot)


def catalogue_module() -> types.ModuleType:
    """The module `sky.catalog.gridfare_catalog`."""
    module = types.ModuleType(f"sky.catalog.{NAME}_catalog")
    module.__dict__.update(
        instance_type_exists=lambda name: tables.instance_type_exists_impl(frame(), name),
        validate_region_zone=lambda region, zone: tables.validate_region_zone_impl(NAME, frame(), region, zone),
        get_hourly_cost=lambda name, spot=False, region=None, zone=None: tables.get_hourly_cost_impl(frame(), name, spot, region, zone),
        get_vcpus_mem_from_instance_type=lambda name: (None, None),
        get_accelerators_from_instance_type=lambda name: tables.get_accelerators_from_instance_type_impl(frame(), name),
        get_arch_from_instance_type=lambda name: None,
        get_local_disk_from_instance_type=lambda name: None,
        get_default_instance_type=lambda *_: None,
        get_instance_type_for_accelerator=instance_types,
        get_region_zones_for_instance_type=regions_of,
        list_accelerators=lambda *rest: tables.list_accelerators_impl("Gridfare", frame(), *rest[:-1]),
        regions=lambda: tables.get_region_zones(frame(), False),
    )
    return module


# --- the cloud. SkyPilot configures SSH for the clouds it names and no other; Cudo's way is the plain one, so this is a kind of it.


class Gridfare(clouds.Cudo):
    """The market as a cloud: regions are countries, an instance type is a number of accelerators of a class."""

    _REPR = "Gridfare"

    @classmethod
    def _unsupported_features_for_resources(cls, *_: Any, **__: Any) -> dict:
        named = clouds.CloudImplementationFeatures
        return {getattr(named, name): "A lease is one machine as it is." for name in UNSUPPORTED if hasattr(named, name)}

    @classmethod
    def regions_with_offering(cls, instance_type: str, *_: Any, region: str | None = None, use_spot: bool = False, **__: Any) -> list:
        """Countries an instance type is had in."""
        return [each for each in regions_of(instance_type, use_spot) if region in (None, each.name)]

    @classmethod
    def zones_provision_loop(cls, **_: Any) -> Any:
        """There are no zones."""
        yield None

    def instance_type_exists(self, instance_type: str) -> bool:
        """Whether it is on offer."""
        return tables.instance_type_exists_impl(frame(), instance_type)

    def instance_type_to_hourly_cost(self, instance_type: str, use_spot: bool, *place: Any) -> float:
        """Of the cheapest offer, fee included."""
        return tables.get_hourly_cost_impl(frame(), instance_type, use_spot, *place)

    @classmethod
    def get_vcpus_mem_from_instance_type(cls, instance_type: str) -> tuple[None, None]:
        """Nobody's to say."""
        return None, None

    @classmethod
    def get_accelerators_from_instance_type(cls, instance_type: str) -> Any:
        """What it has."""
        return tables.get_accelerators_from_instance_type_impl(frame(), instance_type)

    @classmethod
    def get_default_instance_type(cls, **_: Any) -> None:
        """The market sells accelerators; without one there is nothing to take."""
        return

    def validate_region_zone(self, region: Any, zone: Any) -> Any:
        """Countries only."""
        return tables.validate_region_zone_impl(NAME, frame(), region, zone)

    @classmethod
    def regions(cls) -> list:
        """Countries of the catalogue."""
        return tables.get_region_zones(frame(), False)

    def make_deploy_resources_variables(self, resources: Any, *_: Any, region: Any = None, **__: Any) -> dict[str, object]:
        """What the template is filled with."""
        named = resources.assert_launchable()
        held = self.get_accelerators_from_instance_type(named.instance_type)
        return {
            "instance_type": named.instance_type,
            "custom_resources": resources_utils.make_ray_custom_resources_str(held),
            "region": resources.region if region is None else region.name,
            "tier": "spot" if named.use_spot else "standard",
            "hours": HOURS["hours"],
            "num_nodes": 1,
        }

    def _get_feasible_launchable_resources(self, resources: Any) -> Any:
        if resources.instance_type is not None:
            return resources_utils.FeasibleResources([resources.copy(accelerators=None)], [], None)
        if not resources.accelerators:
            return resources_utils.FeasibleResources([], [], "Gridfare sells accelerators; name one.")
        ((name, count),) = resources.accelerators.items()
        rest = (resources.cpus, resources.memory, resources.use_spot, None, resources.region, resources.zone, resources.max_hourly_cost)
        found, close = instance_types(name, count, *rest)
        made = [resources.copy(cloud=self, instance_type=each, accelerators=None, cpus=None, memory=None) for each in found or []]
        return resources_utils.FeasibleResources(made, close, None)

    @classmethod
    def _check_compute_credentials(cls) -> tuple[bool, str | None]:
        there = BROKERS.expanduser().is_file() and Path(tables.get_catalog_path(CATALOGUE)).is_file()
        return there, None if there else "Sign in with `gridfare login`, and write the catalogue: gridfare outlet skypilot-catalogue"

    def get_credential_file_mounts(self) -> dict[str, str]:
        """The key stays here: a machine of a lease has no business with the account."""
        return {}


# --- machines


def run_instances(region: str, cluster_name: str, cluster_name_on_cloud: str, config: common.ProvisionConfig) -> common.ProvisionRecord:
    """Buy a lease for a cluster, or take the one it has; back once SkyPilot's key is let in."""
    lease = lease_of(cluster_name_on_cloud)
    created = lease is None or asked(f"/leases/{lease}")["state"] not in IN_FORCE
    if created:
        node, once = config.node_config, f"sky {uuid.uuid4().hex}"
        count, _, hardware = node["InstanceType"].partition("x_")
        wish = {
            "accelerators": int(count),
            "hours": float(node["Hours"]),
            "hardware": [hardware],
            "countries": [region],
            "tier": node["Tier"],
        }
        quote = asked("/quotes", wish, once=f"{once} ask")
        lease = str(asked(f"/quotes/{quote['quote_id']}/accept", {}, once=f"{once} take")["lease_id"])
        kept_lease(cluster_name_on_cloud).parent.mkdir(parents=True, exist_ok=True)
        kept_lease(cluster_name_on_cloud).write_text(lease)
    let_in(opened(str(lease)), auth_utils.get_or_generate_keys()[1])
    facts = {"provider_name": NAME, "region": region, "zone": None, "cluster_name": cluster_name_on_cloud}
    return common.ProvisionRecord(**facts, head_instance_id=lease, resumed_instance_ids=[], created_instance_ids=[lease] if created else [])


def query_instances(cluster_name: str, cluster_name_on_cloud: str, *_: Any, non_terminated_only: bool = True, **__: Any) -> dict:
    """The lease of a cluster and how it stands; nothing where it has none or it has ended."""
    lease = lease_of(cluster_name_on_cloud)
    state = asked(f"/leases/{lease}")["state"] if lease else None
    if state not in IN_FORCE:
        return {} if lease is None or non_terminated_only else {lease: (None, f"the lease was {state}")}
    return {lease: (getattr(status_lib.ClusterStatus, IN_FORCE[state]), None)}


def terminate_instances(cluster_name_on_cloud: str, *_: Any, worker_only: bool = False, **__: Any) -> None:
    """Release the lease; what is left of it is sold to somebody else."""
    lease = lease_of(cluster_name_on_cloud)
    if lease is None or worker_only:
        return
    if asked(f"/leases/{lease}")["state"] in IN_FORCE:
        asked(f"/leases/{lease}/release", {}, once=f"sky {lease} release")
    kept_lease(cluster_name_on_cloud).unlink()


def get_cluster_info(region: str, cluster_name_on_cloud: str, provider_config: dict | None = None) -> common.ClusterInfo:
    """Where the machine is, and who logs in."""
    lease = lease_of(cluster_name_on_cloud)
    if lease is None:
        return common.ClusterInfo(instances={}, head_instance_id=None, provider_name=NAME, provider_config=provider_config)
    host, port, user = door(asked(f"/leases/{lease}/access"))
    info = common.InstanceInfo(instance_id=lease, internal_ip=host, external_ip=host, tags={}, ssh_port=port)
    facts = {"head_instance_id": lease, "provider_name": NAME, "provider_config": provider_config, "ssh_user": user}
    return common.ClusterInfo(instances={lease: [info]}, **facts)


def stop_instances(*_: Any, **__: Any) -> None:
    """A lease cannot be stopped. Raises NotImplementedError."""
    raise NotImplementedError("a lease runs or is released; sky down releases it")


def provisioner() -> types.SimpleNamespace:
    """The lifecycle as SkyPilot calls it."""
    return types.SimpleNamespace(
        bootstrap_instances=lambda region, cluster, config: config,
        run_instances=run_instances,
        wait_instances=lambda *_: None,
        query_instances=query_instances,
        terminate_instances=terminate_instances,
        stop_instances=stop_instances,
        get_cluster_info=get_cluster_info,
        open_ports=lambda *_, **__: None,
        cleanup_ports=lambda *_, **__: None,
        cleanup_custom_multi_network=lambda *_, **__: None,
    )


class GridfarePlugin(plugins.BasePlugin):
    """What `plugins.yaml` names."""

    def __init__(self, hours: float = 8.0) -> None:
        HOURS["hours"] = hours

    @property
    def name(self) -> str:
        """As it is shown."""
        return "Gridfare"

    def install(self, extension_context: Any) -> None:
        """Make the cloud known: its name, its catalogue, its machines."""
        if NAME not in constants.ALL_CLOUDS:
            constants.ALL_CLOUDS += (NAME,)
        sys.modules[f"sky.catalog.{NAME}_catalog"] = catalogue_module()
        if NAME not in registry.CLOUD_REGISTRY:
            registry.CLOUD_REGISTRY.register(Gridfare)
        provision.register_provisioner(NAME, provisioner(), template_override=lambda *_, **__: provision.TemplateSpec(TEMPLATE))
