import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from beam_curator.runners.job_options import JOBS, RunOptions
from beam_curator.runners.options import (
    UsageError,
    add_flags,
    flag_of,
    given_options,
    nearest,
    origins,
    read_config,
    resolve,
)
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.window_options import OverlapOptions, WindowOutputOptions
from beam_curator.windows.window_rules import WindowRules

SECTIONS = JOBS["windows"].sections

FLAGS: dict[str, tuple[list[str], Any]] = {
    "windows.target_window_duration": (["--target-window-duration", "30"], 30),
    "windows.tolerance": (["--tolerance", "0.25"], 0.25),
    "windows.preset": (["--preset", "phone"], "phone"),
    "windows.min_bandwidth": (["--min-bandwidth", "0"], 0),
    "windows.min_sample_rate": (["--min-sample-rate=8000.5"], 8000.5),
    "windows.min_speakers": (["--min-speakers", "1"], 1),
    "windows.max_speakers": (["--max-speakers", "9"], 9),
    "windows.truncation": (["--no-truncation"], False),
    "windows.drop_fields": (["--drop-fields", " words, text,"], ("words", "text")),
    "windows.drop_fields_top_level": (["--drop-fields-top-level", ""], ()),
    "windows.strict": (["--strict"], True),
    "overlap.overlap_percentage": (["--overlap-percentage", "1e1"], 10.0),
    "overlap.target_duration": (["--overlap-target-duration", "90"], 90),
    "overlap.scope": (["--overlap-scope", "audio_file"], "audio_file"),
    "input.max_line_bytes": (["--max-line-bytes", "1000"], 1000),
    "input.keep_duplicates": (["--keep-duplicates"], True),
    "input.audio_root": (["--audio-root", "recordings"], "recordings"),
    "output.row_format": (["--row-format", "avro"], "avro"),
    "output.shards": (["--shards", "4"], 4),
    "output.layout": (["--layout", "spans"], "spans"),
    "run.runner": (["--runner", "PortableRunner"], "PortableRunner"),
    "run.jobs": (["--jobs", "2"], "2"),
    "run.gpu": (["--gpu", "nvidia-l4"], "nvidia-l4"),
    "run.wait": (["--no-wait"], False),
    "run.tolerate": (["--tolerate", "5%"], "5%"),
    "run.overwrite": (["--overwrite"], True),
    "run.update": (["--update"], True),
    "run.rehash": (["--rehash"], True),
    "run.moved": (["--moved", "/a=/b"], ("/a=/b",)),
    "run.plan": (["--plan"], True),
    "run.show_options": (["--show-options"], True),
    "run.verbose": (["--verbose"], True),
}
"""Each option of the windows job, a way to give it as a flag, and the value that this means."""

OPTIONS = [f"{section}.{field.name}" for section, kind in SECTIONS.items() for field in dataclasses.fields(kind)]


def parse(*arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, SECTIONS)
    return vars(parser.parse_args(arguments))


def resolved(config: dict[str, Any] | None = None, *settings: str, **flags: Any) -> dict[str, Any]:
    return resolved_of(SECTIONS, config or {}, settings, {name.replace("__", "."): v for name, v in flags.items()})


def resolved_of(sections: Any, config: dict[str, Any], settings: Sequence[str], flags: dict[str, Any]) -> Any:
    return resolve(sections, given_options(sections, config, settings, flags))


def value_of(options: dict[str, Any], path: str) -> Any:
    section, _, key = path.partition(".")
    return getattr(options[section], key)


def test_every_option_is_tried_here() -> None:
    assert list(FLAGS) == OPTIONS


@pytest.mark.parametrize("path", OPTIONS)
def test_each_option_has_a_flag(path: str) -> None:
    arguments, value = FLAGS[path]
    parsed = parse(*arguments)
    assert parsed == {path: value}
    assert value_of(resolved_of(SECTIONS, {}, [], parsed), path) == value
    assert value_of(resolved(), path) != value


@pytest.mark.parametrize("path", OPTIONS)
def test_each_option_is_a_key_of_the_config_and_of_set(path: str) -> None:
    value = FLAGS[path][1]
    section, _, key = path.partition(".")
    plain = list(value) if isinstance(value, tuple) else value
    assert value_of(resolved({section: {key: plain}}), path) == value
    assert value_of(resolved(None, f"{path}={plain}"), path) == value


