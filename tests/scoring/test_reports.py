from __future__ import annotations

import csv
import io
import json
import math
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_curator.scoring.pairing import Pairing
from beam_curator.scoring.reports import (
    ScoreReport,
    ScoreTable,
    in_order,
    render_report_csv,
    render_report_json,
    render_report_table,
    shortened,
)
from beam_curator.scoring.scores import Conditions, RecordingScore


def score(name: str, missed: float = 0.0, speech: float = 10.0, n_said: int = 2) -> RecordingScore:
    return RecordingScore(
        recording_id=name,
        scored=20.0,
        speech=speech,
        missed=missed,
        false_alarm=1.5,
        confused=0.0,
        jaccard_error=0.5 if speech else 0.0,
        n_jaccard=2 if speech else 0,
        n_reference_speakers=2 if speech else 0,
        n_hypothesis_speakers=n_said,
        has_hypothesis=n_said > 0,
    )


def report(*scores: RecordingScore, uem: str | None = None, collars: tuple[float, ...] = (0.0,)) -> ScoreReport:
    return ScoreReport(
        reference="ref",
        hypothesis="hyp",
        uem=uem,
        pairing=Pairing(
            scored=tuple(item.recording_id for item in scores),
            without_hypothesis=tuple(item.recording_id for item in scores if not item.has_hypothesis),
            without_reference=("extra",),
        ),
        tables=tuple(ScoreTable(conditions=Conditions(collar=collar), scores=scores) for collar in collars),
    )


THREE = (score("a", missed=1.0), score("lost", missed=10.0, n_said=0), score("silent", speech=0.0, n_said=1))

TABLE = """\
reference ref, hypothesis hyp
3 recordings, collar 0 s, overlap scored, no UEM: all from the first to the last turn of either side
recording           scored s  speech s   DER %  miss %  false alarm %  confusion %  JER %  speakers  off by
------------------  --------  --------  ------  ------  -------------  -----------  -----  --------  ------
a                      20.00     10.00   25.00   10.00          15.00         0.00  25.00       2/2       0
lost                   20.00     10.00  115.00  100.00          15.00         0.00  25.00       2/-      -2
silent                 20.00      0.00       -       -         1.50 s            -      -       0/1      +1
------------------  --------  --------  ------  ------  -------------  -----------  -----  --------  ------
mean of recordings                       70.00   55.00          15.00         0.00  25.00
weighted by speech     60.00     20.00   77.50   55.00          22.50         0.00  25.00
number of speakers right in 1 of 3 (33.3 %), off by 1.00 on average
"""


def test_the_table() -> None:
    assert render_report_table(report(*THREE)) == TABLE


def test_turns_that_were_left_out_are_said() -> None:
    left = replace(report(*THREE), empty_turns=(1, 1200))
    assert render_report_table(left).splitlines()[1:3] == [
        "left out of the reference: 1 turn without length",
        "left out of the hypothesis: 1,200 turns without length",
    ]
    assert json.loads(render_report_json(left))["empty_turns"] == {"reference": 1, "hypothesis": 1200}


def test_a_table_for_each_condition() -> None:
    text = render_report_table(report(score("a"), uem="all.uem", collars=(0.0, 0.25)))
    head, _, rest = text.partition("\n")
    assert head == "reference ref, hypothesis hyp"
    tables = rest.split("\n\n")
    assert [table.splitlines()[0] for table in tables] == [
        "1 recording, collar 0 s, overlap scored, UEM all.uem",
        "1 recording, collar 0.25 s on each side, overlap scored, UEM all.uem",
    ]


def test_without_speech_false_alarms_are_seconds_also_in_sum() -> None:
    last = render_report_table(report(score("a", speech=0.0))).splitlines()[-2]
    assert last.split() == ["weighted", "by", "speech", "20.00", "0.00", "-", "-", "1.50", "s", "-", "-"]


