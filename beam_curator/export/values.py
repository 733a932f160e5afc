"""Everything that an export takes out of the row of a clip, read at once, so that a bad value fails its clip alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beam_curator.export.embeddings import embedding_of
from beam_curator.export.export_rules import ExportRules
from beam_curator.export.row_keys import TEXT_MODEL, missing_transcripts, rejection_of, scores_of, transcripts_of
from beam_curator.sets.embedding_columns import Embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipValues:
    """The values of a clip that its row holds.

    Attributes:
      filtered_by: rules that rejected it; none where it passed.
      scores: numbers by name.
      transcripts: text by model.
      missing: names of transcripts that were asked for and are not there.
      embedding: float32 [n_dimensions]; None where the row has none, or none is asked for.
    """

    filtered_by: tuple[str, ...]
    scores: dict[str, float]
    transcripts: dict[str, str]
    missing: tuple[str, ...]
    embedding: Embedding | None


def values_of(row: Mapping[str, Any], rules: ExportRules) -> ClipValues:
    """Read the values of a row.

    Raises:
      EntryError: one is of another kind, or not finite.

    Example:
      >>> values_of({"rejected_by": "snr", "text": "hi"}, ExportRules(generate_captions=True))
      ClipValues(filtered_by=('snr',), scores={}, transcripts={'text': 'hi'}, missing=(), embedding=None)
    """
    models = rules.caption_models if rules.generate_captions else ()
    filtered_by = rejection_of(row, rules.rejected_key)
    transcripts = transcripts_of(row, models)
    return ClipValues(
        filtered_by=filtered_by,
        scores=scores_of(row, rules.score_keys),
        transcripts=transcripts,
        missing=missing_transcripts(transcripts, models),
        embedding=embedding_of(row, rules.embedding_key) if rules.generate_embeddings and not filtered_by else None,
    )


def inherited_keys(rules: ExportRules) -> tuple[str, ...]:
    """Return the keys that clips of entries need to have from their piece, or else from their entry.

    Example:
      >>> inherited_keys(ExportRules(score_keys=("utmos",)))
      ('rejected_by', 'utmos')
    """
    return (rules.rejected_key, *rules.score_keys)


def own_keys(rules: ExportRules) -> tuple[str, ...]:
    """Return the keys that clips of entries need to have from their piece alone.

    The voices and words of a whole recording are not those of its pieces. `text` is not among the keys: a piece has
    its own in any case.

    Example:
      >>> own_keys(ExportRules(generate_captions=True, caption_models=("canary", "text"), generate_embeddings=True))
      ('embedding', 'canary_transcript')
    """
    models = [model for model in rules.caption_models if rules.generate_captions and model != TEXT_MODEL]
    embedding = (rules.embedding_key,) if rules.generate_embeddings else ()
    return (*embedding, *(f"{model}_transcript" for model in models))
