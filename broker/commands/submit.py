"""`gridfare submit`: run a command on a lease, through the door its grid has opened."""

import secrets
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from broker.agent.cluster import Job
from broker.agent.door import JobRequest
from broker.client import Gridfare, calls
from broker.client.jobs import get_job, run_job, stop_job
from broker.commands.buying import PAUSES, Json, Kept, Url, market_at, say_json
from broker.commands.demands import assignments
from broker.services.access_views import AccessView
from contracts.terms.errors import NotSupported

STOPPED = 5
CODE_MAX = 255

Id = Annotated[str, typer.Argument(metavar="LEASE", help="Id of a lease that is active.")]
Words = Annotated[list[str], typer.Argument(metavar="COMMAND…", help="The program and its arguments, after `--`; no shell is put between.")]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="A name of your own: the same one twice runs it once.")]
Set = Annotated[list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="A variable to add to its environment.")]
Leave = Annotated[bool, typer.Option("--leave", help="Do not wait for its end.")]
Every = Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.05, help="How often to look.")]


def submit_command(
    lease: Id,
    words: Words,
    name: Name = None,
    env: Set = None,
    leave: Leave = False,
    every: Every = 1.0,
    url: Url = None,
    profile: Kept = None,
    json: Json = False,
) -> None:
    """Run a command on everything a lease has, wait for its end, and write what it wrote.

    Ends with the exit code of what ran; 2: refused; 5: it was stopped, or its accelerators were lost. Ctrl-C stops it.

    Example: gridfare submit lse_01 -- python -c 'print("hello")'

    Example: gridfare submit lse_01 --name night-42 --env EPOCHS=3 --leave -- python train.py
    """
    with market_at(url, profile) as market:
        access = market.send(calls.get_lease_access(lease))
    _check_jobs(access)
    request = JobRequest(arguments=tuple(words), environment=assignments(env or []), job_id=name or secrets.token_hex(8))
    with Gridfare(access.endpoint, key=access.token, pauses=PAUSES) as door:
        job = door.send(run_job(request))
        if not leave:
            job = _ended(door, job, every=every)
    _conclude(job, json=json)


def _check_jobs(access: AccessView) -> None:
    if access.protocol != "jobs":
        raise NotSupported(
            f"this lease is reached by {access.protocol} at {access.endpoint}; `gridfare lease access` shows its password",
            protocol=access.protocol,
        )


def _ended(door: Gridfare, job: Job, *, every: float) -> Job:
    """The job once it has ended. Interrupted, it is stopped first."""
    errors = Console(stderr=True)
    try:
        with errors.status(f"{job.job_id} runs; Ctrl-C stops it"):
            while job.state == "running":
                time.sleep(every)
                job = door.send(get_job(job.job_id))
    except KeyboardInterrupt:
        job = door.send(stop_job(job.job_id))
    return job


def _conclude(job: Job, *, json: bool) -> None:
    """Say how it ended, and end as it did."""
    if json:
        say_json(job)
    else:
        typer.echo(job.output, nl=bool(job.output) and not job.output.endswith("\n"))
        Console(stderr=True, highlight=False).print(f"{escape(job.job_id)}: {job.state}", style="dim")
    if job.state == "running" or (job.state == "succeeded" and not job.exit_code):
        return
    code = job.exit_code or STOPPED
    raise typer.Exit(code if 0 < code <= CODE_MAX else STOPPED)
