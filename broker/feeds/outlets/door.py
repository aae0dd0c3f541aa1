"""A lease as a machine one may log in to: what tools that speak SSH need of an access, and how they are told."""

import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from broker.services.access_views import AccessView
from contracts.terms.errors import BadInput

SSH_PORT = 22
Tree = Mapping[str, "Tree"] | Sequence["Tree"] | str | int


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """Where a lease is logged in to.

    name      of the lease, for tools that want a name: lower-case letters, digits and dashes
    password  the lease's token, let in until the lease ends
    """

    name: str
    host: str
    port: int
    user: str
    password: str


def door_of(access: AccessView) -> Door:
    """The door behind an access. Raises BadInput for a lease that is not reached by SSH, or whose endpoint names no user."""
    name = "gridfare-" + "".join(letter if letter.isalnum() else "-" for letter in access.lease_id.lower())
    try:
        found = urlsplit(access.endpoint)
        host, port, user = found.hostname, found.port or SSH_PORT, found.username
    except ValueError as error:
        raise BadInput("the endpoint of the lease cannot be read", found=access.endpoint) from error
    if access.protocol != "ssh" or found.scheme != "ssh":
        raise BadInput("this lease is not reached by SSH", found=access.protocol, would_do="a lease at a site whose leases are shells")
    if not host or not user:
        raise BadInput("the endpoint of the lease names no host and user", found=access.endpoint, would_do="ssh://user@host:port")
    return Door(name=name, host=host, port=port, user=user, password=access.token)


def ssh_config(door: Door, *, identity_file: str) -> str:
    """The lease as a host of `~/.ssh/config`, so that `ssh NAME` logs in with a key that was let in."""
    facts = {"HostName": door.host, "Port": door.port, "User": door.user, "IdentityFile": identity_file}
    return f"Host {door.name}\n" + "".join(f"    {name} {value}\n" for name, value in facts.items())


def yaml_text(tree: Mapping[str, Tree], *, indent: int = 0) -> str:
    """A mapping as YAML, block by block; texts are quoted as JSON quotes them, which YAML reads alike."""
    space = "  " * indent
    lines = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            lines.append(f"{space}{name}:\n{yaml_text(value, indent=indent + 1)}")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            lines.append(f"{space}{name}:\n" + "".join(_item(each, indent=indent + 1) for each in value))
        else:
            lines.append(f"{space}{name}: {json.dumps(value)}\n")
    return "".join(lines)


def _item(value: Tree, *, indent: int) -> str:
    space = "  " * indent
    if not isinstance(value, Mapping):
        return f"{space}- {json.dumps(value)}\n"
    body = yaml_text(value, indent=indent + 1)
    return f"{space}- {body.removeprefix(space + '  ')}"
