"""The listing, the modules behind it and docs/yaml.md say the same."""

import dataclasses
import importlib
import inspect
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_origin, get_type_hints

import apache_beam as beam
import pytest
import yaml
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.typehints.schemas import named_fields_from_element_type

from beam_curator.clips.cut_rules import CutRules
from beam_curator.export.export_rules import ExportRules
from beam_curator.runners.job_options import JOBS
from beam_curator.sets.set_options import InputOptions
from beam_curator.transforms.yaml import curate_jobs as yaml_curation
from beam_curator.transforms.yaml import curate_steps as yaml_speech
from beam_curator.transforms.yaml import diarize_jobs as yaml_diarization
from beam_curator.transforms.yaml import live_jobs as yaml_live
from beam_curator.transforms.yaml import row_steps as yaml_row_steps
from beam_curator.transforms.yaml import set_jobs as yaml_sets
from beam_curator.transforms.yaml import steps as yaml_steps
from beam_curator.transforms.yaml import window_jobs as yaml_jobs
from beam_curator.windows.overlap import OverlapRules
from beam_curator.windows.window_options import OverlapOptions, WindowOutputOptions
from beam_curator.windows.window_rules import WindowRules
from tests.manifests import line_of, speech, write_lines

pytestmark = pytest.mark.heavy

yaml_provider = pytest.importorskip("apache_beam.yaml.yaml_provider")
yaml_transform = pytest.importorskip("apache_beam.yaml.yaml_transform")

ROOT = Path(__file__).parents[2]
LISTING = files("beam_curator").joinpath("providers.yaml")
LISTED: dict[str, str] = yaml.safe_load(LISTING.read_text(encoding="utf-8"))[0]["transforms"]
FORMER = {"CurateWindows": "BuildWindowSet"}
"""Former names of types, which go on working."""
TYPES = {name: path for name, path in LISTED.items() if name not in FORMER}
RULED = ["BuildTrainingWindows", "ChooseWindows", "BuildWindowSet"]
WHOLE = ["ChooseWindows", "BuildWindowSet"]
JOB_STEPS = {
    "ExtractClips": "extract",
    "ExportClips": "export",
    "Diarize": "diarize",
    "SeparateSpeakers": "separate",
    "FilterManifests": "filter",
    "CurateSpeech": "curate",
    "MeasureRecordings": "measure",
}
FILES_BESIDE = {"rttm_out_dir", "uem", "overlap_view", "embeddings", "embedding_model"}
"""Options of diarization that ask for files, which a step that gives rows does not write."""


_HEARING = ("model", "streaming", "speakers", "turns", "diarization", "inference")
DIARIZATION = [JOBS["diarize"].sections[name] for name in _HEARING]
_NOT_OF_CURATION = ("input", "output", "run")
CURATION = [options for name, options in JOBS["curate"].sections.items() if name not in _NOT_OF_CURATION]
SEPARATION = [JOBS["separate"].sections[name] for name in ("separation", "rows")]


def listed(name: str) -> Any:
    module, _, attribute = TYPES[name].rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def parameters_of(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(listed(name).__init__).parameters)


def config_docs(name: str) -> dict[str, str]:
    """Return what Beam shows of each option, on one line."""
    schema = yaml_provider.InlineProvider.config_schema_from_callable(listed(name))
    return {field.name: " ".join(field.description.split()) for field in schema.fields}


def test_every_public_transform_is_listed_under_its_own_name() -> None:
    public = {
        name: f"{module.__name__}.{name}"
        for module in (
            yaml_steps,
            yaml_jobs,
            yaml_sets,
            yaml_diarization,
            yaml_curation,
            yaml_speech,
            yaml_live,
            yaml_row_steps,
        )
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, beam.PTransform) and value.__module__ == module.__name__
    }
    assert public == TYPES
    assert {name: LISTED[name] for name in FORMER} == {name: TYPES[now] for name, now in FORMER.items()}
    assert all(name not in yaml_provider.standard_providers() for name in TYPES)


def test_the_template_shows_the_listing_of_the_package() -> None:
    link = ROOT / "templates" / "yaml" / "providers.yaml"
    assert str(link.readlink()) == "../../beam_curator/providers.yaml"
    assert link.read_bytes() == LISTING.read_bytes()


@pytest.mark.parametrize("name", TYPES)
def test_beam_can_read_options_and_docs_from_each(name: str) -> None:
    docs = config_docs(name)
    assert list(docs) == [parameter for parameter in parameters_of(name) if parameter != "self"]
    assert all(docs.values())
    description = yaml_provider.InlineProvider.description_from_callable(listed(name))
    assert description.splitlines()[0] == (listed(name).__doc__ or "").splitlines()[0]
    schema = yaml_provider.InlineProvider.config_schema_from_callable(listed(name))
    assert "pythonsdk_any" not in str(schema)


def plain(kind: Any) -> Any:
    """Return a type as Beam's schemas take it: a text stands for one of some words."""
    return str if get_origin(kind) is Literal else kind


def check_same(name: str, options: type[Any], renamed: dict[str, str], left_out: set[str]) -> None:
    """Check that a transform has the options of a class: default, type and text."""
    parameters, docs, hints = parameters_of(name), config_docs(name), get_type_hints(options)
    for field in dataclasses.fields(options):
        if field.name not in left_out:
            parameter = parameters[renamed.get(field.name, field.name)]
            assert parameter.default == field.default, field.name
            assert parameter.annotation == plain(hints[field.name]), field.name
            assert docs[parameter.name] == field.metadata["help"], field.name


