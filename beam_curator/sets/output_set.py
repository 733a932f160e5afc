"""The output set: names of its files, its books, and the manifest that makes it complete.

Everything here follows from the input and the configuration alone: no clock, host, user, run or random number.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from beam_curator.sets.blocks import BlockRef

MANIFEST_NAME = "_MANIFEST.json"
RUN_NAME = "_RUN.json"
LOCK_NAME = "_LOCK"
SUMMARY_NAME = "summary.json"
NEXT_NAME = ".next.beam_curator"
KEPT_FOLDER = ".kept.beam_curator"
FORMAT = 1
LAYERED_FORMAT = 2
"""Of a `_MANIFEST.json` in an object store that names the folders in which the set lies; see `layers`."""

FAILURES = "failures"
RowFormat = Literal["jsonl", "parquet", "avro"]
ROW_EXTENSIONS: Mapping[RowFormat, str] = {"jsonl": ".jsonl", "parquet": ".parquet", "avro": ".avro"}

LIVE_SUFFIX = ".beam_curator.live"
PART_SUFFIX = ".part.beam_curator.tmp"

Config = Mapping[str, Mapping[str, Any]]
"""What decides the rows, by section: option name to value."""

_FILE_NAME = re.compile(r"^([a-z]+(?:-[a-z]+)*)-\d{5,}(?:-p\d{4,})?-of-\d{5,}\.(?:jsonl|parquet|avro)$")
_TEMP_NAME = re.compile(r"^\..+\.beam_curator\.tmp$")


class UnbalancedBooksError(RuntimeError):
    """Rows read and rows accounted for differ: something was lost or written twice."""


class NotAnOutputSetError(ValueError):
    """A manifest is missing or cannot be understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One written file, as its writer saw it.

    Attributes:
      name: relative to the output directory.
      n_bytes: size.
      sha256: of its bytes, hexadecimal.
      n_rows: rows in it.
      kind: what the rows are: "windows", or "failures-" and a stage.
      position: ordinal of the block, then the order within the block, such as its part.
      n_blocks: number of blocks of the job.
    """

    name: str
    n_bytes: int
    sha256: str
    n_rows: int
    kind: str
    position: tuple[int, ...] = (0, 0)
    n_blocks: int = 1


class WrittenFile(NamedTuple):
    """One file of a set that a row names: its name below the directory, its size, and its hash, hexadecimal."""

    name: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRecord:
    """One input file as it was read.

    Attributes:
      name: as it was given or found.
      n_bytes: size; None where it could not be read.
      sha256: hexadecimal; None where it could not be read.
      beside: it decides the rows without holding any: a model, a table of embeddings.
      stamp: tells whether it may have changed since; no manifest holds it.
    """

    name: str
    n_bytes: int | None
    sha256: str | None
    beside: bool = False
    stamp: str = field(default="", compare=False)

    def to_fields(self) -> dict[str, Any]:
        """Return the record as a manifest holds it."""
        fields = {"name": self.name, "bytes": self.n_bytes, "sha256": self.sha256}
        return fields | ({"beside": True} if self.beside else {})


def block_file_name(kind: str, ref: BlockRef, part: int, extension: str) -> str:
    """Name the file of one block and kind.

    Example:
      >>> ref = BlockRef(source="a", occurrence=0, ordinal=42, n_blocks=2500, start=0, stop=1)
      >>> block_file_name("windows", ref, 0, ".jsonl"), block_file_name("windows", ref, 3, ".jsonl")
      ('windows-00042-of-02500.jsonl', 'windows-00042-p0003-of-02500.jsonl')
    """
    part_text = f"-p{part:04d}" if part else ""
    return f"{kind}-{ref.ordinal:05d}{part_text}-of-{ref.n_blocks:05d}{extension}"


def shard_file_name(kind: str, shard: int, n_shards: int, extension: str) -> str:
    """Name one of N merged files.

    Example:
      >>> shard_file_name("windows", 1, 4, ".jsonl")
      'windows-00001-of-00004.jsonl'
    """
    return f"{kind}-{shard:05d}-of-{n_shards:05d}{extension}"


def part_name(name: str) -> str:
    """Name the hidden file that a shard will be merged from."""
    return f".{name}{PART_SUFFIX}"


def temp_name(name: str, unique: str) -> str:
    """Name a temporary file beside its final one; `is_ours` knows it again."""
    return f".{name}.{unique}.beam_curator.tmp"


def is_temporary(name: str) -> bool:
    """Tell whether a name is that of a temporary file of ours."""
    return _TEMP_NAME.match(name) is not None


def live_name(run: str) -> str:
    """Name the folder in which the workers of one run leave signs of life: gone when the run is."""
    return f".{run}{LIVE_SUFFIX}"


def is_ours(name: str, kinds: Sequence[str]) -> bool:
    """Tell whether a file in an output directory was written by a job with these kinds, and may be swept.

    Example:
      >>> kinds = ["windows", "failures"]
      >>> is_ours("windows-00001-of-00004.jsonl", kinds), is_ours("my-notes-00001-of-00004.jsonl", kinds)
      (True, False)
    """
    if is_temporary(name):
        return True
    match = _FILE_NAME.match(name)
    return match is not None and any(match[1] == kind or match[1].startswith(f"{kind}-") for kind in kinds)


def config_sha256(command: str, config: Config) -> str:
    """Return the SHA-256 of the command and the options that decide the rows of a job, in hexadecimal."""
    text = json.dumps([command, config], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def render_manifest(
    *,
    command: str,
    config: Config,
    inputs: Iterable[InputRecord],
    counts: Mapping[str, int],
    files: Iterable[FileRecord],
) -> bytes:
    """Render `_MANIFEST.json`: equal input and configuration give equal bytes."""
    manifest = {
        "format": FORMAT,
        "command": command,
        "config": config,
        "config_sha256": config_sha256(command, config),
        "inputs": [record.to_fields() for record in sorted(inputs, key=lambda record: record.name)],
        "counts": dict(sorted(counts.items())),
        "files": [
            {
                "name": record.name,
                "bytes": record.n_bytes,
                "sha256": record.sha256,
                "rows": record.n_rows,
                "kind": record.kind,
            }
            for record in sorted(files, key=lambda record: record.name)
        ],
    }
    return json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A parsed `_MANIFEST.json`."""

    command: str
    config: dict[str, Any]
    config_sha256: str
    inputs: tuple[InputRecord, ...]
    counts: dict[str, int]
    files: tuple[FileRecord, ...]

    @property
    def n_failures(self) -> int:
        """Number of dead letters."""
        return sum(n for name, n in self.counts.items() if name.endswith(".failures"))

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Parse a manifest.

        Raises:
          NotAnOutputSetError: the text is not a manifest of this format.
        """
        try:
            fields = json.loads(text)
            if fields["format"] == LAYERED_FORMAT and "layers" in fields:
                raise NotAnOutputSetError(
                    "the manifest names folders of an object store, in which the set was updated: read it there"
                )
            if fields["format"] != FORMAT:
                raise NotAnOutputSetError(f"manifest format {fields['format']} is not {FORMAT}: use a newer version")
            return cls(
                command=fields["command"],
                config=fields["config"],
                config_sha256=fields["config_sha256"],
                inputs=tuple(
                    InputRecord(name=i["name"], n_bytes=i["bytes"], sha256=i["sha256"], beside=i.get("beside", False))
                    for i in fields["inputs"]
                ),
                counts=fields["counts"],
                files=tuple(
                    FileRecord(name=f["name"], n_bytes=f["bytes"], sha256=f["sha256"], n_rows=f["rows"], kind=f["kind"])
                    for f in fields["files"]
                ),
            )
        except (ValueError, KeyError, TypeError) as err:
            if isinstance(err, NotAnOutputSetError):
                raise
            raise NotAnOutputSetError(f"the manifest cannot be understood ({err!r}): run the job again") from err


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """`_RUN.json`: the run that is writing into a directory, and the job that it set out to do.

    Attributes:
      token: of the run; a rename by any other run is refused.
      config_sha256: hash of the settings that decide the rows.
      inputs: name to an identity that is cheap to get (size, and time or etag).
      cleared: whether files of an earlier job were removed already.
      commands: commands whose files may be in the directory: this job's, and those of sets that it replaces until they
        are gone.
      updates: whether the run takes over what it can of the set that it replaces.
      replaces: sha256 of the manifest of that set; "" for none.
    """

    token: str
    config_sha256: str
    inputs: dict[str, str]
    cleared: bool
    commands: tuple[str, ...]
    updates: bool = False
    replaces: str = ""

    def to_json(self) -> bytes:
        """Render the record."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> RunRecord | None:
        """Parse a record; None where it is damaged (a crash while it was first written)."""
        try:
            fields = json.loads(text)
            return cls(**fields | {"commands": tuple(fields["commands"])})
        except (ValueError, TypeError, KeyError):
            return None

    def same_job(self, other: RunRecord) -> bool:
        """Tell whether two runs set out to write the same set."""
        return (self.config_sha256, self.inputs, self.updates) == (other.config_sha256, other.inputs, other.updates)


