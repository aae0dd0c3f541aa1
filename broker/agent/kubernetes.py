"""A lease on Kubernetes: a namespace of its holder's own, and for each spell a suspended job whose pods hold the accelerators.

Whoever delivers resumes a job when its spell begins (`gridfare.dev/begins` says when); it ends by itself when the spell does. The
holder's service account may enter the pods and read what they say, and nothing else, anywhere else.
"""

import msgspec

from broker.agent.spells import LeaseToEmit, Spell, parts, spells
from contracts.terms.time import iso

HOLDER = "holder"
LABEL = "gridfare.dev/lease"
BEGINS, ENDS = "gridfare.dev/begins", "gridfare.dev/ends"
Manifest = dict[str, object]


class KubernetesSite(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster calls things.

    resource   what a pod asks for to get an accelerator
    image      what the pods run; its shell is the holder's
    selector   labels of the machines with this class, as the cluster has them
    node_size  accelerators in a machine
    """

    resource: str = "nvidia.com/gpu"
    image: str = "ubuntu:24.04"
    selector: dict[str, str] = {}
    node_size: int = 8


def manifests(lease: LeaseToEmit, site: KubernetesSite) -> Manifest:
    """Everything a lease needs, as one list for `kubectl apply -f -`. Raises BadInput for a lease of nothing."""
    name = lease.lease_id.replace("_", "-").lower()
    held = spells(lease)
    most = max(spell.quantity for spell in held)
    items: list[Manifest] = [
        _object("v1/Namespace", name, labels={LABEL: lease.lease_id, "pod-security.kubernetes.io/enforce": "baseline"}),
        _object("v1/ResourceQuota", "lease", namespace=name, spec={"hard": {f"requests.{site.resource}": str(most)}}),
        _object("networking.k8s.io/v1/NetworkPolicy", "own-only", namespace=name, spec=_own_traffic()),
        _object("v1/ServiceAccount", HOLDER, namespace=name),
        _object("rbac.authorization.k8s.io/v1/Role", HOLDER, namespace=name) | {"rules": _rules()},
        _object("rbac.authorization.k8s.io/v1/RoleBinding", HOLDER, namespace=name)
        | {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": HOLDER},
            "subjects": [{"kind": "ServiceAccount", "name": HOLDER, "namespace": name}],
        },
        *(_job(number, spell, namespace=name, site=site) for number, spell in enumerate(held)),
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _object(kind: str, name: str, **facts: object) -> Manifest:
    """An object of a kind, `API/KIND`; what of the facts is of its metadata goes there."""
    api, _, word = kind.rpartition("/")
    meta: Manifest = {key: facts.pop(key) for key in ("namespace", "labels", "annotations") if key in facts}
    return {"apiVersion": api, "kind": word, "metadata": {"name": name} | meta, **facts}


def _rules() -> list[Manifest]:
    return [
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods/exec", "pods/portforward"], "verbs": ["create"]},
    ]


def _own_traffic() -> Manifest:
    """The pods of a lease hear each other and nobody else; they may call out."""
    return {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]}


def _job(number: int, spell: Spell, *, namespace: str, site: KubernetesSite) -> Manifest:
    count, size = parts(spell.quantity, site.node_size)
    amount = {site.resource: str(size)}
    container = {
        "name": "work",
        "image": site.image,
        "command": ["sleep", "infinity"],
        "resources": {"requests": amount, "limits": amount},
        "securityContext": {"allowPrivilegeEscalation": False},
    }
    pod: Manifest = {"restartPolicy": "OnFailure", "automountServiceAccountToken": False, "containers": [container]}
    if site.selector:
        pod["nodeSelector"] = dict(site.selector)
    spec = {
        "suspend": True,
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": count,
        "activeDeadlineSeconds": spell.seconds,
        "ttlSecondsAfterFinished": 3_600,
        "template": {"spec": pod},
    }
    times = {BEGINS: iso(spell.start), ENDS: iso(spell.end)}
    return _object("batch/v1/Job", f"hold-{number}", namespace=namespace, annotations=times, spec=spec)