@pytest.mark.parametrize("name", RULED)
def test_window_rules_are_those_of_the_core(name: str) -> None:
    check_same(name, WindowRules, {}, set())


@pytest.mark.parametrize("name", WHOLE)
def test_other_options_are_those_of_the_command(name: str) -> None:
    renamed = {"target_duration": "overlap_target_duration", "scope": "overlap_scope"}
    check_same(name, OverlapOptions, renamed, set())
    check_same(name, InputOptions, {}, set())
    check_same(name, WindowOutputOptions, {}, set() if name == "BuildWindowSet" else {"row_format", "shards"})


def name_of(field: "dataclasses.Field[Any]") -> str:
    """Return what an option is called where all are in one list: as its flag is, with underscores."""
    return str(field.metadata["flag"] or field.name).replace("-", "_")


def names_of(options: type[Any]) -> dict[str, str]:
    return {field.name: name_of(field) for field in dataclasses.fields(options)}


@pytest.mark.parametrize(("name", "job"), JOB_STEPS.items())
def test_options_of_a_whole_job_are_those_of_the_command(name: str, job: str) -> None:
    sections = {section: options for section, options in JOBS[job].sections.items() if section != "run"}
    for options in sections.values():
        check_same(name, options, names_of(options), set())
    known = {option for options in sections.values() for option in names_of(options).values()}
    assert set(parameters_of(name)) == known | {"self", "inputs", "output"}


def test_options_of_a_step_that_diarizes_are_those_of_the_command() -> None:
    known = set()
    for options in DIARIZATION:
        names = names_of(options)
        check_same(
            "DiarizeRecordings", options, names, {field for field, name in names.items() if name in FILES_BESIDE}
        )
        known |= set(names.values()) - FILES_BESIDE
    assert set(parameters_of("DiarizeRecordings")) == known | {"self", "error_handling"}


def test_steps_have_the_options_of_the_core_too() -> None:
    check_same("FilterOverlaps", OverlapRules, {}, {"scope"})
    check_same("ReadManifests", InputOptions, {}, set())


@pytest.mark.parametrize(
    ("name", "former"),
    [("ExtractClips", "audio_key"), ("Diarize", "filepath_key"), ("SeparateSpeakers", "filepath_key")],
)
def test_former_names_of_options_work_with_a_warning(name: str, former: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{former} is now called audio_filepath_key"):
        listed(name)(["a.jsonl"], "out", **{former: "wav"})
    with pytest.raises(ValueError, match=f"{former} and audio_filepath_key are one option"):
        listed(name)(["a.jsonl"], "out", audio_filepath_key="wav", **{former: "wav"})


@pytest.mark.parametrize("name", [*JOB_STEPS, *WHOLE])
def test_an_unknown_option_is_a_type_error(name: str) -> None:
    arguments = [["a.jsonl"]] if name == "ChooseWindows" else [["a.jsonl"], "out"]
    with pytest.raises(TypeError, match="unexpected keyword argument 'min_speaker'"):
        listed(name)(*arguments, min_speaker=1)


def test_the_docs_have_a_row_for_each_type_with_its_options() -> None:
    text = (ROOT / "docs" / "yaml.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE))
    assert list(rows) == list(TYPES)
    rules = {"window": WindowRules, "cut": CutRules, "export": ExportRules}
    for name, shown in rows.items():
        options = re.findall(r"`(\w+)`", shown)
        for word, options_class in rules.items():
            if f"{word} rules" in shown:
                options += [field.name for field in dataclasses.fields(options_class)]
        if "options of separation" in shown:
            options += [option for part in SEPARATION for option in names_of(part).values()]
        if "options of curation" in shown:
            options += [option for part in CURATION for option in names_of(part).values()]
        if "options of diarization" in shown:
            heard = [option for options_class in DIARIZATION for option in names_of(options_class).values()]
            options += [option for option in heard if name == "Diarize" or option not in FILES_BESIDE]
        assert set(options) == set(parameters_of(name)) - {"self"}, name


def test_links_of_the_docs_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)[^)]*\)", (ROOT / "docs" / "yaml.md").read_text(encoding="utf-8"))
    assert len(links) >= 3
    assert [link for link in links if not (ROOT / "docs" / link).exists() and link != "https"] == []


STEPS = """
type: composite
transforms:
  - {type: ChooseWindows, config: {inputs: [MANIFEST], error_handling: {output: errors}}}
  - type: MapToFields
    input: ChooseWindows
    config:
      language: python
      fields: {offset: offset, twice: n_filtered_windows * 2, first: "filtered[0].end"}
  - {type: MapToFields, name: Codes, input: ChooseWindows.errors, config: {fields: {code: code}}}
output: {rows: MapToFields, codes: Codes}
"""


def test_steps_of_beam_see_the_columns(tmp_path: Path) -> None:
    manifest = write_lines(tmp_path / 'it\'s <a> "b".jsonl', [line_of(speech(4)), line_of(speech(6)), b"{}"])
    providers = yaml_provider.load_providers(str(LISTING))
    steps = yaml_transform.YamlTransform(STEPS.replace("MANIFEST", json.dumps(str(manifest))), providers)
    with beam.Pipeline("FnApiRunner") as pipeline:
        made = pipeline | steps
        names = [name for name, _ in named_fields_from_element_type(made["rows"].element_type)]
        assert names == ["offset", "twice", "first"]
        expected = [(0, 2, 120.0), (len(line_of(speech(4))) + 1, 4, 120.0)]
        assert_that(made["rows"] | beam.Map(tuple), equal_to(expected), label="rows")
        assert_that(made["codes"] | "Codes" >> beam.Map(lambda row: row.code), equal_to(["missing_key"]), label="codes")
