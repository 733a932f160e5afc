"""Options that say how speech is told from everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from beam_curator.rules import option

SILERO, ENERGY, NO_VAD = VADS = ("silero", "energy", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class VadOptions:
    """How speech is told from everything else."""

    vad: str | None = option(
        None,
        "how speech is told from the rest; silero: by Silero VAD; energy: all but stretches where nothing moves; none: "
        "not at all (default: silero where it is installed, else energy)",
        choices=VADS,
    )
    vad_path: str = option(
        "", "folder of the model silero-vad, used instead of the installed one; local, gs:// or s3://"
    )


class _HasVad(Protocol):
    @property
    def vad(self) -> str | None: ...
    @property
    def vad_path(self) -> str: ...


def vad_problems(options: _HasVad) -> list[str]:
    """Return the problem of a path that nothing uses, if there is one."""
    if options.vad_path and options.vad not in (None, SILERO):
        return [f"vad_path is of silero, and vad is {options.vad}: leave one of them out"]
    return []
