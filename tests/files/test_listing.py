import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from beam_curator.files.listing import list_either, list_inputs, list_manifests_of, list_recordings, with_form
from beam_curator.files.searching import NoInputError
from beam_curator.files.storage import UnknownSchemeError
from beam_curator.sets.blocks import InputFile
from tests import fakes_filesystem
from tests.manifests import run, speech, write_speech


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"{}\n")


def listed(root: Path, *inputs: str, keep_duplicates: bool = False) -> list[str]:
    files, _ = list_inputs([str(root / given) for given in inputs], keep_duplicates=keep_duplicates)
    return [os.path.relpath(file.name, root) for file in files]


def test_a_tree_gives_its_manifests_in_order_of_their_names(tmp_path: Path) -> None:
    touch(
        tmp_path, "b.jsonl", "a/c.json", "a/b/x.jsonl.gz", "a.json.zst", "Z.JSONL", "notes.txt", "a/x.jsonl.bak", "a/y"
    )
    assert listed(tmp_path, "") == ["Z.JSONL", "a.json.zst", "a/b/x.jsonl.gz", "a/c.json", "b.jsonl"]


def test_rttm_beside_manifests_is_left_out_and_counted(tmp_path: Path) -> None:
    touch(tmp_path, "both/a.jsonl", "both/rttm/a.rttm", "only/b.RTTM", "only/c/d.rttm", "e.rttm")
    assert listed(tmp_path, "only") == ["only/b.RTTM", "only/c/d.rttm"]
    left_out: Counter[str] = Counter()
    files, _ = list_inputs([str(tmp_path / "both")], left_out=left_out)
    assert ([file.name for file in files], left_out) == ([f"{tmp_path}/both/a.jsonl"], {".rttm": 1})
    assert listed(tmp_path, "*") == ["both/a.jsonl"]
    assert listed(tmp_path, "both/rttm/a.rttm", "e.rttm") == ["both/rttm/a.rttm", "e.rttm"]
    assert [with_form(InputFile(name=name, size=3)).form for name in ("e.rttm", "x/E.RTTM")] == ["annotated_lines"] * 2


def test_hidden_names_are_left_out_of_trees_and_underscores_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "a.jsonl", ".b.jsonl", "_c.jsonl", ".git/d.jsonl", "_tmp/e.jsonl", "f/.g/h.jsonl")
    assert listed(tmp_path, "") == ["_c.jsonl", "_tmp/e.jsonl", "a.jsonl"]


def test_a_named_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden.jsonl", "_c.jsonl", "rows.txt")
    assert listed(tmp_path, "rows.txt", ".hidden.jsonl", "_c.jsonl") == [".hidden.jsonl", "_c.jsonl", "rows.txt"]


def test_turns_of_one_format_are_taken_and_those_without_speakers_stand_behind(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.TextGrid", "a/x.ctm", "a/note.txt", "b/x.ctm", "c/x.rttm", "c/y.eaf", "d/n.txt")
    (tmp_path / "d" / "talk.txt").write_text("0.5\t1.5\tana\n")
    assert listed(tmp_path, "a") == ["a/x.TextGrid"]
    assert listed(tmp_path, "b") == ["b/x.ctm"]
    assert listed(tmp_path, "d") == ["d/talk.txt"]
    assert listed(tmp_path, "d/*.txt", "a/*.txt", "d/n.txt") == ["a/note.txt", "d/n.txt", "d/talk.txt"]
    with pytest.raises(NoInputError, match=r"several formats \(1 \.eaf, 1 \.rttm\), which may be the same: name"):
        listed(tmp_path, "c")
    assert listed(tmp_path, "c/*.eaf") == ["c/y.eaf"]
    forms = [with_form(InputFile(name=f"{tmp_path}/{name}", size=3)).form for name in ("d/talk.txt", "d/n.txt")]
    assert forms == ["annotated_file", "lines"]


def test_globs_match_files_and_trees(tmp_path: Path) -> None:
    touch(tmp_path, "a1.jsonl", "a2.jsonl", "b.jsonl", "c1/x.jsonl", "c1/y.txt", "c2/z/x.jsonl")
    assert listed(tmp_path, "a*.jsonl") == ["a1.jsonl", "a2.jsonl"]
    assert listed(tmp_path, "c?") == ["c1/x.jsonl", "c2/z/x.jsonl"]
    assert listed(tmp_path, "**/x.jsonl") == ["c1/x.jsonl", "c2/z/x.jsonl"]


def test_a_file_whose_name_looks_like_a_glob_is_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].jsonl", "a1.jsonl")
    assert listed(tmp_path, "a[1].jsonl") == ["a[1].jsonl"]


