"""What the holder of a lease asks at its door: run a command, see how it stands, stop it. The door is an address of its own.

with Gridfare(access.endpoint, key=access.token) as door:
    job = door.send(run_job(JobRequest(arguments=("python", "train.py"), job_id="night-42")))
"""

from broker.agent.cluster import Job
from broker.agent.door import JobRequest
from broker.client.call import Call


def run_job(request: JobRequest) -> Call[Job]:
    """Run a command on everything the lease has. Name it by `job_id`: sent twice it runs once."""
    return Call(operation="RunJob", method="POST", path="/jobs", answer=Job, body=request)


def get_job(job_id: str) -> Call[Job]:
    """How a command stands, and what it wrote."""
    return Call(operation="GetJob", method="GET", path="/jobs/{job_id}", answer=Job, at={"job_id": job_id})


def stop_job(job_id: str) -> Call[Job]:
    """Stop a command."""
    return Call(operation="StopJob", method="POST", path="/jobs/{job_id}/stop", answer=Job, at={"job_id": job_id})
