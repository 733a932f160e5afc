"""The directory that a job writes to, and the run that it belongs to."""

from dataclasses import dataclass

from beam_curator.files import storage
from beam_curator.files.atomic_files import ForeignRunError
from beam_curator.sets.output_set import (
    RUN_NAME,
    RunRecord,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTarget:
    """Where a job writes, and on whose behalf.

    Attributes:
      directory: local or in an object store.
      token: of the run, as `_RUN.json` has it; None where no launcher prepared the directory.
      resume: keep files that an earlier attempt of the same job put in place.
      n_shards: merge the blocks' files into at most so many; 0 leaves them as they are.
    """

    directory: str
    token: str | None = None
    resume: bool = False
    n_shards: int = 0

    def check(self) -> None:
        """Refuse to go on where another run has taken over.

        Raises:
          ForeignRunError: `_RUN.json` names another run, or is gone.
        """
        if self.token is None:
            return
        text = storage.read_bytes(storage.join(self.directory, RUN_NAME))
        record = RunRecord.from_json(text) if text is not None else None
        if record is None or record.token != self.token:
            raise ForeignRunError(f"{self.directory} now belongs to another run: this one stops writing")


def target_of(target: OutputTarget | str) -> OutputTarget:
    """Return a target; a path stands for one that no launcher prepared."""
    return OutputTarget(directory=target) if isinstance(target, str) else target