@pytest.mark.parametrize("job", JOBS)
def test_the_options_of_a_job_have_flags_of_their_own_and_defaults_that_hold(job: str) -> None:
    sections = JOBS[job].sections
    flags = [flag_of(field).replace("--no-", "--") for kind in sections.values() for field in dataclasses.fields(kind)]
    assert sorted(set(flags)) == sorted(flags)
    assert resolved_of(sections, {}, [], {}) == {section: kind() for section, kind in sections.items()}
    assert set(RunOptions.__dataclass_fields__) == set(sections["run"].__dataclass_fields__)


def test_values_over_a_preset_are_numbers_or_nothing() -> None:
    sections = JOBS["diarize"].sections
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, sections)
    flags = vars(parser.parse_args(["--latency", "low", "--chunk-len", "9", "--onset", "0.7", "--async-streaming"]))
    options = resolved_of(sections, {"turns": {"offset": 0.25}}, ["streaming.fifo_len=200"], flags)
    walk, turns = options["streaming"].parameters(), options["turns"].rules()
    assert (walk.chunk_len, walk.chunk_right_context, walk.fifo_len, walk.asynchronous) == (9, 7, 200, True)
    assert (turns.onset, turns.offset) == (0.7, 0.25)
    with pytest.raises(UsageError, match=r"streaming\.chunk_len is 2\.5, expected a whole number"):
        resolved_of(sections, {}, ["streaming.chunk_len=2.5"], {})


@pytest.mark.parametrize(
    ("config", "settings", "flags"),
    [
        ({}, [], ["--preset", "phone", "--min-bandwidth", "2500"]),
        ({"windows": {"min_bandwidth": 2500}}, [], ["--preset", "phone"]),
        ({"windows": {"preset": "studio"}}, ["windows.min_bandwidth=2500", "windows.preset=phone"], []),
    ],
)
def test_options_that_are_given_win_over_a_preset(config: Any, settings: list[str], flags: list[str]) -> None:
    given = given_options(SECTIONS, config, settings, parse(*flags))
    windows = resolve(SECTIONS, given)["windows"]
    assert (windows.min_sample_rate, windows.min_bandwidth) == (8000, 2500)
    found = origins(SECTIONS, given)
    assert found["windows.min_sample_rate"] == "preset phone"
    assert found["windows.min_bandwidth"] == ("config" if config and flags else "--set" if settings else "flag")


def test_null_is_a_number_that_is_left_out() -> None:
    sections = JOBS["curate"].sections
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, sections)
    flags = vars(parser.parse_args(["--utmos", "--mos-threshold", "null"]))
    assert resolved_of(sections, {}, [], flags)["utmos"].mos_threshold is None
    with pytest.raises(argparse.ArgumentError, match="invalid number value: 'null'"):
        parser.parse_args(["--min-duration-sec", "null"])


def test_a_wrong_name_of_several_is_an_error_with_the_nearest() -> None:
    with pytest.raises(argparse.ArgumentError, match=r"invalid choice: 'fone': did you mean phone\?"):
        parse("--preset", "fone")
    with pytest.raises(UsageError, match=r"is 'fone', expected one of phone, wideband, studio: did you mean phone\?"):
        resolved({"windows": {"preset": "fone"}})


def test_what_is_not_given_stays_out() -> None:
    assert parse() == {}


def test_options_that_are_on_have_a_flag_to_turn_them_off() -> None:
    assert flag_of(WindowRules.__dataclass_fields__["truncation"]) == "--no-truncation"
    assert flag_of(RunOptions.__dataclass_fields__["overwrite"]) == "--overwrite"
    assert flag_of(OverlapOptions.__dataclass_fields__["target_duration"]) == "--overlap-target-duration"


def test_flags_win_over_set_and_set_over_the_file() -> None:
    config = {"windows": {"min_speakers": 1, "max_speakers": 7, "tolerance": 0.3}}
    windows = resolved(config, "windows.max_speakers=8", "windows.tolerance=0.4", windows__tolerance=0.5)["windows"]
    assert (windows.min_speakers, windows.max_speakers, windows.tolerance) == (1, 8, 0.5)


def test_of_two_settings_the_last_counts() -> None:
    assert resolved(None, "output.shards=1", "output.shards=2")["output"].shards == 2


def test_key_lists_may_be_comma_strings() -> None:
    config = {"windows": {"drop_fields": "words,text", "drop_fields_top_level": ["segments"]}}
    windows = resolved(config)["windows"]
    assert (windows.drop_fields, windows.drop_fields_top_level) == (("words", "text"), ("segments",))
    assert resolved(None, "windows.drop_fields=[a, b]")["windows"].drop_fields == ("a", "b")


