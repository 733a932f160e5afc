"""`--update`: after any sequence of changes the set is, byte for byte, that of a run from nothing."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_curator.files import opened_recordings
from beam_curator.runners.options import UsageError
from tests.fakes_models import write_band_model, write_sound
from tests.manifests import files_below, run, write_lines

SECONDS = 6
NAMES = ("a", "b", "c", "sub/a")


def files_of(directory: Path) -> dict[str, bytes]:
    """Return the files of a set, but for those that hold times and places."""
    paths = {path.relative_to(directory).as_posix(): path for path in files_below(directory)}
    return {name: path.read_bytes() for name, path in paths.items() if not name.endswith("summary.json")}


@dataclass
class Corpus:
    """Recordings that come, change and go, and a manifest that names them in an order of its own.

    Attributes:
      folder: that holds them.
      versions: number of the present version of each recording, by name; 0 for one that is no audio.
    """

    folder: Path
    versions: dict[str, int] = field(default_factory=dict)
    n_changes: int = 0

    def change(self, name: str, version: int | None) -> None:
        """Give a recording another version; None removes it, 0 damages it."""
        path = self.folder / "in" / f"{name}.wav"
        self.n_changes += 1
        if version is None:
            self.versions.pop(name, None)
            path.unlink(missing_ok=True)
            return
        self.versions[name] = version
        path.parent.mkdir(parents=True, exist_ok=True)
        if version == 0:
            path.write_bytes(b"<html>")
        else:
            draw = random.Random(f"{name} {version}")
            speech = [(start + 0.08, start + 0.8, draw.randrange(4)) for start in range(SECONDS)]
            write_sound(path, SECONDS, speech)
        # the clock of a disk may be too slow for two versions in a row
        os.utime(path, ns=(self.n_changes * 10**9, self.n_changes * 10**9))

    def write_pieces(self) -> Path:
        """Write a manifest of pieces; the place of a recording's rows changes with those before it."""
        rows = [
            {"original_file": f"in/{name}.wav", "original_start_ms": begin, "original_end_ms": begin + 700}
            for name in sorted(self.versions, reverse=True)
            for begin in range(0, 1000 * SECONDS, 2000)
        ]
        return write_lines(self.folder / "pieces.jsonl", [json.dumps(row).encode() for row in rows])

    def write_entries(self) -> Path:
        """Write a manifest of diarized entries."""
        turns = [{"start": second, "end": second + 0.9, "speaker": f"s{second % 2}"} for second in range(SECONDS)]
        rows = [
            {"audio_filepath": f"in/{name}.wav", "audio_sample_rate": 16000, "duration": SECONDS, "segments": turns}
            for name in sorted(self.versions)
        ]
        return write_lines(self.folder / "entries.jsonl", [json.dumps(row).encode() for row in rows])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_band_model(tmp_path_factory.mktemp("model") / "model")


def command_of(kind: str, corpus: Corpus, model: Path) -> list[Any]:
    """Return the command of a job on the present corpus."""
    if kind == "diarize":
        return ["diarize", corpus.folder / "in", "--model-path", model, "--embeddings", "--bandwidth", "--uem"]
    if kind == "extract":
        return ["extract", corpus.write_pieces()]
    if kind in PACKS:
        # tars with several recordings, and one without any
        return ["extract", corpus.write_pieces(), "--output-format", "flac", "--pack", kind, "--shards", "3"]
    if kind == "separate":
        return ["separate", corpus.write_entries(), "--output-format", "flac"]
    return ["export", corpus.write_entries(), "--what", "segments", "--generate-previews", "--row-format", "parquet"]


PACKS = ("webdataset", "nemo-tar")
KINDS = ("diarize", "extract", "separate", "export", *PACKS)
_CHANGES = st.lists(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([None, 0, 1, 2])), min_size=1, max_size=3),
    min_size=2,
    max_size=3,
)


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind != "extract"]


@pytest.mark.parametrize("kind", ["extract", *SLOW])
@settings(
    max_examples=5 if os.environ.get("BEAM_CURATOR_SLOW") else 1,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sequence=_CHANGES)
