"""The export of clips, pure: the tree and its names, and the documents in it.

Previews and embeddings, which need NumPy, are in `beam_curator.export.previews` and `beam_curator.export.embeddings`.
"""

from beam_curator.export.document_paths import relative_path
from beam_curator.export.documents import ChunkMeta, ClipMeta, ClipWindow, EncodedClip, ExportedClip, RecordingMeta
from beam_curator.export.export_rules import ExportRules
from beam_curator.export.tree import clip_uuid

__all__ = [
    "ChunkMeta",
    "ClipMeta",
    "ClipWindow",
    "EncodedClip",
    "ExportRules",
    "ExportedClip",
    "RecordingMeta",
    "clip_uuid",
    "relative_path",
]
