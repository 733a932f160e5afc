"""The reasons for which a row can fail, and the record of a failure."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from enum import StrEnum

import msgspec


class FailureCode(StrEnum):
    """Why a row or a file could not be processed; each code carries one line of documentation."""

    doc: str

    BAD_JSON = ("bad_json", "The line is not valid JSON.")
    BAD_UTF8 = ("bad_utf8", "The line holds bytes that are not UTF-8.")
    BAD_UNICODE = ("bad_unicode", "A string holds a lone surrogate such as \\ud800, which no UTF-8 text can carry.")
    NON_FINITE = ("non_finite", "A number is NaN, infinite, or too large for a double.")
    TOO_DEEP = ("too_deep", "Objects or arrays are nested deeper than the parser goes.")
    NOT_AN_OBJECT = ("not_an_object", "The line is valid JSON, but not an object.")
    LINE_TOO_LONG = ("line_too_long", "The line exceeds --max-line-bytes; it was skipped without being held.")
    BAD_TURNS = (
        "bad_turns",
        "A file of turns, or a line of one, cannot be read: its recording is left out.",
    )
    ROW_TOO_LARGE = (
        "row_too_large",
        "The windows of the row exceed 16 times --max-line-bytes (512 MiB at least).",
    )
    MISSING_KEY = ("missing_key", "A required key is absent.")
    BAD_TYPE = ("bad_type", "A value has a type that the rules cannot work with.")
    BAD_TIME = ("bad_time", "A start or end time is no time, or the end does not come after the start.")
    NOT_FOUND = ("not_found", "A file is not there: a manifest that was listed, or a recording that a row names.")
    AMBIGUOUS = ("ambiguous", "Several recordings have the name that a file of turns gives.")
    NOT_READABLE = ("not_readable", "An input file cannot be read.")
    TRUNCATED_FILE = ("truncated_file", "A compressed file or a tar ends early or is damaged.")
    NOT_AUDIO = ("not_audio", "A file is not audio of a kind that can be decoded here.")
    BAD_CHANNELS = (
        "bad_channels",
        "Files that a row lists as the channels of a recording differ in rate or length, or have several channels.",
    )
    EMPTY_AUDIO = ("empty_audio", "An audio file, or the piece asked for, holds no samples.")
    TRUNCATED_AUDIO = ("truncated_audio", "An audio file ends before the piece asked for, or before what it claims.")
    CHANGED_WHILE_READ = ("changed_while_read", "A recording changed while it was read, or between two readings.")
    OUT_OF_RANGE = ("out_of_range", "A piece lies outside of its recording, or its recording lacks the channel.")
    NOT_ENCODABLE = ("not_encodable", "The output format cannot hold this number of channels or this sample rate.")
    PATH_OUTSIDE_ROOT = ("path_outside_root", "A recording lies outside of --allowed-root or --input-path.")
    SCHEME_NOT_ALLOWED = ("scheme_not_allowed", "A recording is named by a scheme that is not read.")
    TOO_LONG = ("too_long", "The recording is longer than --max-duration, or than a model can hear at once.")
    TOO_LARGE = ("too_large", "The recording has more bytes, once decoded, than --max-decoded-bytes.")
    MODEL_ERROR = ("model_error", "The model raised an error for this recording, also when it was alone.")
    OUT_OF_MEMORY = ("out_of_memory", "The model lacks memory for this recording, also when it is alone.")
    BAD_MESSAGE = ("bad_message", "A message of a live stream lacks an attribute, or has a wrong one.")
    FORMAT_CHANGED = ("format_changed", "A chunk has another sample rate or codec than its session began with.")
    TOO_EARLY = ("too_early", "A chunk is more than --max-early ahead of the next, and few between them came.")
    SESSION_CLOSED = ("session_closed", "A chunk came after the end of its session.")
    OVERLOADED = ("overloaded", "A session found no place, as all --streams-per-shard of its shard were taken.")
    BAD_STATE = ("bad_state", "The state of a session is damaged, newer, or of another model: the session ended.")
    TIMEOUT = ("timeout", "The recording took longer than --timeout.")

    def __new__(cls, value: str, doc: str) -> FailureCode:
        """Make a member that is its own string and knows its documentation."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member


FAILURE_DOCS = {code.value: code.doc for code in FailureCode}
"""What each code means, in one line."""


class EntryError(ValueError):
    """A row that cannot be processed: value, expectation and cure, with a code.

    Attributes:
      code: what kind of problem it is.
      message: the value found and what was expected.
      cure: what to do about it.
    """

    def __init__(self, code: FailureCode, message: str, cure: str) -> None:
        super().__init__(code, message, cure)
        self.code = code
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.code}: {self.message}: {self.cure}"

    def about(self, name: str) -> EntryError:
        """Return the same error of one of several files, whose name it has."""
        shown = readable_name(name)
        message = self.message if shown in self.message else f"{shown}: {self.message}"
        return EntryError(self.code, message, self.cure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One dead letter: a row (or a file) that could not be processed.

    `payload` is the raw line, so that the row can be mended and run again; it is cut where
    `payload_truncated` says so. `offset` is the byte offset of the line in `source`.
    """

    code: FailureCode
    stage: str
    source: str
    offset: int
    message: str
    cure: str
    payload: bytes = b""
    payload_truncated: bool = False

    @classmethod
    def from_error(cls, error: EntryError, *, stage: str, source: str, offset: int, payload: bytes) -> Failure:
        """Make the dead letter of a row from the error that its parsing raised."""
        return cls(
            code=error.code,
            stage=stage,
            source=source,
            offset=offset,
            message=error.message,
            cure=error.cure,
            payload=payload,
        )


def readable_name(name: str) -> str:
    """Return a file name that can be written as UTF-8: bytes of another encoding are shown as escapes.

    Example:
      >>> readable_name("talk-\\udcff.jsonl")
      'talk-\\\\xff.jsonl'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def render_failure(failure: Failure) -> bytes:
    """Render a dead letter as one JSON line without its newline.

    A payload that is not UTF-8 is written as base64, and `payload_encoding` says which it is.

    Example:
      >>> render_failure(Failure(code=FailureCode.BAD_JSON, stage="build", source="a.jsonl", offset=7,
      ...                        message="m", cure="c", payload=b"{"))
      b'{"code":"bad_json","stage":"build","source":"a.jsonl","offset":7,"message":"m","cure":"c",\
"payload":"{","payload_truncated":false,"payload_encoding":"utf-8"}'
    """
    try:
        payload, encoding = failure.payload.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(failure.payload).decode("ascii"), "base64"
    shown = {"source": readable_name(failure.source), "payload": payload, "payload_encoding": encoding}
    return msgspec.json.encode(asdict(failure) | shown)