def test_updates_write_the_bytes_of_a_run_from_nothing(
    kind: str, sequence: list[list[tuple[str, int | None]]], model: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    corpus, out = Corpus(folder), folder / "out"
    corpus.change("always", 1)
    for changes in sequence:
        for name, version in changes:
            corpus.change(name, version)
        command = command_of(kind, corpus, model)
        code = run(*command, "--output", out, "--update")
        fresh = folder / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        assert run(*command, "--output", fresh) == code
        assert files_of(out) == files_of(fresh)
        assert run("verify", out) == 0


def recordings_by_tar(directory: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each tar of a set, and those of the recordings whose clips are in it."""
    rows = [json.loads(line) for path in sorted(directory.glob("clips-*.jsonl")) for line in path.open()]
    found = sorted({(row["extracted_path"].partition("::")[0], row["original_file"][3:]) for row in rows})
    for tar, group in itertools.groupby(found, itemgetter(0)):
        yield tar, [recording for _, recording in group]


def inodes_of(directory: Path) -> set[int]:
    """Return the inodes of the files that were made of recordings, clips or turns."""
    endings = (".wav", ".flac", ".rttm", ".uem")
    return {path.stat().st_ino for path in directory.rglob("*") if path.suffix in endings}


class TestKept:
    @pytest.fixture
    def corpus(self, tmp_path: Path) -> Corpus:
        corpus = Corpus(tmp_path)
        for number, name in enumerate(("a", "b", "c")):
            corpus.change(name, number + 1)
        return corpus

    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
        """Return the names of the recordings that are opened from now on."""
        names: list[str] = []
        really_open: Callable[..., Any] = opened_recordings._opened

        def noted(path: str) -> Any:
            names.append(os.path.basename(path))
            return really_open(path)

        monkeypatch.setattr(opened_recordings, "_opened", noted)
        return names

    @pytest.mark.parametrize("kind", ["extract", *SLOW])
    def test_recordings_are_not_opened(
        self, kind: str, corpus: Corpus, model: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = corpus.folder / "out"
        run(*command_of(kind, corpus, model), "--output", out)
        before = inodes_of(out)
        corpus.change("b", 5)
        corpus.change("d", 1)
        corpus.change("c", None)
        opened.clear()
        capsys.readouterr()
        told = "1 kept, 1 new, 1 changed, 1 gone"
        assert run(*command_of(kind, corpus, model), "--output", out, "--update", "--plan") == 0
        assert capsys.readouterr().out.splitlines()[0] == f"{told}; to open: 2 recordings, 12.0 s (0.00 h)"
        assert run(*command_of(kind, corpus, model), "--output", out, "--update") == 0
        assert set(opened) == {"b.wav", "d.wav"}
        assert capsys.readouterr().out.splitlines()[0] == told
        assert len(inodes_of(out) & before) == len(before) // 3

    @pytest.mark.parametrize("kind", PACKS)
    def test_clips_in_tars_are_copied_and_tars_without_a_change_linked(
        self,
        kind: str,
        tmp_path: Path,
        model: Path,
        opened: list[str],
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # names decide which tar a recording is in
        monkeypatch.chdir(tmp_path)
        corpus, out, fresh = Corpus(Path(".")), Path("out"), Path("fresh")
        for name in "abcdef":
            corpus.change(name, 1)
        run(*command_of(kind, corpus, model), "--output", out)
        before = {path.name: path.stat().st_ino for path in out.glob("*.tar")}
        recordings = {tar: set(group) for tar, group in recordings_by_tar(out)}
        assert sorted(map(len, recordings.values())) == [1, 5], "and none in the third one"
        # the rows of "a" are the last ones: no other row moves
        corpus.change("a", 5)
        opened.clear()
        capsys.readouterr()
        assert run(*command_of(kind, corpus, model), "--output", out, "--update") == 0
        assert capsys.readouterr().out.splitlines()[0] == "5 kept, 0 new, 1 changed, 0 gone"
        assert opened == ["a.wav"]
        run(*command_of(kind, corpus, model), "--output", fresh)
        assert files_of(out) == files_of(fresh)
        linked = {path.name for path in out.glob("*.tar") if path.stat().st_ino == before[path.name]}
        assert linked == {name for name in before if "a.wav" not in recordings.get(name, ())}
        # all rows move: those in WebDataset's tars, too
        corpus.change("g", 2)
        opened.clear()
        assert run(*command_of(kind, corpus, model), "--output", out, "--update") == 0
        assert opened == ["g.wav"]
        shutil.rmtree(fresh)
        run(*command_of(kind, corpus, model), "--output", fresh)
        assert files_of(out) == files_of(fresh)

    def test_clips_of_a_damaged_tar_are_cut_again(self, corpus: Corpus, model: Path, opened: list[str]) -> None:
        out = corpus.folder / "out"
        run(*command_of("webdataset", corpus, model), "--output", out)
        expected = files_of(out)
        name, recordings = next(recordings_by_tar(out))
        data = (out / name).read_bytes()
        (out / name).write_bytes(data[:1000] + b"damage" + data[1006:])
        corpus.change("d", 1)
        opened.clear()
        assert run(*command_of("webdataset", corpus, model), "--output", out, "--update") == 0
        assert set(opened) == {*recordings, "d.wav"}
        corpus.change("d", None)
        assert run(*command_of("webdataset", corpus, model), "--output", out, "--update") == 0
        assert files_of(out) == expected

    def test_without_a_number_of_tars_all_clips_are_cut_again(
        self, corpus: Corpus, model: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = [*command_of("webdataset", corpus, model)[:-2], "--output", corpus.folder / "out"]
        run(*command)
        corpus.change("d", 1)
        corpus.write_pieces()
        opened.clear()
        capsys.readouterr()
        assert run(*command, "--update", "--plan") == 0
        assert run(*command, "--update") == 0
        assert set(opened) == {"a.wav", "b.wav", "c.wav", "d.wav"}
        said = "without --shards the number of tars follows from the manifests, and clips move between them: all is"
        assert said in capsys.readouterr().err

    def test_no_model_is_loaded_for_none(self, corpus: Corpus, model: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        run("diarize", corpus.folder / "in", "--model-path", model, "--output", out)
        corpus.change("b", None)
        assert run("diarize", corpus.folder / "in", "--model-path", model, "--output", out, "--update") == 0
        stages = json.loads((out / "summary.json").read_bytes())["stages"]
        assert [stage["time_total"] for stage in stages if stage["name"] == "load"] in ([], [None])

    def test_what_failed_is_tried_again(self, corpus: Corpus, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = corpus.folder / "out"
        corpus.change("b", 0)
        command = [*command_of("extract", corpus, model), "--output", out]
        assert run(*command) == 3
        assert run(*command, "--update") == 3
        corpus.change("b", 7)
        capsys.readouterr()
        assert run(*command, "--update") == 0
        assert capsys.readouterr().out.splitlines()[0] == "2 kept, 0 new, 0 changed, 1 tried again, 0 gone"
        assert run(*command, "--update") == 0
        assert "is already complete: nothing to do" in capsys.readouterr().out

    def test_without_what_the_set_keeps_all_is_done_again(self, corpus: Corpus, model: Path, opened: list[str]) -> None:
        out = corpus.folder / "out"
        command = [*command_of("extract", corpus, model), "--output", out]
        run(*command)
        [archive] = (out / ".kept.beam_curator").glob("clips-*")
        archive.write_bytes(archive.read_bytes()[:-20])
        corpus.change("d", 1)
        opened.clear()
        assert run(*command_of("extract", corpus, model), "--output", out, "--update") == 0
        assert set(opened) == {"a.wav", "b.wav", "c.wav", "d.wav"}
        assert run("verify", out) == 0

    def test_a_second_recording_of_a_name_renames_nothing(
        self, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        corpus, turns, clips = Corpus(tmp_path), tmp_path / "turns", tmp_path / "clips"
        corpus.change("monday/talk", 1)
        for extra, said in ((None, 1), ("friday/talk", 2)):
            if extra is not None:
                corpus.change(extra, 2)
            capsys.readouterr()
            flags = ["--model-path", model, "--output", turns, "--rttm-out-dir", "rttm", "--update"]
            assert run("diarize", tmp_path / "in", *flags) == 0
            assert run("extract", turns, "--what", "segments", "--output", clips, "--update") == 0
            assert ("1 kept, 1 new, 0 changed, 0 gone" in capsys.readouterr().out) == (said == 2)
            names = {path.name.partition("_speaker_")[0] for path in clips.glob("*.wav")}
            assert names == {"monday_talk", "friday_talk"} if extra else {"monday_talk"}
        assert sorted(path.name for path in (turns / "rttm").iterdir()) == ["friday_talk.rttm", "monday_talk.rttm"]

    def test_recordings_that_were_only_touched_are_kept(
        self, corpus: Corpus, model: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = corpus.folder / "out"
        command = [*command_of("extract", corpus, model), "--output", out]
        run(*command)
        for path in (corpus.folder / "in").iterdir():
            # a copy, with a time of its own
            copy = path.with_suffix(".copy")
            shutil.copyfile(path, copy)
            copy.replace(path)
        opened.clear()
        capsys.readouterr()
        assert run(*command, "--update", "--rehash") == 0
        assert "is already complete: nothing to do" in capsys.readouterr().out
        corpus.change("d", 1)
        assert run(*command_of("extract", corpus, model), "--output", out, "--update") == 0
        assert capsys.readouterr().out.splitlines()[0] == "3 kept, 1 new, 0 changed, 0 gone"
        assert opened == ["d.wav"]

    def test_a_clip_that_was_cut_short_is_cut_again(self, corpus: Corpus, model: Path, opened: list[str]) -> None:
        out = corpus.folder / "out"
        command = [*command_of("extract", corpus, model), "--output", out]
        run(*command)
        clip = next(out.glob("a*.wav"))
        whole = clip.read_bytes()
        clip.write_bytes(whole[:-2])
        corpus.change("d", 1)
        opened.clear()
        assert run(*command_of("extract", corpus, model), "--output", out, "--update") == 0
        assert set(opened) == {"a.wav", "d.wav"}
        assert clip.read_bytes() == whole


class TestRefused:
    @pytest.fixture
    def out(self, tmp_path: Path) -> Path:
        corpus = Corpus(tmp_path)
        corpus.change("a", 1)
        assert run("extract", corpus.write_pieces(), "--output", tmp_path / "out") == 0
        return tmp_path / "out"

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            (["--output-format", "flac"], r"output.output_format was 'wav', is 'flac'\): an update keeps the options"),
            (["--pack", "webdataset"], r"output.pack was 'none', is 'webdataset'\): an update keeps the options"),
            (["--overwrite"], "update keeps what is unchanged, and overwrite replaces all: give one of them"),
        ],
    )
    def test_other_options_are(self, out: Path, flags: list[str], message: str) -> None:
        before = files_of(out)
        with pytest.raises(UsageError, match=message):
            run("extract", out.parent / "pieces.jsonl", "--output", out, "--update", *flags)
        assert files_of(out) == before

    def test_new_inputs_are_unless_they_update(self, out: Path) -> None:
        more = write_lines(out.parent / "more.jsonl", [])
        with pytest.raises(UsageError, match=r"more.jsonl is a new input\): --update keeps what is unchanged; add"):
            run("extract", out.parent / "pieces.jsonl", more, "--output", out)


def test_the_first_update_is_a_run_from_nothing(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path)
    corpus.change("a", 1)
    assert run("extract", corpus.write_pieces(), "--output", tmp_path / "out", "--update") == 0
    assert run("verify", tmp_path / "out") == 0
    [clip, *_] = sorted((tmp_path / "out").glob("*.wav"))
    assert soundfile.info(clip).frames == 11200
