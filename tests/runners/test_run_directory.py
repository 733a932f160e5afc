"""What becomes of an output directory: refused, complete, resumed or begun anew."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from beam_curator.files.listing import list_inputs
from beam_curator.runners.complete_sets import is_complete
from beam_curator.runners.job_options import RunOptions
from beam_curator.runners.options import UsageError
from beam_curator.runners.run_directory import Prepared, finish, locked, prepare, refuse_overlap, settle
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import Config, RunRecord, render_manifest
from beam_curator.sets.set_kinds import EXPORT, EXTRACT, WINDOWS, SetKind
from tests.manifests import manifest_of, names_in, run, state_of, write_lines, write_speech

CONFIG: Config = {"windows": {"min_speakers": 2}}
HOLD_LOCK = """
import sys
from beam_curator.runners.run_directory import locked
with locked(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_speech(tmp_path / "in" / "a.jsonl", 4, 6)


def prepared(
    out: Path, source: Path, *, overwrite: bool = False, config: Config = CONFIG, kind: SetKind = WINDOWS
) -> Prepared:
    out.mkdir(exist_ok=True)
    files, _ = list_inputs([str(source)])
    assert overwrite or not is_complete(str(out), kind, config, files, RunOptions())
    return prepare(str(out), kind, config, files, overwrite=overwrite)


def run_record(out: Path) -> RunRecord:
    record = RunRecord.from_json((out / "_RUN.json").read_bytes())
    assert record is not None
    return record


class TestPrepare:
    def test_an_empty_directory_is_begun_and_marked(self, tmp_path: Path, source: Path) -> None:
        begun = prepared(tmp_path / "out", source)
        assert begun.state == "fresh"
        record = run_record(tmp_path / "out")
        assert (record.token, record.cleared) == (begun.token, True)
        status = source.stat()
        assert record.inputs == {f"{source}#0": f"{status.st_size} {status.st_mtime_ns}"}

    def test_an_unfinished_run_of_the_same_job_is_resumed_by_a_new_token(self, tmp_path: Path, source: Path) -> None:
        out = tmp_path / "out"
        first = prepared(out, source)
        (out / "windows-00000-of-00001.jsonl").touch()
        second = prepared(out, source)
        assert second.state == "resume"
        assert second.token != first.token
        assert run_record(out).token == second.token
        assert (out / "windows-00000-of-00001.jsonl").exists()

    def test_files_of_nobody_knows_what_job_are_removed_and_foreign_ones_kept(
        self, tmp_path: Path, source: Path
    ) -> None:
        out = tmp_path / "out"
        ours = ["windows-00000-of-00001.jsonl", "failures-build-00000-of-00001.jsonl", "summary.json"]
        for name in [*ours, ".windows-00000-of-00001.jsonl.x.beam_curator.tmp", "notes.txt", "windows.txt"]:
            write_lines(out / name, [])
        assert prepared(out, source).state == "fresh"
        assert names_in(out) == ["_RUN.json", "notes.txt", "windows.txt"]

    def test_a_run_killed_while_it_cleared_clears_again(self, tmp_path: Path, source: Path) -> None:
        out = tmp_path / "out"
        prepared(out, source)
        record = run_record(out)
        uncleared = replace(record, token="t", cleared=False)
        (out / "_RUN.json").write_bytes(uncleared.to_json())
        (out / "windows-00000-of-00001.jsonl").touch()
        assert prepared(out, source).state == "fresh"
        assert names_in(out) == ["_RUN.json"]

    def test_a_damaged_mark_is_begun_anew(self, tmp_path: Path, source: Path) -> None:
        write_lines(tmp_path / "out" / "_RUN.json", [b"{"])
        assert prepared(tmp_path / "out", source).state == "fresh"

    def test_an_unfinished_run_of_another_job_is_refused_unless_overwritten(self, tmp_path: Path, source: Path) -> None:
        out = tmp_path / "out"
        prepared(out, source)
        other: Config = {"windows": {"min_speakers": 3}}
        with pytest.raises(UsageError, match="holds an unfinished job with other inputs or options: finish it with"):
            prepared(out, source, config=other)
        write_speech(source, 4, 6, 8)
        with pytest.raises(UsageError, match="holds an unfinished job with other inputs or options"):
            prepared(out, source)
        assert prepared(out, source, overwrite=True).state == "fresh"


class TestFilesOfAKind:
    """What a directory holds that nobody marked, and what an overwritten set leaves."""

    @pytest.mark.parametrize(
        ("kind", "name", "named"),
        [
            (EXTRACT, "metadata.csv", "metadata.csv"),
            (EXTRACT, "x_segment_000.wav", "x_segment_000.wav"),
            (EXTRACT, "sharded_manifests/manifest_0.json", "sharded_manifests"),
            (EXPORT, "clips/a.flac", "clips"),
            (EXPORT, "titanet_embd/a.npy", "titanet_embd"),
        ],
    )
    def test_that_nobody_marked_are_refused_unless_overwritten(
        self, tmp_path: Path, source: Path, kind: SetKind, name: str, named: str
    ) -> None:
        out = tmp_path / "out"
        for path in (out / name, out / "clips-00000-of-00001.jsonl", out / "notes.txt"):
            write_lines(path, [b"x"])
        before = state_of(out)
        with pytest.raises(UsageError) as refused:
            prepared(out, source, kind=kind)
        assert str(refused.value) == (
            f"{out} holds {named}, which no job has marked as its own: "
            "choose another --output, or add --overwrite to replace such files"
        )
        assert state_of(out) == before
        assert prepared(out, source, kind=kind, overwrite=True).state == "fresh"
        assert names_in(out) == ["_RUN.json", "notes.txt"]

    def test_of_other_kinds_or_of_nobody_are_no_hindrance(self, tmp_path: Path, source: Path) -> None:
        for kind, name in (
            (WINDOWS, "x_segment_000.wav"),
            (WINDOWS, "clips/a.flac"),
            (EXTRACT, "clips/a.flac"),
            (EXTRACT, "x_segment_00.wav"),
            (EXTRACT, "metadata.csv/a"),
            (EXPORT, "metadata.csv"),
            (EXPORT, "clips.wav"),
        ):
            out = tmp_path / f"{kind.command}-{name.partition('/')[0]}"
            write_lines(out / name, [b"x"])
            assert prepared(out, source, kind=kind).state == "fresh"
            assert (out / name).read_bytes() == b"x\n"

    def test_rows_alone_are_cleared_as_ever(self, tmp_path: Path, source: Path) -> None:
        write_lines(tmp_path / "out" / "clips-00000-of-00001.jsonl", [b"x"])
        assert prepared(tmp_path / "out", source, kind=EXTRACT).state == "fresh"
        assert names_in(tmp_path / "out") == ["_RUN.json"]

    def test_of_an_unfinished_run_stay_when_it_goes_on(self, tmp_path: Path, source: Path) -> None:
        out = tmp_path / "out"
        prepared(out, source, kind=EXTRACT)
        write_lines(out / "x_segment_000.wav", [b"x"])
        assert prepared(out, source, kind=EXTRACT).state == "resume"
        assert names_in(out) == ["_RUN.json", "x_segment_000.wav"]

    @pytest.mark.parametrize(
        ("before", "now", "names"),
        [
            ("export", WINDOWS, ["clips/a.flac", "metas/v0/a.json", "clips-00000-of-00001.jsonl", "summary.json"]),
            ("extract", EXPORT, ["a_segment_000.wav", "metadata.csv", "clips-00000-of-00001.jsonl"]),
            ("windows", EXTRACT, ["windows-00000-of-00001.jsonl", "failures-build-00000-of-00001.jsonl"]),
            ("windows", WINDOWS, ["windows-00000-of-00001.jsonl"]),
            ("later", WINDOWS, ["windows-00000-of-00001.jsonl"]),
        ],
    )
    def test_of_a_set_that_is_overwritten_go_with_it(
        self, tmp_path: Path, source: Path, before: str, now: SetKind, names: list[str]
    ) -> None:
        out = tmp_path / "out"
        manifest = render_manifest(command=before, config={}, inputs=[], counts={}, files=[])
        write_lines(out / "_MANIFEST.json", [manifest])
        for name in [*names, "notes.txt"]:
            write_lines(out / name, [b"x"])
        if before != now.command:
            with pytest.raises(UsageError, match=rf"complete set of another job \(it was written by '{before}'"):
                prepared(out, source, kind=now)
        old = state_of(out)
        begun = prepared(out, source, kind=now, overwrite=True)
        assert (begun.state, begun.directory) == ("fresh", str(out / ".next.beam_curator"))
        assert {name: state_of(out)[name] for name in old} == old
        write_lines(out / ".next.beam_curator" / "_MANIFEST.json", [b"{}"])
        settled = settle(str(out))
        assert settled is not None
        assert settled.token == begun.token
        assert names_in(out) == ["_MANIFEST.json", "notes.txt", "summary.json"]
        assert json.loads((out / "summary.json").read_bytes()) == {"replaces": begun.replaces}
        assert (out / "_MANIFEST.json").read_bytes() == b"{}\n"


def test_finish_writes_the_summary_and_removes_the_mark(tmp_path: Path, source: Path) -> None:
    prepared(tmp_path / "out", source)
    finish(str(tmp_path / "out"), {"stages": ["ä"]})
    assert names_in(tmp_path / "out") == ["summary.json"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8")) == {"stages": ["ä"]}


class TestResume:
    def test_block_files_in_place_are_kept(
        self, tmp_path: Path, manifest: Path, small_blocks: None, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out, whole = tmp_path / "out", tmp_path / "whole"
        arguments = ["windows", manifest, "--tolerate", "100%", "--output"]
        run(*arguments, whole)
        run(*arguments, out)
        # as a killed job leaves it: some files, a temporary one, its mark, no manifest
        (out / "_RUN.json").write_bytes(self.mark(tmp_path, manifest))
        (out / "_MANIFEST.json").unlink()
        blocks = sorted(out.glob("windows-*"))
        for path in blocks[::2]:
            path.unlink()
        write_lines(out / ".windows-00000-of-00002.jsonl.x.beam_curator.tmp", [b"half"])
        kept = state_of(out)
        capsys.readouterr()
        assert run(*arguments, out) == 0
        assert "holds an unfinished run of this job: going on." in capsys.readouterr().err
        after = state_of(out)
        assert [after[path.name] for path in blocks[1::2]] == [kept[path.name] for path in blocks[1::2]]
        assert (out / "_MANIFEST.json").read_bytes() == (whole / "_MANIFEST.json").read_bytes()
        assert names_in(out) == names_in(whole)

    def mark(self, tmp_path: Path, manifest: Path) -> bytes:
        """Return the `_RUN.json` that a job of this manifest begins with."""
        config = manifest_of(tmp_path / "whole")["config"]
        prepared(tmp_path / "marked", manifest, config=config)
        return (tmp_path / "marked" / "_RUN.json").read_bytes()


def test_strays_are_swept_and_foreign_files_stay(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    strays = [".windows-00000-of-00001.jsonl.ab.beam_curator.tmp", "windows-00007-of-00009.jsonl"]
    foreign = ["notes.txt", "failures.jsonl", "a-windows-00000-of-00001.jsonl"]
    for name in [*strays, *foreign]:
        write_lines(out / name, [b"x"])
    assert run("windows", source, "--output", out) == 0
    assert names_in(out) == sorted([*foreign, "_MANIFEST.json", "summary.json", "windows-00000-of-00001.jsonl"])


class TestRefused:
    def test_an_output_inside_an_input(self, tmp_path: Path, source: Path) -> None:
        tree = source.parent
        (tmp_path / "link").symlink_to(tree)
        for given, output in (
            (tree, tree),
            (tree, tree / "sub/out"),
            (tmp_path / "link", tree / "out"),
            (tree, f"{tree}/"),
        ):
            with pytest.raises(UsageError, match=r"lies inside the input .*: choose an --output outside of it"):
                run("windows", given, "--output", output)
        assert names_in(tree) == ["a.jsonl"]

    def test_an_output_beside_an_input_of_a_similar_name_is_not(self, tmp_path: Path, source: Path) -> None:
        assert run("windows", source.parent, "--output", f"{source.parent}-windows") == 0

    def test_a_file_to_read_that_would_be_swept(self, tmp_path: Path, source: Path) -> None:
        out = tmp_path / "out"
        run("windows", source, "--output", out)
        with pytest.raises(UsageError, match=r"inside the input .*|windows-00000-of-00001\.jsonl is one of the files"):
            run("windows", out / "windows-00000-of-00001.jsonl", "--output", out, "--overwrite")

    def test_an_output_inside_a_directory_that_a_glob_matches(self, tmp_path: Path, source: Path) -> None:
        with pytest.raises(UsageError, match="lies inside the input"):
            run("windows", f"{tmp_path}/i*", "--output", source.parent / "out")

    def test_an_output_whose_files_a_glob_will_match(self, tmp_path: Path, source: Path) -> None:
        with pytest.raises(UsageError, match="lies inside the input"):
            run("windows", f"{source.parent}/**/*.jsonl", "--output", source.parent / "out")

    def test_an_output_that_is_a_file(self, tmp_path: Path, source: Path) -> None:
        write_lines(tmp_path / "file", [])
        for output in (tmp_path / "file", tmp_path / "file" / "out"):
            with pytest.raises(UsageError, match="is a file: give a directory"):
                run("windows", source, "--output", output)

    @pytest.mark.parametrize("given", ["none.jsonl", "empty", "*.json"])
    def test_an_input_that_names_nothing(self, tmp_path: Path, given: str) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(UsageError, match=r"is not there|holds no manifest"):
            run("windows", tmp_path / given, "--output", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_overlap_is_judged_by_the_files_too(self, tmp_path: Path) -> None:
        file = InputFile(name=f"{tmp_path}/out/failures-build-00000-of-00001.jsonl", size=1)
        with pytest.raises(UsageError, match="is one of the files"):
            refuse_overlap([file.name], [file], f"{tmp_path}/out", WINDOWS)
        refuse_overlap([file.name], [file], f"{tmp_path}/other", WINDOWS)

    @pytest.mark.parametrize(
        ("kind", "name"),
        [(EXTRACT, "manifest.jsonl"), (EXTRACT, "clips-00000-of-00001.jsonl"), (EXPORT, "clips-00000-of-00001.jsonl")],
    )
    def test_overlap_is_judged_by_the_kind_of_the_set(self, tmp_path: Path, kind: SetKind, name: str) -> None:
        file = InputFile(name=str(write_lines(tmp_path / "out" / name, [])), size=0)
        with pytest.raises(UsageError, match=f"input {file.name} is one of the files that {tmp_path}/out will hold"):
            refuse_overlap([file.name], [file], f"{tmp_path}/out", kind)
        refuse_overlap([file.name], [file], f"{tmp_path}/out", WINDOWS)
        with pytest.raises(UsageError, match="lies inside the input"):
            refuse_overlap([f"{tmp_path}/out/{kind.rows}-*"], [], f"{tmp_path}/out", kind)
        refuse_overlap([f"{tmp_path}/out/{kind.rows}-*"], [], f"{tmp_path}/out", WINDOWS)


class TestLock:
    def test_a_second_job_on_the_same_output_is_refused(self, tmp_path: Path, source: Path) -> None:
        out = tmp_path / "out"
        command = [sys.executable, "-c", HOLD_LOCK, str(out)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            with pytest.raises(UsageError, match=rf"another job \(process {holder.pid}\) is writing into {out}: wait"):
                run("windows", source, "--output", out)
            holder.communicate("")
        assert names_in(out) == []
        assert run("windows", source, "--output", out) == 0

    def test_a_lock_left_by_a_dead_job_is_no_hindrance(self, tmp_path: Path, source: Path) -> None:
        write_lines(tmp_path / "out" / "_LOCK", [b"4194304"])
        assert run("windows", source, "--output", tmp_path / "out") == 0
        assert "_LOCK" not in names_in(tmp_path / "out")

    def test_it_is_given_back_after_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(KeyError), locked(str(tmp_path)):
            raise KeyError
        with locked(str(tmp_path)):
            assert names_in(tmp_path) == ["_LOCK"]
        assert names_in(tmp_path) == []
