"""A live job on Flink that was killed or stopped: its options, its name on the cluster, and its latest checkpoint."""

from __future__ import annotations

import dataclasses
import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from beam_curator.files.atomic_files import write_bytes
from beam_curator.files.flink_checkpoints import latest_checkpoint
from beam_curator.files.live_output import RUN
from beam_curator.files.storage import UnknownSchemeError, delete_folder, plain_path
from beam_curator.runners.engines.flink_rest import cancel_jobs, http_address, job_name
from beam_curator.runners.options import UsageError
from beam_curator.runners.presets import LOCAL_MASTERS, Engine, EngineOption

_STORAGE, _SAVEPOINT = "state_backend_storage_path", "savepoint_path"
_END_WITHIN = 60.0
_SECTIONS = ("model", "streaming", "turns")
_OF_LIVE = ("shards", "streams_per_shard", "dead_air_gate")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """A run of a live job, which may take several commands.

    Attributes:
      token: of the run; its job and the folder of its checkpoints are named after it.
      decisive: the source, and the options that its state depends on.
      checkpoint: to go on from; "" to begin.
      follows: whether it takes the place of a run that kept nothing.
    """

    token: str
    decisive: Mapping[str, Any]
    checkpoint: str = ""
    follows: bool = False

    def placed(self, engine: Engine) -> Engine:
        """Return the engine with the run's own place for checkpoints, and the checkpoint to go on from."""
        place = EngineOption(name=_STORAGE, value=_place(engine, self.token), why="a folder for each job")
        kept = [option for option in engine.options if option.name not in (_STORAGE, _SAVEPOINT)]
        begun = [EngineOption(name=_SAVEPOINT, value=self.checkpoint, why="the job goes on")] if self.checkpoint else []
        return replace(engine, options=(*kept, place, *begun))

    def write(self, output: str) -> None:
        """Note the run in the output, until it has ended."""
        noted = {"token": self.token, "decisive": self.decisive}
        write_bytes(output, RUN, json.dumps(noted).encode())

    def finish(self, output: str, engine: Engine) -> None:
        """Forget the run, which has ended, and its checkpoints."""
        os.remove(os.path.join(output, RUN))
        # a store that is not ours to read is left alone
        with suppress(FileNotFoundError, UnknownSchemeError):
            delete_folder(plain_path(_place(engine, self.token)))


def decisive_of(source: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the source of a job, and the options that its state depends on, as JSON has them."""
    found: dict[str, Any] = {"source": source}
    for section in _SECTIONS:
        values = dataclasses.asdict(options[section])
        found |= {f"{section}.{name}": value for name, value in values.items()}
    found |= {f"live.{name}": getattr(options["live"], name) for name in _OF_LIVE}
    return dict(json.loads(json.dumps(found)))


def settled_run(output: str, engine: Engine, decisive: Mapping[str, Any], *, overwrite: bool) -> LiveRun:
    """Return the run of a command: the one that was begun in the output, from its latest checkpoint, or a new one.

    The job of the earlier command is ended, where its cluster still has it.

    Raises:
      UsageError: the earlier run had other options.
    """
    earlier, given = run_in(output), engine.value(_SAVEPOINT) or ""
    begun = LiveRun(token=uuid.uuid4().hex, decisive=decisive, checkpoint=given)
    if earlier is None or engine.name != "flink":
        return begun
    if not overwrite:
        _check_same(output, earlier.decisive, decisive)
    master = engine.value("flink_master") or ""
    if master not in LOCAL_MASTERS:
        name = engine.value("job_name") or job_name(earlier.token)
        cancel_jobs(http_address(master), name, end_within=_END_WITHIN)
    found = "" if overwrite else given or _latest(_place(engine, earlier.token))
    return replace(earlier, checkpoint=found) if found else replace(begun, follows=True)


def run_in(output: str) -> LiveRun | None:
    """Return the run that was begun in an output and has not ended; None where there is none."""
    with suppress(FileNotFoundError), open(os.path.join(output, RUN), "rb") as file:
        return LiveRun(**json.loads(file.read()))
    return None


def _check_same(output: str, earlier: Mapping[str, Any], decisive: Mapping[str, Any]) -> None:
    names = [name for name, value in decisive.items() if earlier.get(name) != value]
    if names:
        name = names[0]
        raise UsageError(
            f"{output} holds an unfinished job with {name} {earlier.get(name)!r}, not {decisive[name]!r}: give the "
            "options of before to go on with it, or --overwrite to begin anew"
        )


def _place(engine: Engine, token: str) -> str:
    return f"{(engine.value(_STORAGE) or '').rstrip('/')}/{token}"


def _latest(place: str) -> str:
    try:
        return latest_checkpoint(place) or ""
    except UnknownSchemeError as err:
        raise UsageError(
            f"the checkpoints of the unfinished job in {place} cannot be looked at: give the latest one's folder, "
            "--savepoint_path=…/chk-N, or --overwrite to begin anew"
        ) from err