def width(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


def test_long_names_fit_and_wide_ones_are_aligned() -> None:
    text = render_report_table(report(score("x" * 300), score("会議" * 40), score("my talk\n"), score("会")))
    rows = text.splitlines()[2:-1]
    assert {width(row) for row in rows if not row.startswith("mean")} <= {119, 120, width(rows[-1])}
    assert max(map(width, rows)) <= 120
    assert rows[2].startswith("xxxxxxx")
    assert "…" in rows[2]
    assert rows[4].startswith("my%20talk%0A ")


@given(st.text(max_size=40), st.integers(3, 30))
def test_shortened_names_fit_and_keep_both_ends(name: str, columns: int) -> None:
    text = shortened(name, columns)
    assert sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    ) <= (columns)
    head, mark, tail = text.partition("…") if text != name else (text, "", "")
    assert name.startswith(head)
    assert name.endswith(tail)
    assert bool(mark) == (text != name)


def test_json_has_everything() -> None:
    fields = json.loads(render_report_json(report(*THREE, collars=(0.0, 0.25))))
    assert {key: value for key, value in fields.items() if key != "tables"} == {
        "reference": "ref",
        "hypothesis": "hyp",
        "uem": None,
        "n_recordings": 3,
        "without_hypothesis": ["lost"],
        "without_reference": ["extra"],
        "empty_turns": {"reference": 0, "hypothesis": 0},
    }
    first, second = fields["tables"]
    assert (first["collar_seconds"], second["collar_seconds"], first["skip_overlap"]) == (0.0, 0.25, False)
    assert first["recordings"][2] == {
        "recording_id": "silent",
        "scored_seconds": 20.0,
        "speech_seconds": 0.0,
        "missed_seconds": 0.0,
        "false_alarm_seconds": 1.5,
        "confusion_seconds": 0.0,
        "der": None,
        "miss": None,
        "false_alarm": None,
        "confusion": None,
        "jer": None,
        "reference_speakers": 0,
        "hypothesis_speakers": 1,
        "speaker_count_error": 1,
        "has_hypothesis": True,
    }
    assert first["macro"] == {"der": 70.0, "miss": 55.0, "false_alarm": 15.0, "confusion": 0.0, "jer": 25.0}
    assert first["weighted"]["der"] == 77.5
    assert (first["weighted"]["missed_seconds"], first["weighted"]["speech_seconds"]) == (11.0, 20.0)
    assert (first["speaker_count_accuracy"], first["speaker_count_mean_error"]) == (33.333333, 1.0)


def test_csv_has_a_row_for_each_recording_and_two_of_totals() -> None:
    text = render_report_csv(report(*THREE, uem="u", collars=(0.0, 0.25)))
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["row"], row["recording_id"]) for row in rows[:5]] == [
        ("recording", "a"),
        ("recording", "lost"),
        ("recording", "silent"),
        ("macro", ""),
        ("weighted", ""),
    ]
    assert [row["collar_seconds"] for row in rows] == ["0.0"] * 5 + ["0.25"] * 5
    assert (rows[0]["der"], rows[2]["der"], rows[3]["der"], rows[4]["der"]) == ("25.0", "", "70.0", "77.5")
    assert {(row["reference"], row["hypothesis"], row["uem"]) for row in rows} == {("ref", "hyp", "u")}
    counts = [(row["speaker_count_accuracy"], row["speaker_count_mean_error"]) for row in rows[:5]]
    assert counts == [("", "")] * 3 + [("33.333333", "1.0")] * 2


@pytest.mark.parametrize("name", ["\ud800", 'a "b", c', "=1+1", "会議\n"])
def test_any_name_can_be_written(name: str) -> None:
    one = report(score(name))
    assert json.loads(render_report_json(one).encode())["tables"][0]["recordings"][0]["recording_id"] == name
    assert render_report_csv(one).encode()
    assert len(render_report_table(one).encode().splitlines()) == 9


def test_paths_stay_in_their_line() -> None:
    one = replace(report(score("a"), uem="u\udcff"), reference="my\ntalks", hypothesis="会議 1")
    first, second, *_ = render_report_table(one).encode().decode().splitlines()
    assert first == "reference 'my\\ntalks', hypothesis 会議 1"
    assert second.endswith("UEM 'u\\udcff'")


def test_json_holds_nothing_that_json_has_not() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_report_json(report(replace(score("a"), scored=math.inf)))


def test_order() -> None:
    scores = [score("c", missed=1.0), score("a", speech=0.0), score("d", missed=2.0), score("b", missed=1.0)]
    assert [item.recording_id for item in in_order(scores, "name")] == ["a", "b", "c", "d"]
    assert [item.recording_id for item in in_order(scores, "der")] == ["d", "b", "c", "a"]