def test_sizes_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"12345")
    (tmp_path / "b.jsonl").touch()
    assert [file.size for file in list_inputs([str(tmp_path)])[0]] == [5, 0]


def test_a_file_listed_twice_is_read_once_and_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.jsonl", "b.jsonl")
    (tmp_path / "link.jsonl").symlink_to("a.jsonl")
    files, repeated = list_inputs([str(tmp_path), f"{tmp_path}/b.jsonl"])
    assert [os.path.basename(file.name) for file in files] == ["a.jsonl", "b.jsonl"]
    assert repeated == [os.path.realpath(tmp_path / "a.jsonl"), os.path.realpath(tmp_path / "b.jsonl")]


def test_duplicates_are_numbered_where_they_are_kept(tmp_path: Path) -> None:
    touch(tmp_path, "a.jsonl", "b.jsonl")
    files, _ = list_inputs(
        [f"{tmp_path}/a.jsonl"] * 2 + [f"{tmp_path}/b.jsonl", f"{tmp_path}/a.jsonl"], keep_duplicates=True
    )
    assert [(os.path.basename(file.name), file.occurrence) for file in files] == [
        ("a.jsonl", 0),
        ("a.jsonl", 1),
        ("a.jsonl", 2),
        ("b.jsonl", 0),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("none.jsonl", r"file .*none\.jsonl is not there: check the path"),
        ("empty", r"directory .*empty holds no manifest: expected files ending in \.jsonl, "),
        ("*.json", r"glob .*\*\.json holds no manifest"),
    ],
)
def test_an_input_that_names_nothing_is_refused(tmp_path: Path, given: str, message: str) -> None:
    touch(tmp_path, "a.jsonl", "empty/notes.txt")
    with pytest.raises(NoInputError, match=message):
        listed(tmp_path, "a.jsonl", given)


def test_a_scheme_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(UnknownSchemeError):
        list_inputs(["http://host/a.jsonl"])


def test_of_an_output_set_the_row_files_are_read(tmp_path: Path) -> None:
    manifest = write_speech(tmp_path / "in.jsonl", 4, 5)
    manifest.write_bytes(manifest.read_bytes() + b"broken\n")
    assert run("windows", manifest, "--output", tmp_path / "tree/set") == 3
    touch(tmp_path, "tree/z.jsonl", "tree/set/stray.jsonl")
    assert any((tmp_path / "tree/set").glob("failures-*.jsonl"))
    expected = ["tree/set/windows-00000-of-00001.jsonl"]
    assert listed(tmp_path, "tree/set") == expected
    assert listed(tmp_path, "tree") == [*expected, "tree/z.jsonl"]


def test_only_json_files_are_looked_into(tmp_path: Path) -> None:
    pretty = json.dumps(speech(), indent=1).encode()
    (tmp_path / "a.json").write_bytes(pretty)
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(pretty))
    (tmp_path / "c.jsonl").write_bytes(pretty)
    (tmp_path / "d.json").write_bytes(b"{}\n{}\n")
    (tmp_path / "e.json.gz").write_bytes(gzip.compress(pretty)[:-20])
    files = [with_form(file) for file in list_inputs([str(tmp_path)])[0]]
    assert [file.form for file in files] == ["document", "document", "lines", "lines", "document"]


def test_a_json_file_that_is_gone_counts_as_lines() -> None:
    file = InputFile(name="/none/a.json", size=1)
    assert with_form(file) == file


def test_the_folder_does_not_decide_the_form(tmp_path: Path) -> None:
    (tmp_path / "my.jsonl.d").mkdir()
    (tmp_path / "my.jsonl.d" / "a.json").write_bytes(json.dumps([speech()], indent=1).encode())
    assert [with_form(file).form for file in list_inputs([str(tmp_path)])[0]] == ["document"]


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NoInputError):
        list_inputs([str(tmp_path / "pipe")])


def recordings(root: Path, *inputs: str, keep_duplicates: bool = False) -> tuple[list[str], bool]:
    """Return the names that inputs mean to a job that takes recordings or manifests, and whether they are manifests."""
    files, _, are_manifests = list_recordings([str(root / given) for given in inputs], keep_duplicates=keep_duplicates)
    return [os.path.relpath(file.name, root) for file in files], are_manifests


