"""Scores of clips by the models that options ask for."""

from collections.abc import Mapping

from beam_curator.audio import AudioReader
from beam_curator.curate.curate_rules import CurateOptions
from beam_curator.diarization.hearing import heard_track
from beam_curator.diarization.models import OutOfMemoryError, hearing_error
from beam_curator.models.curated_speech import HeardTrack
from beam_curator.models.model_files import ModelFileError
from beam_curator.models.sound_scoring import Score, SoundScorer, hash_of_scorer, load_scorers


class ClipScorers:
    """Scores clips; models are loaded when the first clip comes.

    Args:
      options: which models, and where they are.
      expected: hashes that their files had as the job began, by name; none where they are not compared.
    """

    def __init__(self, options: CurateOptions, expected: Mapping[str, str]) -> None:
        self._paths = options.scorers
        self._hop = options.dnsmos.hop
        self._expected = expected
        self._loaded: list[SoundScorer] | None = None

    def __bool__(self) -> bool:
        return bool(self._paths)

    def close(self) -> None:
        """Give the models back."""
        self._loaded = None

    def scores(self, reader: AudioReader, heard: HeardTrack) -> dict[str, Score]:
        """Return the scores of a clip by all models, each of which hears it by itself: decoding it takes no time.

        Raises:
          EntryError: a model fails, or memory is lacking; otherwise as `heard_track`.
          ModelFileError: the file of a model was changed since the job began.
          ModelNotFoundError, NotAModelError: see `load_scorers`.
        """
        if self._loaded is None:
            self._loaded = self._load()
        found: dict[str, Score] = {}
        for scorer in self._loaded:
            rate = scorer.rate_of(reader.info.sample_rate)
            try:
                found |= scorer.score(heard_track(reader, heard.clip.track, heard.channels, sample_rate=rate), rate)
            except OutOfMemoryError as err:
                raise hearing_error(err) from err
        return found

    def _load(self) -> list[SoundScorer]:
        for name, path in self._paths.items():
            expected = self._expected.get(name)
            if expected is not None and hash_of_scorer(name, path) != expected:
                raise ModelFileError(
                    f"{path} was changed since the job began, which had sha256 {expected}: run it again with that "
                    "file, or with --overwrite"
                )
        return load_scorers(self._paths, self._hop)
