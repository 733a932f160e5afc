"""The docs say what the code does: tables come from it, and figures from runs of it."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from beam_curator.diarization.bandwidth import estimate_bandwidth
from beam_curator.diarization.diarize_rules import ENTRY_KEYS
from beam_curator.diarization.streaming_parameters import LATENCY_PRESETS
from beam_curator.diarization.turn_rules import TURN_PRESETS
from beam_curator.failures import FAILURE_DOCS
from beam_curator.models.listening import longest_offline
from beam_curator.recordings.safe_names import safe_label, safe_stem, stem_with_mark
from beam_curator.runners import cli, exit_codes
from beam_curator.runners.reference import with_tables
from beam_curator.separation.separation_rules import SeparationRules
from beam_curator.separation.shares import separate_speakers
from beam_curator.separation.speaker_turns import SpeakerTurn
from tests.fakes_models import write_band_model, write_sound
from tests.manifests import files_below, names_in
from tests.sortformers import Model

ROOT = Path(__file__).parents[1]
EXAMPLE = str(ROOT / "examples" / "talks.jsonl")
TUTORIAL = (ROOT / "docs" / "windows.md").read_text(encoding="utf-8")
CUSTOMISED = re.findall(r"^\| [^|]+ \| `(--[^`]+)` \| (\d[^|]+ s) \|$", TUTORIAL, re.MULTILINE)


GENERATED = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
    if "<!-- begin " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", GENERATED)
def test_tables_are_those_of_the_code(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text == with_tables(text), f"run: python -m beam_curator.runners.reference {name}"


def test_the_tutorial_has_its_customisation_runs() -> None:
    assert len(CUSTOMISED) == 8


@pytest.mark.parametrize(("flags", "figures"), CUSTOMISED)
def test_a_customisation_gives_the_figures_of_the_tutorial(
    flags: str, figures: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["windows", EXAMPLE, "--output", str(tmp_path / "out"), "--tolerate", "1", *shlex.split(flags)]) == 0
    assert f"6 entries, {figures} in " in capsys.readouterr().out


def test_the_readme_shows_what_the_example_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["windows", EXAMPLE, "--output", str(tmp_path / "out")]) == exit_codes.TOO_MANY_FAILURES
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in capsys.readouterr().out.splitlines()[:-1]:
        assert re.sub(r"\d+\.\d\d s$", "", line) in re.sub(r"(\d+\.\d\d s)$", "", shown, flags=re.MULTILINE)


def test_the_config_of_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    arguments = [
        "--config",
        "examples/windows.yaml",
        "--set",
        "windows.min_speakers=3",
        "--output",
        str(tmp_path / "out"),
    ]
    assert cli.run(["windows", *arguments]) == 0


def of_page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def shown_after(command: str, page: str) -> list[str]:
    """Return the lines that a page shows below a command."""
    (shown,) = re.findall(rf"^\$ {re.escape(command)}\n(.*?)(?=^\$ |^```)", page, re.MULTILINE | re.DOTALL)
    return shown.splitlines()


def without_times(lines: list[str]) -> list[str]:
    return [re.sub(r"\d+\.\d\d s", "", line).rstrip() for line in lines]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the examples in it, in which commands run."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("audio"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("page", "command"),
    [
        ("extract", "beam-curator extract examples/pieces.jsonl --output-format flac"),
        (
            "export",
            "beam-curator export examples/pieces.jsonl --output tree "
            "--generate-previews --generate-captions --score-keys snr",
        ),
    ],
)
def test_a_page_shows_what_its_command_prints(
    page: str, command: str, reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(shlex.split(command)[1:]) == 0
    assert without_times(capsys.readouterr().out.splitlines()) == without_times(shown_after(command, of_page(page)))


def test_the_page_of_clips_shows_the_set(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = of_page("extract")
    assert cli.run(["extract", "examples/pieces.jsonl", "--output-format", "flac"]) == 0
    assert names_in(Path("clips_output")) == shown_after("ls clips_output", page)
    table = Path("clips_output/metadata.csv").read_text(encoding="utf-8")
    assert table.splitlines() == shown_after("cat clips_output/metadata.csv", page)
    capsys.readouterr()
    assert cli.run(["verify", "clips_output"]) == 0
    assert capsys.readouterr().out.splitlines() == shown_after("beam-curator verify clips_output", page)


def test_the_page_of_exports_shows_the_tree(reader: Path) -> None:
    page = of_page("export")
    shown = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    options = ["--generate-previews", "--generate-captions", "--score-keys", "snr"]
    assert cli.run(["export", "examples/pieces.jsonl", "--output", "tree", *options]) == 0
    assert sorted(map(str, files_below(Path("tree")))) == sorted(
        shown_after("find tree -type f -not -path '*/.*' | sort", page)
    )
    found = shown.pop(0)
    rejected = json.loads(Path(f"tree/metas/v0/{found['span_uuid']}.json").read_text(encoding="utf-8"))
    assert rejected | {"num_bytes": 0} == found | {"num_bytes": 0}
    documents = ["processed_audios/examples/kettle.wav.json", "processed_clip_chunks/examples/kettle.wav_0.json"]
    assert [json.loads(Path("tree", name).read_text(encoding="utf-8")) for name in documents] == shown
    assert cli.run(["export", "examples/pieces.jsonl", "--output", "dry_tree", "--dry-run"]) == 0
    assert sorted(map(str, files_below(Path("dry_tree")))) == shown_after(
        "find dry_tree -type f -not -path '*/.*' | sort", page
    )


def test_windows_of_the_readme_become_its_clips_and_are_listed(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = of_page("sets")
    names = ("harbour", "garden", "workshop", "kitchen")
    subprocess.run([sys.executable, "examples/make_recordings.py", *names], check=True)
    assert cli.run(["windows", "examples/talks.jsonl", "--tolerate", "1"]) == 0
    capsys.readouterr()
    assert cli.run(["extract", "windows_output", "--output-format", "flac"]) == 0
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = shown_after("beam-curator extract windows_output --output-format flac", readme)
    assert without_times(capsys.readouterr().out.splitlines()) == without_times(shown)
    assert names_in(Path("clips_output")) == shown_after("ls clips_output", readme)
    shutil.rmtree("examples/audio")
    assert cli.run(["sets"]) == 0
    assert without_sizes(capsys.readouterr().out) == without_sizes("\n".join(shown_after("beam-curator sets", page)))
    for arguments in re.findall(r"^\$ beam-curator (explain .*)$", page, re.MULTILINE):
        command, _, part = arguments.partition(" | ")
        assert cli.run(command.split()) == 0
        lines = capsys.readouterr().out.splitlines()
        n_lines = int(part.partition("-")[2] or 0)
        part_of = lines[:n_lines] if part.startswith("head") else lines[-n_lines:]
        assert part_of == shown_after(f"beam-curator {arguments}", page)
    assert cli.run(["windows", "examples/talks.jsonl", "--tolerate", "1", "--min-speakers", "3", "--overwrite"]) == 0
    capsys.readouterr()
    assert cli.run(["sets", "--tree"]) == 0
    assert capsys.readouterr().out.splitlines() == shown_after("beam-curator sets --tree", page)


def without_sizes(table: str) -> str:
    """Return a table with zeros for the sizes of encoded sound, which versions of libraries decide."""
    return re.sub(r"[\d,]+ bytes", "0 bytes", table).strip()


def test_the_committed_example_is_what_its_script_makes(reader: Path) -> None:
    subprocess.run([sys.executable, "examples/make_recordings.py", "kettle"], check=True)
    assert Path("examples/pieces.jsonl").read_bytes() == (ROOT / "examples" / "pieces.jsonl").read_bytes()
    made, rate = soundfile.read("examples/kettle.wav", dtype="int16")
    committed, _ = soundfile.read(ROOT / "examples" / "kettle.wav", dtype="int16")
    assert rate == 8000
    assert np.abs(made.astype(int) - committed.astype(int)).max() <= 1  # sines differ in the last bit among machines


def test_the_page_of_tracks_shows_the_set(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = of_page("separate")
    (row,) = re.findall(r"^\$ echo '(.*)' > examples/kettle_turns.jsonl$", page, re.MULTILINE)
    Path("examples/kettle_turns.jsonl").write_text(row + "\n", encoding="utf-8")
    command = "beam-curator separate examples/kettle_turns.jsonl --output tracks_output"
    for shown in (f"{command} --min-duration 0.5 --buffer-time 0.1", "beam-curator verify tracks_output"):
        assert cli.run(shlex.split(shown)[1:]) == 0
        assert without_times(capsys.readouterr().out.splitlines()) == without_times(shown_after(shown, page))
    assert sorted(os.listdir("tracks_output/tracks")) == shown_after("ls tracks_output/tracks", page)
    first, _second = Path("tracks_output/tracks-00000-of-00001.jsonl").read_text(encoding="utf-8").splitlines()
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert json.loads(first) == json.loads(text)


SPANS = re.compile(r"([\d.]+)–([\d.]+)")


def test_the_page_of_tracks_says_what_modes_and_policies_do() -> None:
    head, _rule, *rows = of_page("separate").partition("| options |")[2].partition("\n\n")[0].splitlines()
    meetings = [dict(zip(("ana", "bo"), SPANS.findall(cell), strict=True)) for cell in head.split("|")[:2]]
    assert len(rows) == 5
    for line in rows:
        _, options, *cells, _ = line.split("|")
        flags = re.findall(r"--no-exclude-overlaps|pad_turns|latest", options)
        rules = SeparationRules(
            exclude_overlaps="--no-exclude-overlaps" not in flags,
            buffer_mode="pad_turns" if "pad_turns" in flags else "shrink_at_overlaps",
            overlap_policy="latest" if "latest" in flags else "all",
        )
        for meeting, cell in zip(meetings, cells, strict=True):
            turns = [SpeakerTurn(start=float(a), end=float(b), speaker=name) for name, (a, b) in meeting.items()]
            ana, bo = cell.split(", bo")
            said = [[(float(a), float(b)) for a, b in SPANS.findall(each)] for each in (ana, bo)]
            assert [list(found.spans) for found in separate_speakers(turns, rules, 20)] == said


def test_marks_of_names_in_the_page_of_clips_are_real() -> None:
    page = of_page("extract")
    for recording in ("/monday/talk.wav", "/friday/talk.wav"):
        assert f"`{recording}`" in page
        assert f"`{stem_with_mark('talk', recording)}`" in page
    assert f"`{safe_stem('q?')}_speaker_{safe_label('../../x')}_segment_000.wav`" in page


@pytest.mark.parametrize("page", ["extract", "diarize", "separate"])
def test_codes_in_a_page_exist(page: str) -> None:
    table = of_page(page).partition("| code | when |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ", table, re.MULTILINE)
    codes = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    assert len(codes) >= 19
    assert codes <= set(FAILURE_DOCS)


SHOWN_DIARIZE = (
    "beam-curator diarize examples/kettle.jsonl --output turns --model-path model "
    "--turn-preset v2-callhome --bandwidth --uem --overlap-view"
)
DEPENDS_ON_THE_MODEL = {
    "segments",
    "diar_segments",
    "exclusive_segments",
    "num_speakers",
    "speakers_saturated",
    "files",
}


def shape_of(lines: list[str]) -> list[str]:
    """Return lines without numbers, rules and widths: what a random model says is not the same on every machine."""
    kept = [line for line in lines if "speakers_saturated" not in line]
    return [re.sub(r"[ -]+", " ", re.sub(r"\d[\d,.]*(e-\d+)?", "0", line)).rstrip() for line in kept]


def table_after(head: str, page: str) -> list[list[str]]:
    """Return the cells of the table that has this head."""
    (body,) = re.findall(rf"^{re.escape(head)}\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in body.splitlines()]


@pytest.mark.heavy
def test_the_page_of_diarization_shows_what_its_commands_do(
    reader: Path, streaming_model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    page = of_page("diarize")
    shutil.copy(streaming_model.nemo, "model.nemo")
    assert cli.run(["models", "export", "model.nemo", "model"]) == 0
    shown = shown_after("beam-curator models export model.nemo model", page)
    assert shape_of(capsys.readouterr().out.splitlines()) == shape_of(shown)
    (row,) = re.findall(r"^\$ echo '(.*)' > examples/kettle\.jsonl$", page, re.MULTILINE)
    Path("examples/kettle.jsonl").write_text(row + "\n", encoding="utf-8")
    assert cli.run(shlex.split(SHOWN_DIARIZE)[1:]) == 0
    assert shape_of(capsys.readouterr().out.splitlines()) == shape_of(shown_after(SHOWN_DIARIZE, page))
    found = sorted(map(str, files_below(Path("turns"))))
    assert found == shown_after("find turns -type f -not -path '*/.*' | sort", page)
    uem = Path("turns/rttm/kettle.uem").read_text(encoding="utf-8").splitlines()
    assert uem == shown_after("cat turns/rttm/kettle.uem", page)
    for kind in ("rttm", "ctm"):
        shapes = {line for line in shape_of(shown_after(f"cat turns/rttm/kettle.{kind}", page)) if line.count("+") < 2}
        assert shapes <= set(shape_of(Path(f"turns/rttm/kettle.{kind}").read_text(encoding="utf-8").splitlines()))
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (line,) = Path("turns/turns-00000-of-00001.jsonl").read_text(encoding="utf-8").splitlines()
    expected, entry = json.loads(text), json.loads(line)
    assert list(entry) == list(expected)
    assert {key: entry[key] for key in entry if key not in DEPENDS_ON_THE_MODEL} == {
        key: expected[key] for key in expected if key not in DEPENDS_ON_THE_MODEL
    }
    assert [list(segment) for segment in entry["segments"][:1]] == [list(expected["segments"][0])]
    assert [name for name, _, _ in entry["files"]] == [name for name, _, _ in expected["files"]]


def test_presets_in_the_page_of_diarization() -> None:
    page = of_page("diarize")
    flags = ("chunk-len", "chunk-right-context", "fifo-len", "spkcache-update-period")
    head = "".join(("| `--latency` | seconds ", *(f"| `--{flag}` " for flag in flags), "|"))
    assert [[row[0].split("`")[1], *row[1:]] for row in table_after(head, page)] == [
        [name, f"{walk.latency:.2f}"]
        + [str(n) for n in (walk.chunk_len, walk.chunk_right_context, walk.fifo_len, walk.spkcache_update_period)]
        for name, walk in LATENCY_PRESETS.items()
    ]
    assert {(walk.chunk_left_context, walk.spkcache_len) for walk in LATENCY_PRESETS.values()} == {(1, 188)}
    names = ("onset", "offset", "pad_onset", "pad_offset", "min_duration_on", "min_duration_off")
    head = "".join(f"| `--{name.replace('_', '-')}` " for name in ("turn_preset", *names)) + "|"
    assert table_after(head, page) == [
        [f"`{preset}`", *(str(getattr(rules, name)) for name in names)] for preset, rules in TURN_PRESETS.items()
    ]


def test_models_in_the_page_of_diarization(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for command in ("models", "models show nvidia/diar_sortformer_4spk-v1"):
        assert cli.run(command.split()) == 0
        assert capsys.readouterr().out.splitlines() == shown_after(f"beam-curator {command}", of_page("diarize"))


def test_keys_and_figures_in_the_page_of_diarization() -> None:
    page = of_page("diarize")
    for key in (*ENTRY_KEYS, "_origin", "diar_segments"):
        assert re.search(rf"^\| [^|]*`{key}`[^|]* \|", page, re.MULTILINE), key
    assert f"with 16 GiB free, more than {longest_offline(16 << 30):.0f} s" in page
    noise = np.random.default_rng(0).standard_normal(480_000).astype(np.float32) * np.float32(0.1)
    assert estimate_bandwidth(noise, 16000) == 8000
    resampled = estimate_bandwidth(soxr.resample(noise, 48000, 16000), 16000)
    assert f"the same noise has {resampled} Hz" in " ".join(page.split())
    assert abs(estimate_bandwidth(soxr.resample(noise, 8000, 16000), 16000) - 4000) < 100
    assert "has about 4000 Hz" in page


@pytest.mark.parametrize("number", range(3))
def test_code_in_the_page_of_diarization_runs(number: int, reader: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", of_page("diarize"), re.DOTALL)
    assert len(blocks) == 3
    write_band_model(reader / "model")
    write_sound(reader / "recordings" / "talk.wav", 2.0, [(0.8, 1.6, 0)])
    (reader / "code.py").write_text(blocks[number], encoding="utf-8")
    runpy.run_path("code.py")
    if number == 0:
        assert cli.run(["verify", "turns_output"]) == 0


@pytest.mark.filterwarnings("ignore::beam_curator.models.model_checks.ModelUseWarning")
@pytest.mark.parametrize("number", [0, 1])
def test_pipelines_in_the_page_of_pipelines_print_what_it_says(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    page = of_page("pipelines")
    codes, printed = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("python", "text"))
    assert len(codes) == len(printed) == 2
    exec(compile(codes[number], "docs/pipelines.md", "exec"), {})
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(printed[number].splitlines())


DOCUMENTS = (
    *("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "templates/flex/README.md"),
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)


def test_links_of_the_docs_lead_somewhere() -> None:
    for name in DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            assert link.startswith("https://") or (ROOT / name).parent.joinpath(link).exists(), (
                f"{name} links to {link}"
            )
