"""Long recordings heard in pieces, whose speakers are linked by their voices, for Beam's RunInference."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from beam_curator.diarization.clustering import ClusterRules
from beam_curator.diarization.diarize_rules import InferenceOptions, ModelOptions
from beam_curator.diarization.linked_pieces import PieceVoice, joined_tracks, link_speakers, piece_samples
from beam_curator.diarization.models import MODEL_SAMPLE_RATE, Floats, hearing_error
from beam_curator.diarization.probabilities import HeardPieces, Probabilities
from beam_curator.diarization.speaker_counts import MOST_SPEAKERS, OWN_FRAMES, SpeakerCounts
from beam_curator.diarization.speaker_embeddings import SpeakerEmbeddings, pool_embeddings
from beam_curator.diarization.turn_rules import TurnRules
from beam_curator.diarization.turns import Turn, turns_from_probabilities
from beam_curator.failures import EntryError
from beam_curator.intervals import Seconds
from beam_curator.model_records import CAMPPLUS_MODEL
from beam_curator.models.listening import deadline
from beam_curator.models.sources import PiecesAhead, Source, Waveform, WaveformSource, source_of
from beam_curator.transforms.diarization.around_handler import AroundHandler, LateModel
from beam_curator.transforms.diarization.embedding_handler import EmbeddingModelHandler

FRAME_STEP = 0.08
"""Pieces are so many seconds, times a whole number: whole frames of all models that are heard so."""

LIKENESS_OF_FRAMES = ((1.0,), (0.9,))
"""How alike the means of the encoder's frames of one person are, however long."""


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A piece of a recording as the model heard it; as a source it is heard again, for embeddings.

    Attributes:
      samples: float32 [n_samples] at 16 kHz.
      heard: the model's result.
      turns: in it.
      begin: 0, on the clock of the turns.
    """

    samples: Floats
    heard: Probabilities
    turns: Sequence[Turn]
    begin: Seconds = 0.0

    @property
    def seconds(self) -> Seconds:
        return len(self.samples) / MODEL_SAMPLE_RATE

    def pieces(self) -> Iterator[Floats]:
        return WaveformSource(self.samples).pieces()


class LinkingHandler(AroundHandler):
    """Puts long recordings before the model of another handler in pieces, and tells by voices who is who in them.

    Recordings that are no longer than a piece are heard whole. Each is decoded once; a piece of it is held at a time.
    The inference is `Probabilities` of all speakers, or an EntryError.

    Args:
      handler: of a Sortformer; it keeps frames where voices are told by them.
      counts: how long pieces are, by which voices they are linked, and how many people talk.
      embedder: of CAM++; None for the model's own frames.
      keeps_frames: return frames of the encoder, too.
      timeout: seconds after which a recording is given up; 0 for never.
    """

    def __init__(
        self,
        handler: ModelHandler[Any, Any, Any],
        counts: SpeakerCounts,
        embedder: EmbeddingModelHandler | None,
        *,
        keeps_frames: bool = False,
        timeout: Seconds = 0.0,
    ) -> None:
        super().__init__(handler, 1)
        self._counts = counts
        rules = ClusterRules(counts=counts)
        self._rules = rules if embedder is not None else replace(rules, likeness_of_one=LIKENESS_OF_FRAMES)
        self._embedder = embedder
        self._keeps_frames, self._timeout = keeps_frames, timeout
        self._embedding: LateModel | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_embedding": None}

    def run_inference(
        self, batch: Sequence[Waveform], model: Any, inference_args: dict[str, Any] | None = None
    ) -> list[PredictionResult]:
        """Return the results of a batch, in its order."""
        results: list[PredictionResult] = []
        for item in batch:
            if source_of(item).seconds <= self._counts.link_pieces:
                results += self._handler.run_inference([item], model, inference_args)
            else:
                results.append(PredictionResult(example=item, inference=self._linked(source_of(item), model)))
        return results

    def _linked(self, source: Source, model: Any) -> Probabilities | EntryError:
        pieces = PiecesAhead(source, deadline(self._timeout))
        heard: list[Probabilities] = []
        voices: list[list[PieceVoice]] = []
        size = piece_samples(source.seconds, self._counts.link_pieces, FRAME_STEP)
        try:
            for samples in _cut(pieces, size):
                found = next(iter(self._handler.run_inference([samples], model))).inference
                if isinstance(found, EntryError):
                    return found
                frames = found.frames[: -(-len(samples) // round(found.frame_step * MODEL_SAMPLE_RATE))]
                length = len(samples) / MODEL_SAMPLE_RATE
                turns = turns_from_probabilities(frames, TurnRules(), found.frame_step, length)
                piece = _Piece(samples, replace(found, frames=frames), turns)
                voices.append(_voices_of(piece, self._embedded(piece)))
                heard.append(piece.heard if self._keeps_frames else replace(piece.heard, encoder_frames=None))
            links = link_speakers(voices, self._rules)
        except Exception as err:  # whatever a recording or a model raises: it belongs to the recording
            return hearing_error(err)
        finally:
            pieces.close()
        tracks = joined_tracks([each.frames for each in heard], links)
        return replace(
            heard[0],
            frames=tracks,
            encoder_frames=_joined_frames(heard) if self._keeps_frames else None,
            dead_air=pieces.dead_air(),
            clipped=pieces.clipped(),
            slots=MOST_SPEAKERS,
            pieces=HeardPieces(heard[0].n_speakers, size / MODEL_SAMPLE_RATE),
        )

    def _embedded(self, piece: _Piece) -> SpeakerEmbeddings:
        if self._embedder is None:
            frames = piece.heard.encoder_frames
            if frames is None:
                raise ValueError("the model gave no frames to tell voices by: give a handler with keeps_frames=True")
            return pool_embeddings(frames[: len(piece.heard.frames)], piece.heard.frame_step, piece.turns)
        if self._embedding is None:
            self._embedding = LateModel(self._embedder.load_model)
        found: Any = self._embedder.run_inference([piece], self._embedding.get())[0].inference
        if isinstance(found, EntryError):
            raise found
        embeddings: SpeakerEmbeddings = found
        return embeddings


def _cut(pieces: PiecesAhead, size: int) -> Iterator[Floats]:
    """Yield the samples of a recording in pieces of a size; the last one may be shorter."""
    held = np.empty(0, np.float32)
    is_last = False
    while not is_last:
        some, is_last = pieces.take()
        held = np.concatenate([held, some])
        while len(held) > size:
            yield held[:size]
            held = held[size:]
    if len(held):
        yield held


def _voices_of(piece: _Piece, found: SpeakerEmbeddings) -> list[PieceVoice]:
    seconds: dict[int, Seconds] = {}
    for turn in piece.turns:
        seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + turn.end - turn.start
    voices = [PieceVoice(slot, vector, seconds[slot]) for slot, vector in found.speakers.items()]
    # slots without a turn that other thresholds may find one in
    weak = np.flatnonzero(piece.heard.frames.max(axis=0, initial=0) > _LEAST)
    return voices + [PieceVoice(int(slot), None, 0.0) for slot in weak if int(slot) not in seconds]


_LEAST = 0.3


def _joined_frames(heard: Sequence[Probabilities]) -> Any:
    kept = [each.encoder_frames[: len(each.frames)] for each in heard if each.encoder_frames is not None]
    return np.concatenate(kept) if len(kept) == len(heard) else None


def with_links(
    handler: ModelHandler[Any, Any, Any],
    counts: SpeakerCounts,
    model: ModelOptions,
    inference: InferenceOptions,
    *,
    keeps_frames: bool = False,
) -> ModelHandler[Any, Any, Any]:
    """Return a handler that hears long recordings in pieces, if that is asked for; else the same."""
    if not counts.link_pieces:
        return handler
    threads = inference.threads or os.cpu_count() or 1
    campplus = EmbeddingModelHandler(CAMPPLUS_MODEL, cache_dir=model.cache_dir or None, device="cpu", threads=threads)
    embedder = None if counts.link_by == OWN_FRAMES else campplus
    return LinkingHandler(handler, counts, embedder, keeps_frames=keeps_frames, timeout=inference.timeout)
