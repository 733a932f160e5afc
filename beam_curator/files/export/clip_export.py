"""Everything that an export makes of one clip."""

from contextlib import ExitStack
from dataclasses import dataclass

from beam_curator.audio import AudioReader
from beam_curator.audio.channels import n_resampled
from beam_curator.clips.cut_rules import CutRules
from beam_curator.clips.cutting import n_channels_of, rate_of
from beam_curator.entries.own_keys import ORIGIN_KEY
from beam_curator.export import documents, tree
from beam_curator.export.clip_turns import turns_of
from beam_curator.export.documents import ClipMeta, ClipWindow, ExportedClip, render_clip_meta
from beam_curator.export.embeddings import npy_bytes
from beam_curator.export.export_plan import PlannedClip
from beam_curator.export.export_rules import ExportRules
from beam_curator.export.exported_rows import ExportFacts, export_row
from beam_curator.export.values import ClipValues, values_of
from beam_curator.files.clip_files import CutClip, EncodedClip, encode_clip, in_memory
from beam_curator.files.export.preview_files import PreviewRecorder
from beam_curator.intervals import Span
from beam_curator.sets.embedding_columns import Embedding
from beam_curator.sets.recording_events import Made, MadeFile


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeClip:
    """A clip that was cut and encoded, and is not written yet."""

    plan: PlannedClip
    values: ClipValues
    vector: Embedding | None
    made: CutClip

    @property
    def passed(self) -> bool:
        """Whether no rule rejected it."""
        return not self.values.filtered_by

    @property
    def location(self) -> str:
        """Where it goes, below the root."""
        return tree.clip_file(self.plan.span_uuid, not self.passed)

    @property
    def span(self) -> Span:
        """Where it lies in the recording."""
        return self.made.cut.first / self.made.source_rate, self.made.cut.stop / self.made.source_rate

    @property
    def windows(self) -> tuple[ClipWindow, ...]:
        """The pieces of it: the whole is one."""
        n_samples = self.made.clip.n_samples
        return (ClipWindow(start_sample=0, end_sample=n_samples, transcripts=self.values.transcripts),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipExport:
    """Makes the files of clips of one recording.

    Attributes:
      reader: the open recording.
      relative: path of the recording, for people.
      rules: what is written.
      cut_rules: how clips are cut.
    """

    reader: AudioReader
    relative: str
    rules: ExportRules
    cut_rules: CutRules

    def make(self, plan: PlannedClip, vector: Embedding | None, source: str) -> tuple[Made, ExportedClip]:
        """Cut a clip, and make all its files; return its row, and its entry in the document of its chunk.

        Args:
          plan: what is cut.
          vector: its embedding, float32 [n_dimensions]; None where it has none.
          source: manifest of its row.

        Raises:
          EntryError: it cannot be read, or cannot be encoded.
        """
        values = values_of(plan.request.fields, self.rules)
        with ExitStack() as stack:
            recorder = self._recorder(plan, values)
            if recorder is not None:
                stack.callback(recorder.close)
            listen = recorder.add if recorder is not None else None
            made = encode_clip(self.reader, plan.cut, self.cut_rules, "flac", listen)
            clip = MadeClip(plan=plan, values=values, vector=vector, made=made)
            try:
                beside = self._beside(clip)
                if recorder is not None:
                    beside |= self._previews(clip, recorder)
            except BaseException:
                made.clip.close()
                raise
            return self._made(clip, beside, source), self._document(clip)

    def names(self, plan: PlannedClip) -> list[str]:
        """Return the names of all files that an earlier attempt may have left of a clip."""
        uuid = plan.span_uuid
        return [
            *(tree.clip_file(uuid, filtered) for filtered in (False, True)),
            tree.clip_document(uuid),
            tree.embedding_file(uuid, self.rules.embedding_algorithm),
            *tree.preview_files(uuid, self._n_samples(plan)),
        ]

    def _n_samples(self, plan: PlannedClip) -> int:
        rate, new_rate = self.reader.info.sample_rate, rate_of(self.reader.info, self.cut_rules)
        return n_resampled(plan.cut.stop - plan.cut.first, rate, new_rate)

    def _recorder(self, plan: PlannedClip, values: ClipValues) -> PreviewRecorder | None:
        if not self.rules.generate_previews or self.rules.dry_run or values.filtered_by:
            return None
        info = self.reader.info
        n_channels = n_channels_of(info, plan.cut, self.cut_rules)
        return PreviewRecorder(self._n_samples(plan), rate_of(info, self.cut_rules), n_channels)

    def _beside(self, clip: MadeClip) -> dict[str, EncodedClip]:
        """Return the document of a clip and its embedding, by name."""
        if self.rules.dry_run:
            return {}
        uuid = clip.plan.span_uuid
        files = {tree.clip_document(uuid): in_memory(render_clip_meta(self._meta(clip)))}
        if clip.vector is not None:
            files[tree.embedding_file(uuid, self.rules.embedding_algorithm)] = in_memory(npy_bytes(clip.vector))
        return files

    def _previews(self, clip: MadeClip, recorder: PreviewRecorder) -> dict[str, EncodedClip]:
        image, sound = tree.preview_files(clip.plan.span_uuid, clip.made.clip.n_samples)
        start, end = clip.span
        title = f"{self.relative}   {start:.2f} - {end:.2f} s"
        return {
            image: recorder.image(turns_of(clip.plan.request.fields, clip.span), title),
            sound: recorder.sound(),
        }

    def _meta(self, clip: MadeClip) -> ClipMeta:
        info, made = self.reader.info, clip.made
        return ClipMeta(
            span_uuid=clip.plan.span_uuid,
            source_audio=clip.plan.request.fields["original_file"],
            speaker_id=clip.plan.request.fields.get("speaker_id"),
            duration_span=clip.span,
            sample_rate_source=info.sample_rate,
            channels_source=info.n_channels,
            codec_source=info.codec,
            clip_location=clip.location,
            encoded=documents.EncodedClip(
                sample_rate=made.sample_rate,
                channels=made.n_channels,
                num_samples=made.clip.n_samples,
                num_bytes=made.clip.n_bytes,
                audio_codec="flac",
            ),
            scores=clip.values.scores,
            errors=self._errors(clip),
            windows=clip.windows,
        )

    def _lacks_embedding(self, clip: MadeClip) -> bool:
        return self.rules.generate_embeddings and clip.passed and clip.vector is None

    def _errors(self, clip: MadeClip) -> tuple[str, ...]:
        missing = (f"{self.rules.embedding_algorithm}_embedding_missing",) if self._lacks_embedding(clip) else ()
        return (*clip.values.missing, *missing)

    def _made(self, clip: MadeClip, beside: dict[str, EncodedClip], source: str) -> Made:
        uploaded = self.rules.upload_clips and not self.rules.dry_run
        facts = clip.made.facts(clip.location)
        made = [MadeFile(name=name, body=body) for name, body in beside.items()]
        if not uploaded:
            clip.made.clip.close()
        export = ExportFacts(
            span_uuid=clip.plan.span_uuid,
            filtered_by=clip.values.filtered_by,
            uploaded=uploaded,
            files=tuple(file.written for file in made),
        )
        row = export_row(clip.plan.request.fields, clip.plan.request.index, facts, export)
        row |= {ORIGIN_KEY: {"source": source, "offset": clip.plan.position[2]}}
        counts = {
            "filtered": int(not clip.passed),
            "previews": int(any(name.startswith(f"{tree.PREVIEWS}/") for name in beside)),
            "embeddings": int(clip.vector is not None and not self.rules.dry_run),
            "missing_embeddings": int(self._lacks_embedding(clip)),
            "missing_transcripts": len(clip.values.missing),
        }
        clips = [MadeFile(name=clip.location, body=clip.made.clip)] if uploaded else []
        return Made(row=row, files=(*clips, *made), counts=counts)

    def _document(self, clip: MadeClip) -> ExportedClip:
        """Return a clip's entry in the document of its chunk; a dry run does not change it."""
        start, stop = clip.made.cut.first, clip.made.cut.stop
        return ExportedClip(
            uuid=clip.plan.span_uuid,
            duration=(stop - start) / clip.made.source_rate,
            rejected_by=clip.values.filtered_by,
            transcoded=True,
            has_embedding=clip.vector is not None,
            has_preview=self.rules.generate_previews and clip.passed,
            windows=clip.windows,
        )