def test_the_overlap_target_is_the_windows_unless_it_is_given() -> None:
    windows = WindowRules(target_window_duration=30.0)
    assert OverlapOptions().rules(windows) == OverlapRules(overlap_percentage=50, target_duration=30.0)
    assert OverlapOptions(target_duration=7.0).rules(windows).target_duration == 7.0


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        ({"window": {"tolerance": 1}}, [], "unknown section 'window' in 'window.tolerance': did you mean windows?"),
        (
            {"windows": {"min_speaker": 1}},
            [],
            "unknown option 'windows.min_speaker': did you mean windows.min_speakers?",
        ),
        ({}, ["otput.shards=1"], "unknown section 'otput' in 'otput.shards': did you mean output?"),
        ({}, ["output.shard=1"], "unknown option 'output.shard': did you mean output.shards?"),
        ({"windows": 3}, [], "section 'windows' of the config holds 3, expected keys and values"),
        ({}, ["shards=1"], "--set 'shards=1' is not SECTION.KEY=VALUE: write for example windows.min_speakers=3"),
        ({}, ["output.shards"], "--set 'output.shards' is not SECTION.KEY=VALUE"),
        ({"windows": {"min_speakers": 2.5}}, [], "windows.min_speakers is 2.5, expected a whole number"),
        ({"windows": {"min_speakers": True}}, [], "windows.min_speakers is True, expected a whole number"),
        ({"windows": {"tolerance": "much"}}, [], "windows.tolerance is 'much', expected a number"),
        ({"windows": {"truncation": "yes please"}}, [], "windows.truncation is 'yes please', expected true or false"),
        ({"windows": {"drop_fields": 3}}, [], "windows.drop_fields is 3, expected a list of keys"),
        (
            {"output": {"layout": "spam"}},
            [],
            "output.layout is 'spam', expected one of full, spans: did you mean spans?",
        ),
    ],
)
def test_what_cannot_be_understood_is_refused(config: dict[str, Any], settings: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolved_of(SECTIONS, config, settings, {})
    assert str(caught.value).startswith(message)


def test_all_problems_come_in_one_message() -> None:
    with pytest.raises(UsageError) as caught:
        resolved(
            {"windows": {"min_speakers": 5, "max_speakers": 3}, "output": {"shards": -1}},
            "run.jobs=0",
            "input.max_line_bytes=0",
            run__tolerate="many",
            windows__drop_fields=("start",),
        )
    message = str(caught.value)
    for part in (
        "min_speakers 5 exceeds max_speakers 3: lower min_speakers or raise max_speakers",
        "drop_fields start would leave windows without times: keep them",
        "shards -1 is below 0: raise it",
        "jobs '0' is neither auto nor a number above 0",
        "max_line_bytes 0 is below 1: raise it",
        "tolerate 'many' is neither a number nor a percentage: write 10 or 0.5%",
    ):
        assert part in message


def test_problems_of_the_overlap_come_in_the_same_message() -> None:
    with pytest.raises(UsageError, match=r"jobs '0' is.*overlap_percentage 150|overlap_percentage 150.*jobs '0'"):
        resolved({"overlap": {"overlap_percentage": 150}, "run": {"jobs": 0}})


def test_a_setting_that_is_not_yaml_is_refused() -> None:
    with pytest.raises(UsageError, match=r"windows\.min_speakers"):
        resolved(None, "windows.min_speakers=[")


@pytest.mark.parametrize("text", ["", "%", "-1", "1.5", ".%", "x%", "1%%", "nan", "inf%", "²"])
def test_a_tolerance_is_a_number_or_a_percentage(text: str) -> None:
    with pytest.raises(ValueError, match=r"is neither a number nor a percentage: write 10 or 0\.5%"):
        RunOptions(tolerate=text)


@pytest.mark.parametrize(
    ("tolerate", "n_failures", "n_read", "tolerated"),
    [
        ("0", 0, 0, True),
        ("0", 1, 100, False),
        ("2", 2, 2, True),
        ("2", 3, 1000, False),
        ("100%", 5, 5, True),
        ("0%", 0, 0, True),
        ("50%", 1, 2, True),
        ("49.9%", 1, 2, False),
        ("0.5%", 1, 200, True),
        (".5%", 1, 199, False),
    ],
)
def test_failures_up_to_the_tolerance_are_success(tolerate: str, n_failures: int, n_read: int, tolerated: bool) -> None:
    assert RunOptions(tolerate=tolerate).tolerates([(n_failures, n_read)]) is tolerated


def test_numbers_of_flags_are_checked_by_their_kind(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--min-speakers", "2.5"], "invalid whole number value: '2.5'"),
        (["--tolerance", "much"], "invalid number value: 'much'"),
        (["--layout", "spam"], "invalid choice: 'spam'"),
    ):
        with pytest.raises(argparse.ArgumentError, match=message):
            parse(*arguments)


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e400"])
def test_numbers_that_are_no_durations_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="window rules: target_window_duration"):
        resolved_of(SECTIONS, {}, [], parse(f"--target-window-duration={text}"))


