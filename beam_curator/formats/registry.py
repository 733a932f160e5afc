"""The formats that turns are read from and written in, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from beam_curator.diarization.rttm import parsed_lines, render_rttm, render_uem
from beam_curator.formats.annotations import Annotation, Segment
from beam_curator.formats.audacity import read_labels, render_labels
from beam_curator.formats.elan import read_eaf, render_eaf
from beam_curator.formats.json_manifests import (
    LHOTSE_DIGITS,
    NEMO_DIGITS,
    cut_lines,
    nemo_lines,
    recording_lines,
    supervision_lines,
)
from beam_curator.formats.kaldi import (
    duration_lines,
    segment_lines,
    spk2utt_lines,
    text_lines,
    utt2spk_lines,
    wav_lines,
)
from beam_curator.formats.label_studio import CONFIG_HEAD, CONFIG_TAIL, label_lines, task_lines
from beam_curator.formats.subtitles import read_srt, read_vtt, render_srt, render_vtt
from beam_curator.formats.textgrid import read_textgrid, render_textgrid
from beam_curator.formats.transcripts import ctm_segment, render_ctm, render_stm, rttm_segment, stm_segment

FieldsReader = Callable[[list[str], int], tuple[str, Segment] | None]
"""Takes the fields of a line, and its number; gives the recording and the segment, or None where it has none."""

TextReader = Callable[[str], tuple[str, list[Segment]]]
"""Takes the text of a file; gives the name of its recording, "" where it names none, and the segments."""


def _always(segment: Segment) -> bool:
    del segment
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFile:
    """A file that has the lines of all recordings.

    Attributes:
      name: of the file; one that ends in .gz is compressed.
      lines: of a recording, without their ends.
      is_main: it has the segments; others stand beside it.
      is_sorted: its lines are in the order of their bytes, not of recordings, each of them once.
      is_optional: it is left out if it would be empty.
      head, between, tail: what stands around the lines.
    """

    name: str
    lines: Callable[[Annotation], Iterable[str]]
    is_main: bool = False
    is_sorted: bool = False
    is_optional: bool = False
    head: str = ""
    between: str = "\n"
    tail: str = "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format that turns are written in, most of them to be read again.

    Attributes:
      name: as `--to` has it.
      tool: that it belongs to, for people.
      holds: what it keeps of a segment, besides its times: speaker, text, words, channel.
      decimals: of its seconds.
      ending: of its files, where each recording has its own.
      render: the text of a recording, where each has a file of its own.
      files: where all recordings are written into the same files.
      read_fields: reads one line of a format with a segment a line, which may be about several recordings.
      read_text: reads a whole file of any other format.
      has_rows: its main file is a manifest, which jobs know by its contents.
      needs: facts about each recording that it cannot do without: duration, sample_rate, n_channels.
      asks: facts that it has where they can be had.
      takes: tells whether it has a place for a segment.
    """

    name: str
    tool: str
    holds: frozenset[str]
    decimals: int
    ending: str = ""
    render: Callable[[Annotation], str] | None = None
    files: tuple[SetFile, ...] = ()
    read_fields: FieldsReader | None = None
    read_text: TextReader | None = None
    has_rows: bool = False
    needs: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    takes: Callable[[Segment], bool] = _always

    @property
    def is_read(self) -> bool:
        """Whether files of the format are read."""
        return self.read_fields is not None or self.read_text is not None


def _rttm(annotation: Annotation) -> str:
    return render_rttm(annotation.name, [(one.start, one.end, one.speaker, one.channel) for one in annotation.segments])


def _lines_of(render: Callable[[Annotation], str]) -> Callable[[Annotation], Iterable[str]]:
    return lambda annotation: render(annotation).split("\n")[:-1]


def _uem(annotation: Annotation) -> str:
    return render_uem(annotation.name, [(0.0, annotation.end)])


RTTM = "rttm"
_KALDI: Mapping[str, Callable[[Annotation], Iterable[str]]] = {
    "wav.scp": wav_lines,
    "reco2dur": duration_lines,
    "segments": segment_lines,
    "utt2spk": utt2spk_lines,
    "spk2utt": spk2utt_lines,
    "text": text_lines,
}

LABELS = "labels"
"""Its files end as any text does, and are told by their contents."""

FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format(
            name=RTTM,
            ending=".rttm",
            tool="NIST's RTTM",
            holds=frozenset({"speaker", "channel"}),
            decimals=3,
            render=_rttm,
            read_fields=rttm_segment,
        ),
        Format(
            name="uem",
            ending=".uem",
            tool="NIST's UEM",
            holds=frozenset(),
            decimals=3,
            render=_uem,
            needs=("duration",),
            takes=lambda _: False,
        ),
        Format(
            name="textgrid",
            ending=".TextGrid",
            tool="Praat",
            holds=frozenset({"speaker", "text"}),
            decimals=6,
            render=render_textgrid,
            read_text=read_textgrid,
            asks=("duration",),
        ),
        Format(
            name=LABELS,
            ending=".txt",
            tool="Audacity",
            holds=frozenset({"speaker", "text"}),
            decimals=6,
            render=render_labels,
            read_text=read_labels,
        ),
        Format(
            name="eaf",
            ending=".eaf",
            tool="ELAN",
            holds=frozenset({"speaker", "text"}),
            decimals=3,
            render=render_eaf,
            read_text=read_eaf,
        ),
        Format(
            name="ctm",
            ending=".ctm",
            tool="NIST's CTM",
            holds=frozenset({"text", "words", "channel"}),
            decimals=3,
            files=(SetFile(name="transcripts.ctm", lines=_lines_of(render_ctm), is_main=True),),
            read_fields=ctm_segment,
            takes=lambda segment: bool(segment.text),
        ),
        Format(
            name="stm",
            ending=".stm",
            tool="NIST's STM",
            holds=frozenset({"speaker", "text", "channel"}),
            decimals=3,
            files=(SetFile(name="transcripts.stm", lines=_lines_of(render_stm), is_main=True),),
            read_fields=stm_segment,
        ),
        Format(
            name="webvtt",
            ending=".vtt",
            tool="WebVTT",
            holds=frozenset({"speaker", "text"}),
            decimals=3,
            render=render_vtt,
            read_text=read_vtt,
        ),
        Format(
            name="srt",
            ending=".srt",
            tool="SubRip",
            holds=frozenset({"speaker", "text"}),
            decimals=3,
            render=render_srt,
            read_text=read_srt,
        ),
        Format(
            name="kaldi",
            tool="Kaldi",
            holds=frozenset({"speaker", "text"}),
            decimals=3,
            files=tuple(
                SetFile(name=name, lines=lines, is_sorted=True, is_main=name == "segments", is_optional=name == "text")
                for name, lines in _KALDI.items()
            ),
            asks=("duration",),
        ),
        Format(
            name="lhotse",
            tool="Lhotse",
            holds=frozenset({"speaker", "text", "words", "channel"}),
            decimals=LHOTSE_DIGITS,
            files=(
                SetFile(name="recordings.jsonl.gz", lines=recording_lines),
                SetFile(name="supervisions.jsonl.gz", lines=supervision_lines),
                SetFile(name="cuts.jsonl.gz", lines=cut_lines, is_main=True),
            ),
            needs=("duration", "sample_rate", "n_channels"),
            has_rows=True,
        ),
        Format(
            name="nemo",
            tool="NeMo",
            holds=frozenset({"speaker", "text", "channel"}),
            decimals=NEMO_DIGITS,
            files=(SetFile(name="manifest.jsonl", lines=nemo_lines, is_main=True),),
            has_rows=True,
        ),
        Format(
            name="label-studio",
            tool="Label Studio",
            holds=frozenset({"speaker", "text"}),
            decimals=6,
            files=(
                SetFile(name="tasks.json", lines=task_lines, is_main=True, head="[\n", between=",\n", tail="\n]\n"),
                SetFile(name="labels.xml", lines=label_lines, is_sorted=True, head=CONFIG_HEAD, tail=CONFIG_TAIL),
            ),
            has_rows=True,
        ),
    )
}

ENDINGS = tuple(one.ending.lower() for one in FORMATS.values() if one.is_read)
"""Of files that are read, in lower case."""

SPEAKER_ENDINGS = tuple(one.ending.lower() for one in FORMATS.values() if one.is_read and "speaker" in one.holds)


def format_of(name: str) -> Format | None:
    """Return the format of a file by the ending of its name; None where it is none of turns.

    Example:
      >>> [one and one.name for one in map(format_of, ("x/Talk.TEXTGRID", "a.txt", "a.jsonl"))]
      ['textgrid', 'labels', None]
    """
    lower = name.lower()
    return next((one for one in FORMATS.values() if one.is_read and lower.endswith(one.ending.lower())), None)


def read_annotations(of: Format, text: str, name: str) -> dict[str, list[Segment]]:
    """Read a whole file.

    Args:
      of: its format.
      text: of the file.
      name: of the recording, where the file does not say it.

    Returns:
      The segments of each recording, by name, as they come.

    Raises:
      LineError: the file, or a line of it, cannot be read.
    """
    if of.read_text is not None:
        named, segments = of.read_text(text)
        return {named or name: segments}
    found: dict[str, list[Segment]] = {}
    for item in parsed_lines(text, of.read_fields) if of.read_fields is not None else ():
        if item is not None:
            found.setdefault(item[0], []).append(item[1])
    return found