def differences(manifest: Manifest, command: str, config: Config, inputs: Sequence[InputRecord]) -> list[str]:
    """Say in words how a complete set differs from the one that a job would write now; nothing where it is the same."""
    return other_options(manifest, command, config) + _changed_inputs(manifest.inputs, inputs)


def other_options(manifest: Manifest, command: str, config: Config) -> list[str]:
    """Say in words in which options that decide the rows a complete set differs from the one of a job."""
    found = [f"it was written by '{manifest.command}'"] if manifest.command != command else []
    for section in sorted({*manifest.config, *config}):
        old, new = manifest.config.get(section, {}), json.loads(json.dumps(config.get(section, {})))
        found += [
            f"{section}.{key} was {old.get(key)!r}, is {new.get(key)!r}"
            for key in sorted({*old, *new})
            if old.get(key) != new.get(key)
        ]
    return found


def _changed_inputs(old: Sequence[InputRecord], new: Sequence[InputRecord]) -> list[str]:
    found = []
    before, now = ({record.name: (record.n_bytes, record.sha256) for record in of} for of in (old, new))
    for name in sorted({*before, *now}):
        if name not in now:
            found.append(f"{name} is no longer among the inputs")
        elif name not in before:
            found.append(f"{name} is a new input")
        elif before[name] != now[name]:
            found.append(f"{name} has changed")
    return found
