"""Where no job may write: refused when a transform is made, before anything runs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beam_curator.clips.clip_options import ClipOutputOptions
from beam_curator.files.output_target import OutputTarget, target_beside, target_of
from beam_curator.sets.set_kinds import EXTRACT, SEPARATE, WINDOWS, SetKind
from beam_curator.sets.set_options import RowOutputOptions
from beam_curator.transforms.clips.extract_clips import ExtractClips
from beam_curator.transforms.clips.standalone import extract_segments
from beam_curator.transforms.diarization.diarize_recordings import Diarize
from beam_curator.transforms.export.export_clips import ExportClips
from beam_curator.transforms.jobs.writing import WriteFailures, WriteTrainingWindows
from beam_curator.transforms.separation.separate_speakers import SeparateSpeakers
from beam_curator.transforms.windows.window_set import BuildWindowSet

COMPOSITES: list[Any] = [BuildWindowSet, ExtractClips, ExportClips, Diarize, SeparateSpeakers]


class TestTarget:
    @pytest.mark.parametrize("given", ["out", "file://out", Path("out"), OutputTarget(directory="out")])
    def test_a_path_stands_for_one(self, given: Any) -> None:
        assert target_of(given) == OutputTarget(directory="out")

    def test_shards_are_those_of_options_or_of_the_target(self) -> None:
        two = OutputTarget(directory="out", n_shards=2)
        assert (target_of("out", 2), target_of(two), target_of(two, 2)) == (two, two, two)
        with pytest.raises(ValueError, match="shards is 3, and 2 in the target: give one of them"):
            target_of(two, 3)

    def test_no_directory_and_no_shards_below_zero(self) -> None:
        with pytest.raises(ValueError, match="output is empty: name a directory"):
            OutputTarget(directory="")
        with pytest.raises(ValueError, match="shards -1 is below 0: raise it"):
            OutputTarget(directory="out", n_shards=-1)

    def test_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("")
        with pytest.raises(ValueError, match=r"output .*/out is a file: give a directory"):
            target_of(tmp_path / "out")

    def test_no_scheme_that_is_not_served(self) -> None:
        with pytest.raises(ValueError, match=r"scheme ftp:// in ftp://a/out is not allowed"):
            target_of("ftp://a/out")


class TestBeside:
    @pytest.mark.parametrize(
        ("given", "output"),
        [
            ("in", "in"),
            ("in", "in/out"),
            ("in/", "in/deeper/out"),
            ("in", "file://in/out"),
            ("in/../out/*.jsonl", "out"),
            ("**/*.jsonl", "out"),
            ("gs://bucket/in/", "gs://bucket/in/out"),
        ],
    )
    def test_inside_an_input_is_refused(self, given: str, output: str) -> None:
        where = output.removeprefix("file://")
        with pytest.raises(ValueError) as caught:
            target_beside(["b.jsonl", given], output, WINDOWS)
        assert str(caught.value) == f"output {where} lies inside the input {given}: choose one outside of it"

    @pytest.mark.parametrize(
        ("given", "kind"),
        [
            ("out/windows-00000-of-00001.jsonl", WINDOWS),
            ("out/failures-read-00000-of-00001.jsonl", EXTRACT),
            ("out/metadata.csv", EXTRACT),
            ("out/tracks/a.wav", SEPARATE),
        ],
    )
    def test_an_input_that_the_job_would_take_for_its_own_is_refused(self, given: str, kind: SetKind) -> None:
        with pytest.raises(ValueError, match=f"input {given} is one of the files that out will hold: choose another"):
            target_beside([given], "out", kind)

    @pytest.mark.parametrize(
        ("given", "output"),
        [
            ("in", "in2"),
            ("in2", "in"),
            ("gs://b/in", "in"),
            ("a/in", "a/out"),
            ("out/a.jsonl", "out"),  # a file that no job takes for its own may lie beside what it writes
            ("out/earlier", "out"),
            ("*.jsonl", "out"),
        ],
    )
    def test_beside_an_input_is_allowed(self, given: str, output: str) -> None:
        assert target_beside([given], output, WINDOWS) == OutputTarget(directory=output)

    def test_links_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        os.symlink(tmp_path / "in", tmp_path / "link")
        with pytest.raises(ValueError, match="lies inside the input"):
            target_beside([str(tmp_path / "in")], str(tmp_path / "link" / "out"), WINDOWS)


class TestTransforms:
    @pytest.mark.parametrize("composite", COMPOSITES)
    def test_refuse_what_is_no_place_when_they_are_made(self, composite: Any, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for output, problem in (("", "is empty"), ("in/out", "lies inside"), (str(tmp_path / "file"), "is a file")):
            with pytest.raises(ValueError, match=f"output.* {problem}"):
                composite(["in"], output)

    @pytest.mark.parametrize("write", [WriteTrainingWindows, WriteFailures])
    def test_that_write_blocks_refuse_it_too(self, write: Callable[[str], object]) -> None:
        with pytest.raises(ValueError, match="output is empty: name a directory"):
            write("")

    def test_take_shards_from_the_options(self) -> None:
        assert ExtractClips(["a"], "out", output=ClipOutputOptions(shards=4)).config()["output"]["shards"] == 4
        assert ExportClips(["a"], "out", output=RowOutputOptions(shards=3)).config()["output"]["shards"] == 3

    @pytest.mark.parametrize(
        ("output", "problem"),
        [("", "output is empty: name a directory"), ("{}", "output .* is a file: give a directory")],
    )
    def test_so_does_the_function_of_scripts(self, output: str, problem: str, tmp_path: Path) -> None:
        manifest = tmp_path / "m.jsonl"
        manifest.write_text("")
        with pytest.raises(ValueError, match=problem):
            extract_segments(manifest, output.format(manifest), "wav")
        assert list(tmp_path.iterdir()) == [manifest]
