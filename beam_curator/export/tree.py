"""The tree that the export writes: its directories, and names in it that follow from the input alone.

The layout is that of the reference's video writer (NeMo Curator, `stages/video/io/clip_writer.py`), in words of audio.
Everything is text with "/", so that local folders and object stores are named alike; nothing is opened here.
"""

from __future__ import annotations

import hashlib
import re
import uuid

from beam_curator.export.document_paths import name_bytes

PREVIEWS, METAS = "previews", "metas/v0"
PROCESSED_AUDIOS, PROCESSED_CLIP_CHUNKS = "processed_audios", "processed_clip_chunks"
"""Folders of the tree, below its root."""

_OPTION_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def clips_dir(root: str, filtered: bool = False) -> str:
    """Return the directory of clips that passed, or of those that a rule rejected.

    Example:
      >>> clips_dir("gs://bucket/out/"), clips_dir("out", filtered=True)
      ('gs://bucket/out/clips', 'out/filtered_clips')
    """
    return _below(root, clips_folder(filtered))


def clips_folder(filtered: bool = False) -> str:
    """Return the folder of clips below the root.

    Example:
      >>> clips_folder(), clips_folder(filtered=True)
      ('clips', 'filtered_clips')
    """
    return "filtered_clips" if filtered else "clips"


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
    return _below(root, embeddings_folder(algorithm))


def embeddings_folder(algorithm: str) -> str:
    """Return the folder of embeddings below the root; that of their Parquet files has `_parquet` behind it.

    Raises:
      ValueError: the algorithm cannot be a part of a folder's name.

    Example:
      >>> embeddings_folder("titanet")
      'titanet_embd'
    """
    return f"{_checked_component('embedding algorithm', algorithm)}_embd"


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
    return _below(root, PROCESSED_AUDIOS)


def processed_clip_chunks_dir(root: str) -> str:
    """Return the directory of the JSON documents of chunks of clips.

    Example:
      >>> processed_clip_chunks_dir("out")
      'out/processed_clip_chunks'
    """
    return _below(root, PROCESSED_CLIP_CHUNKS)


def clip_uuid(recording: str, first_sample: int, stop_sample: int) -> str:
    """Return the id of a clip: UUIDv5 (URL namespace) of `<recording>_<first sample>_<stop sample>`.

    Args:
      recording: the path or URI of the recording, as it is opened.
      first_sample: first sample of the clip in the recording, at the recording's own sample rate.
      stop_sample: the sample behind the last one.

    Raises:
      EntryError: the path holds a lone surrogate that no file name can hold.

    Example:
      >>> clip_uuid("gs://bucket/talk.wav", 0, 16000)
      '60c3f272-9a1f-5943-a345-da0925594fbb'
    """
    return _uuid_of(f"{recording}_{first_sample}_{stop_sample}")


def clip_name(clip: str) -> str:
    """Name the audio file of a clip.

    Example:
      >>> clip_name("60c3f272-9a1f-5943-a345-da0925594fbb")
      '60c3f272-9a1f-5943-a345-da0925594fbb.flac'
    """
    return f"{clip}.flac"


def clip_location(root: str, clip: str, filtered: bool = False) -> str:
    """Return the whole path of the audio file of a clip.

    Example:
      >>> clip_location("out", "60c3")
      'out/clips/60c3.flac'
    """
    return f"{clips_dir(root, filtered)}/{clip_name(clip)}"


def preview_image_name(clip: str, start_sample: int, end_sample: int) -> str:
    """Name the drawing of one piece of a clip, within the directory of previews; samples count from the clip's start.

    Example:
      >>> preview_image_name("60c3", 0, 16000)
      '60c3/0_16000.png'
    """
    return f"{clip}/{start_sample}_{end_sample}.png"


def preview_audio_name(clip: str, start_sample: int, end_sample: int) -> str:
    """Name the low-rate audio of one piece of a clip, beside its drawing.

    Example:
      >>> preview_audio_name("60c3", 0, 16000)
      '60c3/0_16000.ogg'
    """
    return f"{clip}/{start_sample}_{end_sample}.ogg"


def clip_meta_name(clip: str) -> str:
    """Name the JSON document of a clip.

    Example:
      >>> clip_meta_name("60c3")
      '60c3.json'
    """
    return f"{clip}.json"


def embedding_name(clip: str) -> str:
    """Name the file of the embedding of a clip.

    Example:
      >>> embedding_name("60c3")
      '60c3.npy'
    """
    return f"{clip}.npy"


def chunk_embeddings_name(recording: str, chunk: int) -> str:
    """Name the Parquet file of a chunk's embeddings: UUIDv5 (URL namespace) of `<recording>_<chunk index>`.

    Raises:
      EntryError: the path holds a lone surrogate that no file name can hold.

    Example:
      >>> chunk_embeddings_name("gs://bucket/talk.wav", 0)
      '2a1fde48-6ebb-59bb-a1fd-af0bce5a9449.parquet'
    """
    return f"{_uuid_of(f'{recording}_{chunk}')}.parquet"


def processed_audio_name(relative: str) -> str:
    """Name the JSON document of a recording by its relative path; the extension is kept.

    Example:
      >>> processed_audio_name("talks/a.wav")
      'talks/a.wav.json'
    """
    return f"{relative}.json"


def processed_clip_chunk_name(relative: str, chunk: int) -> str:
    """Name the JSON document of a chunk by the relative path of its recording.

    Example:
      >>> processed_clip_chunk_name("talks/a.wav", 3)
      'talks/a.wav_3.json'
    """
    return f"{relative}_{chunk}.json"


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
