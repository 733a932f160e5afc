"""Running a live job: a pipeline on an engine, until the source has ended and all that it gave is committed."""

import os
import time
import uuid
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import FlinkRunnerOptions, GoogleCloudOptions
from apache_beam.pvalue import PBegin
from apache_beam.runners.runner import PipelineState

from beam_curator.live.lag import LAG
from beam_curator.runners.engines.flink_rest import cancel_jobs, http_address
from beam_curator.runners.engines.opening import FoundEngine
from beam_curator.runners.job_run import go_on, run_to_end
from beam_curator.runners.options import UsageError
from beam_curator.runners.presets import LOCAL_MASTERS

_LOOK_EVERY = 0.2
_END_WITHIN = 30.0
_CANCELLED = "JobCancellationException"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEnd:
    """How a command of a live job ended.

    Attributes:
      is_done: whether the source has ended; else the job was stopped on its engine.
      lags: steps of lags to numbers of chunks.
    """

    is_done: bool
    lags: dict[int, int]


def run_live(
    streams: beam.PTransform[PBegin, Any], found: FoundEngine, run: str, done: str, *, verbose: bool
) -> LiveEnd:
    """Run a live job to its end.

    Args:
      streams: the whole job.
      found: the engine.
      run: token of the run; the job is named after it.
      done: a file that the source makes when all of it is committed: Flink ends no job with checkpoints by itself.
      verbose: pass the logs of the engine's servers on.

    Raises:
      JobFailedError, ServerFailedError: it did not come to its end, or the engine did not come up.
    """
    with found.opened(os.path.dirname(done), jobs=1, verbose=verbose, run=run) as runner:
        pipeline = beam.Pipeline(runner=runner, options=found.options)
        _ = pipeline | "Stream" >> streams
        result = run_to_end(pipeline, lambda result: _wait_until_done(result, done))
        lags = _lags_in(result)
        if found.engine.name != "flink":
            return LiveEnd(is_done=True, lags=lags)
        name = found.options.view_as(GoogleCloudOptions).job_name
        master = found.options.view_as(FlinkRunnerOptions).flink_master
        if master not in LOCAL_MASTERS:
            # its checkpoints can be removed when it is no more
            cancel_jobs(http_address(master), name, end_within=_END_WITHIN)
        return LiveEnd(is_done=os.path.exists(done), lags=lags)


def leave_to_engine(streams: beam.PTransform[PBegin, Any], found: FoundEngine, *, verbose: bool) -> None:
    """Hand a live job to an engine where it goes on by itself.

    Raises:
      JobFailedError: the engine does not take it.
      UsageError: Beam refuses its options.
    """
    with found.opened("", jobs=1, verbose=verbose, run=uuid.uuid4().hex) as runner:
        try:
            pipeline = beam.Pipeline(runner=runner, options=found.options)
        except ValueError as err:  # Beam has looked at its own options
            raise UsageError(f"runner {found.engine.name}: {err}") from err
        _ = pipeline | "Stream" >> streams
        run_to_end(pipeline, go_on)


def _lags_in(result: Any) -> dict[int, int]:
    """Return the numbers of chunks by the steps of their lags; none where an engine does not tell."""
    try:
        counters = {counter.key.metric.name: counter.result for counter in result.metrics().query()["counters"]}
    except Exception:  # whatever an engine raises: lags are for people only
        return {}
    return {int(name.removeprefix(LAG)): n for name, n in counters.items() if name.startswith(LAG)}


def _wait_until_done(result: Any, done: str) -> None:
    while not (PipelineState.is_terminal(result.state) or os.path.exists(done)):
        time.sleep(_LOOK_EVERY)
    if result.state != PipelineState.FAILED:
        return
    try:
        result.wait_until_finish()
    except RuntimeError as err:
        # that is how the job server tells of a job that somebody cancelled on the cluster
        if _CANCELLED not in str(err):
            raise
