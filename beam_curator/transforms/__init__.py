"""Beam transforms: thin wiring around the pure core. This is the public API, and a name is loaded when it is used.

RunInference loads torch where that is installed, so that whoever cuts clips must not have to import it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_curator.transforms.clips.cut_clips import CutClips as CutClips
    from beam_curator.transforms.clips.extract_clips import ExtractClips as ExtractClips
    from beam_curator.transforms.clips.packing import PackClips as PackClips
    from beam_curator.transforms.clips.write_index import WriteIndex as WriteIndex
    from beam_curator.transforms.curate.curate_speech import CurateRows as CurateRows
    from beam_curator.transforms.curate.curate_speech import CurateSpeech as CurateSpeech
    from beam_curator.transforms.curate.curate_speech import HearSpeakers as HearSpeakers
    from beam_curator.transforms.curate.speech_steps import ConcatenateSpeech as ConcatenateSpeech
    from beam_curator.transforms.curate.speech_steps import FilterSpeech as FilterSpeech
    from beam_curator.transforms.curate.speech_steps import FindSpeech as FindSpeech
    from beam_curator.transforms.curate.speech_steps import MapClips as MapClips
    from beam_curator.transforms.diarization.cascade_handler import CascadeModelHandler as CascadeModelHandler
    from beam_curator.transforms.diarization.diarize_recordings import Diarize as Diarize
    from beam_curator.transforms.diarization.diarize_rows import DiarizeRows as DiarizeRows
    from beam_curator.transforms.diarization.embedding_handler import EmbeddingModelHandler as EmbeddingModelHandler
    from beam_curator.transforms.diarization.hear_recordings import EmbedVoices as EmbedVoices
    from beam_curator.transforms.diarization.hear_recordings import HearRecordings as HearRecordings
    from beam_curator.transforms.diarization.nemotron_handler import NemotronModelHandler as NemotronModelHandler
    from beam_curator.transforms.diarization.sortformer_handler import SortformerModelHandler as SortformerModelHandler
    from beam_curator.transforms.diarization.speech_handler import SileroModelHandler as SileroModelHandler
    from beam_curator.transforms.export.export_clips import ExportClips as ExportClips
    from beam_curator.transforms.export.export_rows import ExportRows as ExportRows
    from beam_curator.transforms.jobs.job_sets import CommitJob as CommitJob
    from beam_curator.transforms.jobs.job_sets import JobSet as JobSet
    from beam_curator.transforms.jobs.job_sets import Reading as Reading
    from beam_curator.transforms.jobs.keeping import CountFacts as CountFacts
    from beam_curator.transforms.jobs.keeping import KeepBlocks as KeepBlocks
    from beam_curator.transforms.jobs.keeping import TakeBlocks as TakeBlocks
    from beam_curator.transforms.jobs.line_sets import WriteLineSet as WriteLineSet
    from beam_curator.transforms.jobs.manifests import HashInputs as HashInputs
    from beam_curator.transforms.jobs.manifests import ReadManifests as ReadManifests
    from beam_curator.transforms.jobs.merging import MergeParts as MergeParts
    from beam_curator.transforms.jobs.model_results import LookIntoRecordings as LookIntoRecordings
    from beam_curator.transforms.jobs.model_results import ResultsOfModel as ResultsOfModel
    from beam_curator.transforms.jobs.model_steps import PrepareRecordings as PrepareRecordings
    from beam_curator.transforms.jobs.model_steps import WriteResults as WriteResults
    from beam_curator.transforms.jobs.recording_sets import ReadAsked as ReadAsked
    from beam_curator.transforms.jobs.recording_sets import WriteRecordingSet as WriteRecordingSet
    from beam_curator.transforms.jobs.recording_steps import GroupRecordings as GroupRecordings
    from beam_curator.transforms.jobs.recording_steps import PlanRows as PlanRows
    from beam_curator.transforms.jobs.recording_steps import WriteRecordings as WriteRecordings
    from beam_curator.transforms.jobs.without_files import MakeResults as MakeResults
    from beam_curator.transforms.jobs.without_files import PlanTasks as PlanTasks
    from beam_curator.transforms.jobs.without_files import RecordingResult as RecordingResult
    from beam_curator.transforms.jobs.without_files import Results as Results
    from beam_curator.transforms.jobs.writing import CommitOutputSet as CommitOutputSet
    from beam_curator.transforms.jobs.writing import MergeShards as MergeShards
    from beam_curator.transforms.jobs.writing import WriteFailures as WriteFailures
    from beam_curator.transforms.jobs.writing import WriteTrainingWindows as WriteTrainingWindows
    from beam_curator.transforms.metrics import CountBlocks as CountBlocks
    from beam_curator.transforms.quality.measure_recordings import MeasureRecordings as MeasureRecordings
    from beam_curator.transforms.quality.measure_recordings import MeasureRows as MeasureRows
    from beam_curator.transforms.rows.filter_manifests import FilterManifests as FilterManifests
    from beam_curator.transforms.separation.separate_rows import SeparateRows as SeparateRows
    from beam_curator.transforms.separation.separate_speakers import SeparateSpeakers as SeparateSpeakers
    from beam_curator.transforms.windows.overlap import FilterOverlaps as FilterOverlaps
    from beam_curator.transforms.windows.training_windows import BuildTrainingWindows as BuildTrainingWindows
    from beam_curator.transforms.windows.window_set import BuildWindowSet as BuildWindowSet
    from beam_curator.transforms.windows.window_set import ChooseWindows as ChooseWindows
    from beam_curator.transforms.windows.window_set import CurateWindows as CurateWindows
    from beam_curator.transforms.windows.window_set import ExplodeBlocks as ExplodeBlocks

if __name__ == "transforms":
    raise ImportError("the folder is a link for readers: import beam_curator.transforms")

_NAMES = {
    # rows of manifests
    "jobs.manifests": ("ReadManifests", "HashInputs"),
    "rows.filter_manifests": ("FilterManifests",),
    # training windows
    "windows.training_windows": ("BuildTrainingWindows",),
    "windows.overlap": ("FilterOverlaps",),
    "windows.window_set": ("ChooseWindows", "BuildWindowSet", "CurateWindows", "ExplodeBlocks"),
    # clips
    "clips.cut_clips": ("CutClips",),
    "clips.extract_clips": ("ExtractClips",),
    "clips.packing": ("PackClips",),
    "clips.write_index": ("WriteIndex",),
    # the export
    "export.export_rows": ("ExportRows",),
    "export.export_clips": ("ExportClips",),
    # diarization
    "diarization.diarize_rows": ("DiarizeRows",),
    "diarization.diarize_recordings": ("Diarize",),
    "diarization.hear_recordings": ("HearRecordings", "EmbedVoices"),
    "diarization.sortformer_handler": ("SortformerModelHandler",),
    "diarization.nemotron_handler": ("NemotronModelHandler",),
    "diarization.cascade_handler": ("CascadeModelHandler",),
    "diarization.embedding_handler": ("EmbeddingModelHandler",),
    "diarization.speech_handler": ("SileroModelHandler",),
    # quality of sound
    "quality.measure_recordings": ("MeasureRecordings", "MeasureRows"),
    # separation
    "separation.separate_rows": ("SeparateRows",),
    "separation.separate_speakers": ("SeparateSpeakers",),
    # clean clips of one speaker
    "curate.curate_speech": ("CurateSpeech", "CurateRows", "HearSpeakers"),
    "curate.speech_steps": ("FindSpeech", "FilterSpeech", "ConcatenateSpeech", "MapClips"),
    # live streams
    "live.hear_streams": ("HearStreams",),
    "live.publish_messages": ("PublishMessages",),
    "live.stream_messages": ("StreamMessages",),
    "live.stream_subscription": ("StreamSubscription",),
    "live.write_sessions": ("WriteSessions", "WriteLiveFailures"),
    # jobs over recordings of your own
    "jobs.without_files": ("MakeResults", "PlanTasks", "RecordingResult", "Results"),
    "jobs.model_results": ("LookIntoRecordings", "ResultsOfModel"),
    "jobs.recording_sets": ("WriteRecordingSet", "ReadAsked"),
    "jobs.recording_steps": ("PlanRows", "GroupRecordings", "WriteRecordings"),
    "jobs.model_steps": ("PrepareRecordings", "WriteResults"),
    "jobs.merging": ("MergeParts",),
    # jobs over rows of your own
    "jobs.line_sets": ("WriteLineSet",),
    "jobs.keeping": ("TakeBlocks", "CountFacts", "KeepBlocks"),
    # output sets
    "jobs.writing": ("WriteTrainingWindows", "WriteFailures", "MergeShards", "CommitOutputSet"),
    "jobs.job_sets": ("CommitJob", "JobSet", "Reading"),
    "metrics": ("CountBlocks",),
}
"""The public names of each module."""

_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [*_MODULES]  # noqa: PLE0604  names, all of them


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
