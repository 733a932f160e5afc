"""Files that are damaged, or of another kind: the error has the line, the value and the cure."""

from __future__ import annotations

import pytest

from beam_curator.diarization.rttm import LineError
from beam_curator.failures import EntryError
from beam_curator.formats.annotations import Segment
from beam_curator.formats.audacity import looks_like_labels
from beam_curator.formats.decoding import text_of
from beam_curator.formats.registry import FORMATS, read_annotations

GRID = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n9\n<exists>\n1\n"IntervalTier"\n"ana"\n0\n9\n'
EAF = '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT>\n<TIME_ORDER>\n'
TIER = (
    '</TIME_ORDER>\n<TIER TIER_ID="ana"><ANNOTATION>\n<ALIGNABLE_ANNOTATION TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2">\n'
)
LAUGHS = '<?xml version="1.0"?>\n<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>\n<ANNOTATION_DOCUMENT/>'


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("textgrid", GRID + "1\n0\n", "line 14: the file ends before xmax of an interval: save it in Praat"),
        ("textgrid", GRID + '1\n0\n"x"\n2\n', "line 14: 'x', expected xmax of an interval"),
        ("textgrid", GRID + '2\n0\n5\n"a"\n4\n6\n"b"\n', "line 16: an interval of tier 'ana' begins at 4 s, before"),
        ("textgrid", GRID + '1\n-1\n5\n"a"\n', "line 13: start -1 s, expected 0 or more: shift the times"),
        ("textgrid", GRID + '1\n5\n3\n"a"\n', "line 13: end 3 s, before its start 5 s: exchange"),
        ("textgrid", GRID + "0.5\n", "line 12: 0.5, expected the number of intervals"),
        ("textgrid", 'File type = "ooTextFile"\n"Sound 2"\n', "line 2: the file holds another object of Praat"),
        ("textgrid", "ooBinaryFile\x08TextGrid", "line 1: a binary TextGrid: save it in Praat as a text file"),
        ("labels", "0.5\t1.5\tana\n1 2 bob\n", "line 2: '1 2 bob', expected start, end and label with tabs between"),
        ("labels", "-0.5\t1.5\tana\n", "line 1: start -0.5 s, expected 0 or more"),
        ("eaf", "<html/>", "line 1: the file begins with <html>, expected ANNOTATION_DOCUMENT: save"),
        ("eaf", EAF, "line 4: no valid XML: no element found: save"),
        ("eaf", EAF + '<TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="x"/>', "line 4: TIME_VALUE 'x', expected whole"),
        ("eaf", EAF + TIER + "</ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>",
         "line 6: an annotation with time slot 't1', which has no time"),
        ("eaf", LAUGHS, "line 2: a document type, whose entities are not read: remove the DOCTYPE"),
        ("ctm", "a 1 0.5 1\n", "line 1: 4 fields, expected 5 or 6"),
        ("ctm", ";; x\na 1 -0.5 1 word\n", "line 2: start '-0.5', expected seconds, 0 or more"),
        ("stm", "a 1 ana 0\n", "line 1: 4 fields, expected 5 or more"),
        ("stm", "a 1 ana 2 1 hello\n", "line 1: end 1 s, before its start 2 s"),
        ("webvtt", "1\n00:01.000 --> 00:02.000\nhi\n", "line 1: the file begins with '1', expected WEBVTT"),
        ("webvtt", "WEBVTT\n\nNOTE x\n\n1\n00:01 --> 00:02.000\nhi\n", "line 6: time '00:01', expected hours"),
        ("srt", "1\n00:00:01,000 --> 00:00:02,000\nhi\n\n2\nbye\n", "line 6: 'bye', expected the times of a cue"),
        ("srt", "1\n00:00:03,000 --> 00:00:02,000\nhi\n", "line 2: end 2 s, before its start 3 s"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_where_and_why(name: str, text: str, said: str) -> None:
    with pytest.raises(LineError) as caught:
        read_annotations(FORMATS[name], text, "a")
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("Grüß".encode("cp1252"), "bad_utf8: byte 0xfc at position 2 is not UTF-8: save the file as UTF-8, or convert"),
        ("ana".encode("utf-16-le"), "bad_utf8: byte 0x00 at character 1, expected text: save the file as UTF-8, or as"),
        (b"\xff\xfea", "bad_utf8: byte 0x61 at position 2 is not UTF-16"),
    ],
)
def test_other_encodings_are_refused(raw: bytes, said: str) -> None:
    with pytest.raises(EntryError) as caught:
        text_of(raw)
    assert str(caught.value).startswith(said)


def test_silence_points_and_looks_are_passed_over() -> None:
    grid = '"ooTextFile"\n"TextGrid" 0 9 <exists> 2 "TextTier" "p" 0 9 1 2.5 "x" "IntervalTier" "a ""b""" 0 9 3 '
    grid = f'{grid}0 1 "" 1 2 "  " 2 9 "hi! 3"'
    assert read_annotations(FORMATS["textgrid"], grid, "t") == {
        "t": [Segment(start=2.0, end=9.0, speaker='a "b"', text="hi! 3")]
    }
    labels = "0,5\t1,5\tana: hi\n\\\t100.0\t200.0\n2.0\t2.0\tpoint\n\n3.0\t4.0\t\n5.0\t6.0\n"
    assert read_annotations(FORMATS["labels"], labels, "t")["t"] == [
        Segment(start=0.5, end=1.5, speaker="ana", text="hi"),
        Segment(start=3.0, end=4.0),
        Segment(start=5.0, end=6.0),
    ]
    cue = "WEBVTT - x\nKind: captions\n\nSTYLE\n::cue{}\n\n00:01.5 --> 01:00:02.000 align:start\n"
    cue += "<v.loud Bo>a <b>b</b>\n<v X>c"
    assert read_annotations(FORMATS["webvtt"], cue, "t")["t"] == [
        Segment(start=1.5, end=3602.0, speaker="Bo", text="a b"),
        Segment(start=1.5, end=3602.0, speaker="X", text="c"),
    ]
    srt = "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<i>Ana</i>: x\ny\n"
    assert read_annotations(FORMATS["srt"], srt, "t")["t"] == [Segment(start=1.0, end=2.0, speaker="Ana", text="x y")]
    stm = "a A ana 0 1 <o,f0,male> hi\na A ana 1 2 IGNORE_TIME_SEGMENT_IN_SCORING\n"
    assert read_annotations(FORMATS["stm"], stm, "t")["a"] == [
        Segment(start=0.0, end=1.0, speaker="ana", text="hi"),
        Segment(start=1.0, end=2.0, speaker="ana"),
    ]


@pytest.mark.parametrize("text", ["", "{}\n", "1\t2\tx\n", "read me\n", "SPEAKER a 1 0.5 1.5\n", "0.5\tx\n"])
def test_a_text_without_two_times_is_no_label_track(text: str) -> None:
    assert not looks_like_labels(text)
