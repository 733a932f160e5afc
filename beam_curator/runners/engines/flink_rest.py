"""Flink's REST interface, to cancel jobs: through Beam's job server, a cancellation did not reach batch jobs.

Source: Flink's documentation, REST API, `/jobs/overview` and `PATCH /jobs/:jobid?mode=cancel`.
"""

import json
import urllib.error
import urllib.request

_ANSWER_WITHIN = 5.0
_ENDED = ("FINISHED", "FAILED", "CANCELED")


def cancel_jobs(master: str, name: str) -> list[str]:
    """Cancel the jobs of a name that have not ended; a cluster that does not answer is left alone.

    Args:
      master: address of the cluster, `http://host:port`.
      name: as Flink shows it.

    Returns:
      The ids of the jobs that were asked to end.
    """
    try:
        with urllib.request.urlopen(f"{master}/jobs/overview", timeout=_ANSWER_WITHIN) as answer:
            found = json.load(answer)["jobs"]
        jobs = [job["jid"] for job in found if job["name"] == name and job["state"] not in _ENDED]
        for job in jobs:
            request = urllib.request.Request(f"{master}/jobs/{job}?mode=cancel", method="PATCH")
            urllib.request.urlopen(request, timeout=_ANSWER_WITHIN).close()
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return []
    return jobs
