"""A lease for users of dstack: an SSH fleet, which `dstack apply` takes over as it takes any machine of one's own."""

from broker.feeds.outlets.door import Door, Tree, yaml_text


def fleet(door: Door, *, identity_file: str) -> str:
    """`fleet.dstack.yml`: one host, logged in to with a key that was let in; dstack knows no passwords.

    The accelerators of the machine are found by dstack itself; `blocks: auto` lets several runs share them.
    """
    config: dict[str, Tree] = {"user": door.user, "identity_file": identity_file, "hosts": [{"hostname": door.host, "port": door.port}]}
    return yaml_text({"type": "fleet", "name": door.name, "blocks": "auto", "ssh_config": config})