class TestRecordings:
    def test_a_tree_means_its_recordings_in_order_of_their_names(self, tmp_path: Path) -> None:
        touch(tmp_path, "b.wav", "a/c.FLAC", "a/b/x.mp3", "notes.txt", ".a.wav", "_b/c.wav", "a/x.wav.bak", "m.jsonl")
        assert recordings(tmp_path, "") == (["_b/c.wav", "a/b/x.mp3", "a/c.FLAC", "b.wav"], False)

    def test_a_tree_without_recordings_means_its_manifests(self, tmp_path: Path) -> None:
        touch(tmp_path, "a/m.jsonl", "m.json.gz", "notes.txt")
        assert recordings(tmp_path, "") == (["a/m.jsonl", "m.json.gz"], True)

    def test_globs(self, tmp_path: Path) -> None:
        touch(tmp_path, "a1.wav", "a2.ogg", "b.wav", "c/x.wav", "c/m.jsonl", "d/m.jsonl")
        assert recordings(tmp_path, "a*") == (["a1.wav", "a2.ogg"], False)
        assert recordings(tmp_path, "**/*.wav") == (["a1.wav", "b.wav", "c/x.wav"], False)
        assert recordings(tmp_path, "c") == (["c/x.wav"], False)
        assert recordings(tmp_path, "*/*.jsonl") == (["c/m.jsonl", "d/m.jsonl"], True)

    def test_a_named_file_is_a_recording_whatever_its_name_unless_it_is_a_manifest(self, tmp_path: Path) -> None:
        touch(tmp_path, "talk", "_a.bin", "rows.JSONL")
        assert recordings(tmp_path, "talk", "_a.bin") == (["_a.bin", "talk"], False)
        assert recordings(tmp_path, "rows.JSONL") == (["rows.JSONL"], True)

    def test_one_listed_twice_is_heard_once_unless_it_is_to_be_kept(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.wav", "b.wav")
        inputs = ("", "a.wav", "*.wav")
        assert recordings(tmp_path, *inputs) == (["a.wav", "b.wav"], False)
        names, _ = recordings(tmp_path, *inputs, keep_duplicates=True)
        assert names == ["a.wav"] * 3 + ["b.wav"] * 2
        repeated = list_either([str(tmp_path), str(tmp_path / "a.wav")])[1]
        assert repeated == [os.path.realpath(tmp_path / "a.wav")]

    def test_of_an_output_set_the_rows_are_manifests(self, tmp_path: Path) -> None:
        assert run("windows", write_speech(tmp_path / "in.jsonl", 4), "--output", tmp_path / "set") == 0
        touch(tmp_path, "set/clip.wav")
        assert recordings(tmp_path, "set") == (["set/windows-00000-of-00001.jsonl"], True)

    def test_recordings_and_manifests_together_are_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.wav", "m.jsonl")
        with pytest.raises(NoInputError, match=r"the inputs name manifests \(.*m\.jsonl\) and recordings \(.*a\.wav\)"):
            recordings(tmp_path, "a.wav", "m.jsonl")
        with pytest.raises(NoInputError, match=": give one kind at a time"):
            recordings(tmp_path, "*")

    def test_an_input_that_names_nothing_is_refused(self, tmp_path: Path) -> None:
        touch(tmp_path, "empty/notes.txt")
        with pytest.raises(
            NoInputError, match=r"directory .*empty holds no recording, and no manifest: expected files"
        ):
            recordings(tmp_path, "empty")
        with pytest.raises(NoInputError, match=r"file .*none\.wav is not there: check the path"):
            recordings(tmp_path, "none.wav")
        with pytest.raises(UnknownSchemeError):
            list_recordings(["http://host/a.wav"])

    def test_either_kind_is_listed_by_its_own_lister(self, tmp_path: Path) -> None:
        touch(tmp_path, "a.wav", "rows/m.jsonl")
        for given, manifests in (("a.wav", []), ("rows", ["m.jsonl"])):
            (file,) = list_either([str(tmp_path / given)])[0]
            listed_manifests = list_manifests_of([str(tmp_path / given)])[0]
            assert [os.path.basename(one.name) for one in listed_manifests] == manifests
            assert file.size == 3

    def test_objects_of_a_store(self) -> None:
        for name in ("a.wav", "x/b.flac", "x/.c.wav", "x/m.jsonl"):
            fakes_filesystem.put(f"gs://talks/in/{name}", b"12")
        files, _, are_manifests = list_recordings(["gs://talks/in"])
        assert [(file.name, file.size) for file in files] == [("gs://talks/in/a.wav", 2), ("gs://talks/in/x/b.flac", 2)]
        assert not are_manifests
