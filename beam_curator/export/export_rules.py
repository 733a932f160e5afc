"""The options that decide which files an export writes besides the clips."""

from __future__ import annotations

import re
from dataclasses import dataclass

from beam_curator.export.documents import RESERVED_KEYS
from beam_curator.export.row_keys import CLIPS_PER_CHUNK
from beam_curator.rules import check_types, option, option_problems, raise_problems

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRules:
    """Which parts of the tree are written, and from which keys of a row they come; names are the reference's."""

    input_path: str = option("", "folder or URI that holds every recording; the path below it names the documents")
    upload_clips: bool = option(True, "write the clips themselves")
    dry_run: bool = option(
        False, "write only the documents of recordings and chunks: no clips, previews, embeddings or metas"
    )
    generate_embeddings: bool = option(False, "write embeddings")
    generate_previews: bool = option(
        False, "write a picture and a low-rate sound file of each clip that was not rejected"
    )
    generate_captions: bool = option(False, "write transcripts into the documents of clips and chunks")
    embedding_algorithm: str = option("speaker", "name of the embeddings' folders")
    caption_models: tuple[str, ...] = option(
        ("text",), "models whose transcripts to use, in order: NAME reads key NAME_transcript, and text reads key text"
    )
    embedding_key: str = option("embedding", "key of a row's embedding")
    embeddings: str | None = option(None, "Parquet file of id (span uuid) and embedding, for rows without their own")
    rejected_key: str = option("rejected_by", "key of the rules that rejected a row")
    score_keys: tuple[str, ...] = option((), "keys of a row to write as scores")
    clips_per_chunk: int = option(CLIPS_PER_CHUNK, "consecutive clips of a recording to handle and describe together")
    max_workers: int = option(6, "parallel uploads per worker (object stores)")

    def __post_init__(self) -> None:
        check_types("export", self)
        problems = option_problems(self)
        if not _NAME.fullmatch(self.embedding_algorithm):
            problems.append(
                f"embedding_algorithm {self.embedding_algorithm!r} must be of up to 64 of a-z, 0-9, - and _: rename it"
            )
        problems += [
            f"score_keys: {key!r} is a key that a clip's document has already: give the score another name"
            for key in sorted(RESERVED_KEYS & set(self.score_keys))
        ]
        if not all(self.caption_models):
            problems.append("caption_models has an empty name: leave it out")
        if self.clips_per_chunk < 1:
            problems.append(f"clips_per_chunk {self.clips_per_chunk} is below 1: raise it")
        if self.max_workers < 1:
            problems.append(f"max_workers {self.max_workers} is below 1: raise it")
        raise_problems("export", problems)
