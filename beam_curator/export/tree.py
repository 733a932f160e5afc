"""The tree that the export writes: its directories, and names in it that follow from the input alone.

The layout is that of the reference's video writer (NeMo Curator, `stages/video/io/clip_writer.py`), in words of audio.
Everything is text with "/", so that local folders and object stores are named alike; nothing is opened here.
"""

from __future__ import annotations

import hashlib
import re
import uuid

from beam_curator.export.document_paths import name_bytes

PREVIEWS = "previews"
_RECORDINGS, _CHUNKS = "processed_audios", "processed_clip_chunks"
"""Folders of the tree, below its root."""

_OPTION_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def clips_dir(root: str, filtered: bool = False) -> str:
    """Return the directory of clips that passed, or of those that a rule rejected.

    Example:
      >>> clips_dir("gs://bucket/out/"), clips_dir("out", filtered=True)
      ('gs://bucket/out/clips', 'out/filtered_clips')
    """
    return _below(root, _clips_folder(filtered))


def previews_dir(root: str) -> str:
    """Return the directory of previews; each clip has a folder of its own in it.

    Example:
      >>> previews_dir("out")
      'out/previews'
    """
    return _below(root, PREVIEWS)


def metas_dir(root: str, version: str = "v0") -> str:
    """Return the directory of the JSON documents of single clips.

    Raises:
      ValueError: the version cannot be the name of a folder.

    Example:
      >>> metas_dir("out")
      'out/metas/v0'
    """
    return _below(root, f"metas/{_checked_component('metadata version', version)}")


def embeddings_dir(root: str, algorithm: str) -> str:
    """Return the directory of embeddings, one file a clip.

    Raises:
      ValueError: the algorithm cannot be a part of a folder's name.

    Example:
      >>> embeddings_dir("out", "titanet")
      'out/titanet_embd'
    """
    return _below(root, _embeddings_folder(algorithm))


def embeddings_parquet_dir(root: str, algorithm: str) -> str:
    """Return the directory of embeddings, one Parquet file a chunk of clips.

    Raises:
      ValueError: the algorithm cannot be a part of a folder's name.

    Example:
      >>> embeddings_parquet_dir("out", "titanet")
      'out/titanet_embd_parquet'
    """
    return f"{embeddings_dir(root, algorithm)}_parquet"


def processed_audios_dir(root: str) -> str:
    """Return the directory of the JSON documents of whole recordings.

    Example:
      >>> processed_audios_dir("out")
      'out/processed_audios'
    """
    return _below(root, _RECORDINGS)


def processed_clip_chunks_dir(root: str) -> str:
    """Return the directory of the JSON documents of chunks of clips.

    Example:
      >>> processed_clip_chunks_dir("out")
      'out/processed_clip_chunks'
    """
    return _below(root, _CHUNKS)


def clip_uuid(recording: str, first_sample: int, stop_sample: int, channel: int | None = None) -> str:
    """Return the id of a clip: UUIDv5 (URL namespace) of `<recording>_<first sample>_<stop sample>`.

    `_channel_<channel>` stands behind that where the clip is of one channel.

    Args:
      recording: the path or URI of the recording, as it is opened.
      first_sample: first sample of the clip in the recording, at the recording's own sample rate.
      stop_sample: the sample behind the last one.
      channel: that the clip is cut from, counted from 0; None where it names none.

    Raises:
      EntryError: the path holds a lone surrogate that no file name can hold.

    Example:
      >>> clip_uuid("gs://bucket/talk.wav", 0, 16000)
      '60c3f272-9a1f-5943-a345-da0925594fbb'
    """
    place = f"{recording}_{first_sample}_{stop_sample}"
    return _uuid_of(place if channel is None else f"{place}_channel_{channel}")


def clip_file(clip: str, filtered: bool = False) -> str:
    """Name the audio file of a clip, below the root as all files are named here.

    Example:
      >>> clip_file("60c3"), clip_file("60c3", filtered=True)
      ('clips/60c3.flac', 'filtered_clips/60c3.flac')
    """
    return f"{_clips_folder(filtered)}/{clip}.flac"


def preview_files(clip: str, n_samples: int) -> tuple[str, str]:
    """Name the drawing of a clip of so many samples, and its low-rate audio.

    Example:
      >>> preview_files("60c3", 16000)
      ('previews/60c3/0_16000.png', 'previews/60c3/0_16000.ogg')
    """
    stem = f"{PREVIEWS}/{clip}/0_{n_samples}"
    return f"{stem}.png", f"{stem}.ogg"


def clip_document(clip: str) -> str:
    """Name the JSON document of a clip.

    Example:
      >>> clip_document("60c3")
      'metas/v0/60c3.json'
    """
    return f"metas/v0/{clip}.json"


def embedding_file(clip: str, algorithm: str) -> str:
    """Name the file of the embedding of a clip.

    Example:
      >>> embedding_file("60c3", "titanet")
      'titanet_embd/60c3.npy'
    """
    return f"{_embeddings_folder(algorithm)}/{clip}.npy"


def chunk_embeddings_file(recording: str, chunk: int, algorithm: str) -> str:
    """Name the Parquet file of a chunk's embeddings: UUIDv5 (URL namespace) of `<recording>_<chunk index>`.

    Raises:
      EntryError: the path holds a lone surrogate that no file name can hold.

    Example:
      >>> chunk_embeddings_file("gs://bucket/talk.wav", 0, "titanet")
      'titanet_embd_parquet/2a1fde48-6ebb-59bb-a1fd-af0bce5a9449.parquet'
    """
    return f"{_embeddings_folder(algorithm)}_parquet/{_uuid_of(f'{recording}_{chunk}')}.parquet"


def recording_document(relative: str) -> str:
    """Name the JSON document of a recording by its relative path; the extension is kept.

    Example:
      >>> recording_document("talks/a.wav")
      'processed_audios/talks/a.wav.json'
    """
    return f"{_RECORDINGS}/{relative}.json"


def chunk_document(relative: str, chunk: int) -> str:
    """Name the JSON document of a chunk by the relative path of its recording.

    Example:
      >>> chunk_document("talks/a.wav", 3)
      'processed_clip_chunks/talks/a.wav_3.json'
    """
    return f"{_CHUNKS}/{relative}_{chunk}.json"


def _clips_folder(filtered: bool) -> str:
    return "filtered_clips" if filtered else "clips"


def _embeddings_folder(algorithm: str) -> str:
    return f"{_checked_component('embedding algorithm', algorithm)}_embd"


def _uuid_of(name: str) -> str:
    # uuid.uuid5 takes no bytes before Python 3.12, and names of files need not be UTF-8 (RFC 9562, section 5.5).
    digest = hashlib.sha1(uuid.NAMESPACE_URL.bytes + name_bytes(name), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def _below(root: str, name: str) -> str:
    if not root:
        raise ValueError("the output root is empty, expected a directory or a URI: give one, such as '.'")
    return f"{root.rstrip('/')}/{name}"


def _checked_component(what: str, name: str) -> str:
    if not _OPTION_COMPONENT.fullmatch(name):
        raise ValueError(
            f"{what} {name[:80]!r} cannot be the name of a folder: "
            "use up to 64 letters, digits, dots, dashes and underscores, a letter or digit first"
        )
    return name
