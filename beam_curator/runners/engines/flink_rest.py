"""Flink's REST interface, to cancel jobs: through Beam's job server, a cancellation did not reach batch jobs.

Source: Flink's documentation, REST API, `/jobs/overview` and `PATCH /jobs/:jobid?mode=cancel`.
"""

import json
import time
import urllib.error
import urllib.request

_ANSWER_WITHIN = 5.0
_LOOK_EVERY = 0.2
_ENDED = ("FINISHED", "FAILED", "CANCELED")


def job_name(run: str) -> str:
    """Return the name that an engine shows for a run."""
    return f"beam-curator-{run[:12]}"


def http_address(master: str) -> str:
    """Return the address of a cluster's REST interface.

    Example:
      >>> http_address("flink:8081"), http_address("https://flink:8081")
      ('http://flink:8081', 'https://flink:8081')
    """
    return master if master.startswith(("http://", "https://")) else f"http://{master}"


def cancel_jobs(master: str, name: str, end_within: float = 0.0) -> list[str]:
    """Cancel the jobs of a name that have not ended; a cluster that does not answer is left alone.

    Args:
      master: address of the cluster, `http://host:port`.
      name: as Flink shows it.
      end_within: seconds to wait for their end.

    Returns:
      The ids of the jobs that were asked to end.
    """
    try:
        jobs = _running(master, name)
        for job in jobs:
            request = urllib.request.Request(f"{master}/jobs/{job}?mode=cancel", method="PATCH")
            urllib.request.urlopen(request, timeout=_ANSWER_WITHIN).close()
        until = time.monotonic() + end_within
        while time.monotonic() < until and _running(master, name):
            time.sleep(_LOOK_EVERY)
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return []
    return jobs


def _running(master: str, name: str) -> list[str]:
    with urllib.request.urlopen(f"{master}/jobs/overview", timeout=_ANSWER_WITHIN) as answer:
        found = json.load(answer)["jobs"]
    return [job["jid"] for job in found if job["name"] == name and job["state"] not in _ENDED]
