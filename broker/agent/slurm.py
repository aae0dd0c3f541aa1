"""A lease on Slurm: for each spell a batch job that holds the accelerators from its beginning on and ends with it.

Its holder is a Unix user of the cluster, in whose name the job runs: `srun --jobid=… --overlap` enters it, and Slurm keeps others out.
Slurm reads times in the zone of whoever submits, so these are submitted as `TZ=UTC sbatch`.
"""

import shlex

import msgspec

from broker.agent.spells import LeaseToEmit, Spell, spells

DAY, HOUR, MINUTE = 86_400, 3_600, 60


class SlurmSite(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster calls things; empty names are left to its defaults.

    gres       type of the accelerators in `gpu:TYPE:COUNT`
    node_size  accelerators in a machine
    """

    gres: str = ""
    partition: str = ""
    account: str = ""
    reservation: str = ""
    node_size: int = 8


def scripts(lease: LeaseToEmit, site: SlurmSite) -> tuple[str, ...]:
    """One batch script a spell, in order of time. Raises BadInput for a lease of nothing."""
    return tuple(_script(lease.lease_id, number, spell=spell, site=site) for number, spell in enumerate(spells(lease)))


def _script(lease_id: str, number: int, *, spell: Spell, site: SlurmSite) -> str:
    nodes = -(-spell.quantity // site.node_size)
    options = {
        "job-name": f"{lease_id}.{number}",
        "begin": f"{spell.start:%Y-%m-%dT%H:%M:%S}",
        "deadline": f"{spell.end:%Y-%m-%dT%H:%M:%S}",
        "time": _duration(spell.seconds),
        "time-min": _duration(min(MINUTE, spell.seconds)),
        "nodes": str(nodes),
        "ntasks-per-node": "1",
        "gpus": f"{site.gres}:{spell.quantity}" if site.gres else str(spell.quantity),
        "partition": site.partition,
        "account": site.account,
        "reservation": site.reservation,
        "output": f"{lease_id}.{number}.%j.out",
    }
    lines = [f"#SBATCH --{name}={shlex.quote(value)}" for name, value in options.items() if value]
    return "\n".join(
        [
            "#!/bin/bash",
            f"# Lease {lease_id}: {spell.quantity} accelerators on {nodes} machines. Submit with `TZ=UTC sbatch`: the times are UTC.",
            *lines,
            "#SBATCH --no-requeue",
            "# It ends with its spell, however late it began.",
            f'srun sleep "$(( {int(spell.end.timestamp())} - $(date +%s) ))"',
            "",
        ]
    )


def _duration(seconds: int) -> str:
    """Days, hours, minutes and seconds as `sbatch --time` reads them."""
    days, rest = divmod(seconds, DAY)
    return f"{days}-{rest // HOUR:02}:{rest % HOUR // MINUTE:02}:{rest % MINUTE:02}"
