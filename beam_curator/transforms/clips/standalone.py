"""Extraction from a script, without a command line: the reference's functions, over the same pipeline."""

import json
import os
from typing import Any

import apache_beam as beam

from beam_curator.audio_formats import AudioFormat
from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.clips.requests import detect_combo
from beam_curator.entries.json_lines import parse_object
from beam_curator.failures import EntryError
from beam_curator.files import storage
from beam_curator.files.clip_index import SUMMARY_NAME
from beam_curator.files.listing import list_inputs, with_forms
from beam_curator.files.manifest_files import read_rows
from beam_curator.sets.blocks import MAX_LINE_BYTES, LineBlock, plan_blocks
from beam_curator.transforms.clips.extract_clips import ExtractClips

__all__ = ["detect_combo", "extract_segments", "load_manifests"]


def load_manifests(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the rows of a manifest, or of all manifests in a directory tree, in the order of names and lines.

    Lines that hold no row are left out, as in the reference; `extract_segments` keeps them as dead letters.

    Args:
      path: a file, a glob, a directory or an output set, local or in an object store.

    Raises:
      NoInputError: there is none.

    Example:
      >>> len(load_manifests("examples/talks.jsonl"))
      6
    """
    rows = []
    files, _ = list_inputs([os.fspath(path)])
    for ref in plan_blocks(with_forms(files)):
        for item in read_rows(ref, MAX_LINE_BYTES):
            for line in item.lines if isinstance(item, LineBlock) else ():
                try:
                    rows.append(parse_object(line.raw))
                except EntryError:
                    continue
    return rows


def extract_segments(
    manifest: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    output_format: AudioFormat | None = None,
) -> dict[str, Any]:
    """Cut all clips that a manifest asks for, in this process, and write a complete output set.

    Args:
      manifest: a file, a glob, a directory or an output set, local or in an object store.
      output_dir: where the set goes.
      output_format: "wav", "flac" or "ogg"; by default that of `ClipOutputOptions`.

    Returns:
      What extraction_summary.json holds.

    Raises:
      NoInputError: there is no manifest.
      ValueError: the output is no place for the set: empty, a file, or inside the manifest's directory.

    Example:
      >>> import tempfile
      >>> summary = extract_segments("examples/pieces.jsonl", tempfile.mkdtemp(), "flac")
      >>> summary["total_segments"], summary["segments_by_speaker"]
      (4, {'ana': 2, 'ben': 2})
    """
    directory = os.fspath(output_dir)
    output = ClipOutputOptions() if output_format is None else ClipOutputOptions(output_format=output_format)
    extract = ExtractClips([os.fspath(manifest)], directory, output=output)
    list_inputs([os.fspath(manifest)])
    with beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | extract
    summary: dict[str, Any] = json.loads(storage.read_bytes(storage.join(directory, SUMMARY_NAME)) or b"{}")
    return summary
