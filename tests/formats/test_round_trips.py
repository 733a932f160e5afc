"""Each format read back: by this package, and by the library that belongs to the format."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pympi
import pytest
import srt
import webvtt
from hypothesis import given, settings
from praatio import textgrid as praatio_textgrid

from beam_curator.formats.annotations import Annotation, Segment
from beam_curator.formats.registry import FORMATS, read_annotations
from tests.formats.corrected import SEGMENTS, TALK, sorted_segments, text_of_recording

READ = [name for name, one in FORMATS.items() if one.is_read]


@pytest.mark.parametrize("name", READ)
@settings(max_examples=40, deadline=None)
@given(segments=SEGMENTS)
def test_what_is_written_is_read_again(name: str, segments: tuple[Segment, ...]) -> None:
    of = FORMATS[name]
    annotation = Annotation(name="a", duration=10_200.0, segments=segments)
    found = read_annotations(of, text_of_recording(of, annotation), "a")
    kept = [
        replace(
            one,
            speaker=one.speaker if "speaker" in of.holds else "",
            text=one.text if "text" in of.holds and not (name == "textgrid" and one.text == one.speaker) else "",
        )
        for one in segments
        if one.text or name != "ctm"
    ]
    expected = {"a": sorted_segments(kept)} if kept or of.read_text else {}
    assert {key: sorted_segments(value) for key, value in found.items()} == expected


def test_praat_opens_a_textgrid(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(text_of_recording(FORMATS["textgrid"], TALK), encoding="utf-8")
    grid = praatio_textgrid.openTextgrid(str(path), includeEmptyIntervals=False, duplicateNamesMode="rename")
    assert (grid.minTimestamp, grid.maxTimestamp) == (0, 12.5)
    assert {name: [tuple(entry) for entry in grid.getTier(name).entries] for name in grid.tierNames} == {
        "Ana María": [(0.5, 2.0, "hello there")],
        "bob": [(1.25, 4.0, "bob")],
        "bob_2": [(3.5, 4.75, 'a "quote" & <tag>')],
        "会": [(9.001, 12.0, "é")],
    }


@pytest.mark.parametrize("form", ["short_textgrid", "long_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_what_praat_writes_is_read(form: str, encoding: str, tmp_path: Path) -> None:
    from beam_curator.formats.decoding import text_of

    grid = praatio_textgrid.Textgrid()
    grid.addTier(praatio_textgrid.IntervalTier("ana", [(0.25, 1.5, "grüß dich"), (2, 3, "ana")], 0, 9))
    grid.addTier(praatio_textgrid.PointTier("clicks", [(1.0, "x")], 0, 9))
    grid.save(str(tmp_path / "a"), form, includeBlankSpaces=True)
    raw = (tmp_path / "a").read_text(encoding="utf-8").replace("\n", "\r\n").encode(encoding)
    assert read_annotations(FORMATS["textgrid"], text_of(raw), "a")["a"] == [
        Segment(start=0.25, end=1.5, speaker="ana", text="grüß dich"),
        Segment(start=2.0, end=3.0, speaker="ana"),
    ]


def test_elan_opens_an_eaf_and_what_it_saves_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.eaf"
    path.write_text(text_of_recording(FORMATS["eaf"], TALK), encoding="utf-8")
    opened = pympi.Elan.Eaf(str(path))
    tiers = {tier: opened.get_annotation_data_for_tier(tier) for tier in opened.get_tier_names()}
    assert tiers == {
        "Ana María": [(500, 2000, "hello there")],
        "bob": [(1250, 4000, "")],
        "bob-2": [(3500, 4750, 'a "quote" & <tag>')],
        "会": [(9001, 12000, "é")],
    }
    assert opened.get_linked_files()[0]["MEDIA_URL"] == "file:///data/rec/my%20talk.wav"
    opened.add_annotation("bob", 5000, 6000, "corrected")
    opened.to_file(str(tmp_path / "b.eaf"))
    found = read_annotations(FORMATS["eaf"], (tmp_path / "b.eaf").read_text(encoding="utf-8"), "b")
    corrected = Segment(start=5.0, end=6.0, speaker="bob", text="corrected")
    assert {key: sorted_segments(value) for key, value in found.items()} == {
        "my talk.wav": sorted_segments([*TALK.segments, corrected])
    }


def test_players_show_the_subtitles() -> None:
    cues = webvtt.from_buffer(io.StringIO(text_of_recording(FORMATS["webvtt"], TALK))).captions
    assert [(cue.start, cue.end, cue.voice, cue.text) for cue in cues] == [
        ("00:00:00.500", "00:00:02.000", "Ana María", "hello there"),
        ("00:00:01.250", "00:00:04.000", "bob", ""),
        ("00:00:03.500", "00:00:04.750", "bob", 'a "quote" &amp; &lt;tag&gt;'),
        ("00:00:09.001", "00:00:12.000", "会", "é"),
    ]
    lines = list(srt.parse(text_of_recording(FORMATS["srt"], TALK)))
    assert [(cue.start.total_seconds(), cue.end.total_seconds(), cue.content) for cue in lines] == [
        (0.5, 2.0, "Ana María: hello there"),
        (1.25, 4.0, "bob:"),
        (3.5, 4.75, 'bob: a "quote" & <tag>'),
        (9.001, 12.0, "会: é"),
    ]