def test_layouts_and_formats_are_those_of_the_library() -> None:
    choices = {
        name: WindowOutputOptions.__dataclass_fields__[name].metadata["choices"] for name in ("layout", "row_format")
    }
    assert choices == {"layout": ("full", "spans"), "row_format": ("jsonl", "parquet", "avro")}


def test_nearest_names_the_one_meant_or_all() -> None:
    assert nearest("spam", ["spans", "full"]) == ": did you mean spans?"
    assert nearest("xyz", ["spans", "full"]) == ": known are spans, full"
    assert nearest("xyz", [f"option{number}" for number in range(22)]) == ""


class TestReadConfig:
    def test_reads_a_mapping(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("windows: {min_speakers: 3}\ninputs: [a]\n")
        assert read_config(str(tmp_path / "a.yaml")) == {"windows": {"min_speakers": 3}, "inputs": ["a"]}

    def test_takes_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("# nothing yet\n")
        assert read_config(str(tmp_path / "a.yaml")) == {}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (b"- a\n", "holds .'a'., expected sections with keys and values"),
            (b"a: [\n", "is not YAML"),
            (b"a: !!python/object/apply:os.getcwd []\n", "is not YAML"),
            (b"a: \xff\n", "is not YAML"),
        ],
    )
    def test_refuses_what_is_no_mapping(self, tmp_path: Path, text: bytes, message: str) -> None:
        (tmp_path / "a.yaml").write_bytes(text)
        with pytest.raises(UsageError, match=f"config .*a.yaml {message}"):
            read_config(str(tmp_path / "a.yaml"))

    @pytest.mark.parametrize(
        ("text", "line"), [("windows: {tolerance: 0.1}\nwindows: {}\n", 2), ("windows:\n  a: 1\n  b: 2\n  'a': 3\n", 4)]
    )
    def test_refuses_a_key_that_is_there_twice(self, tmp_path: Path, text: str, line: int) -> None:
        (tmp_path / "a.yaml").write_text(text)
        with pytest.raises(UsageError, match=rf"config .*a\.yaml, line {line}: key '\w+' is there twice: leave one"):
            read_config(str(tmp_path / "a.yaml"))

    def test_a_key_may_differ_from_the_one_that_it_is_merged_with(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
        assert read_config(str(tmp_path / "a.yaml"))["b"] == {"x": 3, "y": 2}

    def test_refuses_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"none\.yaml cannot be read: No such file or directory"):
            read_config(str(tmp_path / "none.yaml"))


class TestFormerNames:
    SECTIONS = JOBS["separate"].sections
    WARNING = "beam-curator: warning: rows.filepath_key is now called rows.audio_filepath_key\n"

    def given(self, config: dict[str, Any], settings: Sequence[str], *flags: str) -> Any:
        parser = argparse.ArgumentParser(exit_on_error=False)
        add_flags(parser, self.SECTIONS)
        return given_options(self.SECTIONS, config, settings, vars(parser.parse_args(flags)))

    @pytest.mark.parametrize(
        ("config", "settings", "flags", "warning", "origin"),
        [
            ({"rows": {"filepath_key": "wav"}}, [], [], WARNING, "config"),
            ({}, ["rows.filepath_key=wav"], [], WARNING, "--set"),
            ({}, [], ["--filepath-key", "wav"], WARNING.replace("rows.", "--").replace("_", "-"), "flag"),
            ({}, [], ["--audio-filepath-key", "wav"], "", "flag"),
        ],
    )
    def test_work_everywhere_with_a_warning(
        self,
        config: dict[str, Any],
        settings: list[str],
        flags: list[str],
        warning: str,
        origin: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        given = self.given(config, settings, *flags)
        assert capsys.readouterr().err == warning
        assert resolve(self.SECTIONS, given)["rows"].audio_filepath_key == "wav"
        assert origins(self.SECTIONS, given) == {"rows.audio_filepath_key": origin}

    def test_beside_the_present_ones_are_refused(self) -> None:
        with pytest.raises(UsageError, match=r"rows\.filepath_key and rows\.audio_filepath_key are one option, and"):
            self.given({"rows": {"audio_filepath_key": "a"}}, [], "--filepath-key", "b")

    def test_are_not_shown(self) -> None:
        parser = argparse.ArgumentParser()
        add_flags(parser, JOBS["extract"].sections)
        assert "--audio-filepath-key TEXT" in parser.format_help()
        assert "--audio-key" not in parser.format_help()
