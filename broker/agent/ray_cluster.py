"""The agent's cluster on Ray: a lease is a detached placement group with an entrance in it.

Ray places and starts things; it does not part them from each other. Everybody who can run code on a cluster can reach all of it, so
holders who must not meet are given clusters, or workers in containers, of their own: the manual says how.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
import ray
from ray.util.placement_group import get_placement_group, placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from broker.agent import ray_entrance
from broker.agent.cluster import ClusterAway, Command, Hold, Job, Node, NotHeld, Want
from broker.agent.ray_entrance import Entrance, Told
from contracts.terms.errors import BadInput

NAMESPACE = "gridfare"
KIND = "accelerator_type:"
# Ray marks a machine's kind by one unit of a resource; whoever wants that kind asks for a crumb of it.
CRUMB = 0.001
SECONDS = 10.0
READY_SECONDS = 1.0
LEASE = "lse_"

ray.cloudpickle.register_pickle_by_value(ray_entrance)  # type: ignore[no-untyped-call]


class _Group(NamedTuple):
    """A placement group of ours: what Ray says of it."""

    held: Want
    state: Literal["PENDING", "CREATED", "RESCHEDULING"]


class RayCluster:
    """A Ray cluster by its address; accelerators are its GPUs, their kind the machine's `accelerator_type`."""

    def __init__(self, address: str) -> None:
        """Join the cluster. Raises BadInput when there is none."""
        try:
            ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as fault:
            raise BadInput(f"no Ray cluster answers there: {fault}", found=address, would_do="the address `ray start` printed") from fault

    def close(self) -> None:
        """Leave the cluster; what is held stays held."""
        ray.shutdown()

    def nodes(self) -> tuple[Node, ...]:
        """The machines that are alive, by id."""
        found = []
        for node in sorted(ray.nodes(), key=lambda each: str(each["NodeID"])):  # type: ignore[no-untyped-call]
            kinds = [name.removeprefix(KIND) for name in node["Resources"] if name.startswith(KIND)]
            quantity = int(node["Resources"].get("GPU", 0))
            if node["Alive"] and quantity and kinds:
                found.append(Node(id=node["NodeID"], accelerator=min(kinds), quantity=quantity))
        return tuple(found)

    def holds(self, now: datetime) -> tuple[Hold, ...]:
        """What is held for leases. Raises ClusterAway."""
        return tuple(self._hold(group, now) for group in _groups())

    def start(self, want: Want, accelerator: str) -> None:
        """Begin to hold accelerators, unless they are held."""
        if any(each.held == want for each in _groups()):
            return
        largest = max((node.quantity for node in self.nodes() if node.accelerator == accelerator), default=1)
        sizes = bundle_sizes(want.quantity, self._free(accelerator), largest=largest)
        bundles = [{"GPU": float(size), f"{KIND}{accelerator}": CRUMB} for size in sizes]
        group = placement_group(bundles, strategy="PACK", name=_name(want), lifetime="detached")
        place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
        entrance = ray.remote(Entrance).options(
            name=_name(want), lifetime="detached", num_cpus=0, max_restarts=0, max_concurrency=1, scheduling_strategy=place
        )
        entrance.remote(group, sizes=sizes, lease_id=want.lease_id)

    def stop(self, held: Want) -> None:
        """Let go of accelerators: Ray ends the entrance and whatever runs in the group with it."""
        if any(each.held == held for each in _groups()):
            remove_placement_group(get_placement_group(_name(held)))

    def submit(self, held: Want, command: Command, *, job_id: str) -> Job:
        """Run a command in every bundle of a lease. Raises NotHeld."""
        told = self._call(held, "submit", job_id, command.arguments, environment=command.environment)
        assert told is not None, "what was submitted is known"
        return told

    def job(self, held: Want, job_id: str) -> Job | None:
        """A command of a lease. Raises NotHeld."""
        return self._call(held, "job", job_id)

    def stop_job(self, held: Want, job_id: str) -> Job | None:
        """Stop a command of a lease. Raises NotHeld."""
        return self._call(held, "stop", job_id)

    def _call(self, held: Want, method: Literal["submit", "job", "stop"], *arguments: object, **options: object) -> Job | None:
        """Ask a lease's entrance. Raises NotHeld when there is none to ask, ClusterAway when it does not answer."""
        if _Group(held, "CREATED") not in _groups():
            raise NotHeld(held.lease_id)
        try:
            entrance = ray.get_actor(_name(held), namespace=NAMESPACE)
            told: Told | None = ray.get(getattr(entrance, method).remote(*arguments, **options), timeout=SECONDS)
        except (ValueError, ray.exceptions.RayActorError) as fault:
            raise NotHeld(held.lease_id) from fault
        except ray.exceptions.GetTimeoutError as fault:
            raise ClusterAway(held.lease_id) from fault
        return None if told is None else Job(job_id=told.job_id, state=told.state, exit_code=told.exit_code, output=told.output)

    def _hold(self, group: _Group, now: datetime) -> Hold:
        hold = Hold(lease_id=group.held.lease_id, quantity=group.held.quantity, state="pending")
        match group.state:
            case "PENDING":
                return hold
            case "RESCHEDULING":
                return msgspec.structs.replace(hold, state="lost")
        try:
            entrance = ray.get_actor(_name(group.held), namespace=NAMESPACE)
            since: str = ray.get(entrance.ready_since.remote(now.isoformat()), timeout=READY_SECONDS)  # type: ignore[assignment]
        except ray.exceptions.GetTimeoutError:
            return hold
        except (ValueError, ray.exceptions.RayActorError):
            return msgspec.structs.replace(hold, state="lost")
        return msgspec.structs.replace(hold, state="ready", since=datetime.fromisoformat(since))

    def _free(self, accelerator: str) -> list[int]:
        """Accelerators of a kind that nothing holds, machine by machine."""
        held: Counter[str] = Counter()
        for told in _table():
            for bundle, node in told.get("bundles_to_node_id", {}).items():
                held[node] += int(told["bundles"][bundle].get("GPU", 0))
        return [node.quantity - held[node.id] for node in self.nodes() if node.accelerator == accelerator]


def bundle_sizes(quantity: int, free: Sequence[int], *, largest: int) -> tuple[int, ...]:
    """How many accelerators to take of each machine: of the emptiest first; whole machines where there is not enough, to wait for."""
    left, sizes = quantity, []
    for room in sorted(free, reverse=True) if sum(free) >= quantity else [largest] * quantity:
        if left and room > 0:
            sizes.append(min(left, room))
            left -= sizes[-1]
    return tuple(sizes)


def _name(held: Want) -> str:
    return f"{held.lease_id}.{held.quantity}"


def _table() -> list[Mapping[str, Any]]:
    """Every placement group that is not removed, as Ray tells it."""
    try:
        return [told for told in placement_group_table().values() if told["state"] != "REMOVED"]
    except ray.exceptions.RayError as fault:
        raise ClusterAway(str(fault)) from fault


def _groups() -> list[_Group]:
    """Those of ours, by lease and quantity."""
    found = []
    for told in _table():
        lease_id, _, quantity = told["name"].rpartition(".")
        if lease_id.startswith(LEASE) and quantity.isdigit():
            found.append(_Group(Want(lease_id, int(quantity)), told["state"]))
    return sorted(found)
