"""Training windows: 1-3 minutes of consecutive segments that satisfy the rules.

The algorithm is that of NVIDIA NeMo Curator's `ALMDataBuilderStage`: from each segment on, segments are added
until the upper limit of the duration, a segment of low bandwidth, one speaker too many, or the end of the entry.
`plan_entry` is its definition; `beam_curator.windows.block_planning` computes the same for many entries at once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from beam_curator.entries.entry import MAX_SECONDS, Entry
from beam_curator.entries.json_lines import kind_of
from beam_curator.entries.segment_options import BAD_SEGMENTS_KEY
from beam_curator.failures import EntryError, FailureCode
from beam_curator.intervals import Seconds, sum_left_to_right
from beam_curator.windows import row_limit
from beam_curator.windows.row_limit import DEFAULT_LIMIT, check_row_size, too_many_steps
from beam_curator.windows.window_rules import WindowRules

NO_SPEAKER = "no-speaker"
"""The label of a segment in which nobody speaks: no window reaches across it."""
MIN_SEGMENTS_PER_WINDOW = 2
N_SPEAKER_DURATIONS = 5
NOT_CUT = -1
"""In place of a number of words: the window ends with a whole segment."""

_TIMES = frozenset({float, int, bool})


@dataclass(slots=True, kw_only=True)
class LossCounts:
    """Start segments that gave no window, by reason, with their own seconds. Order and names are the reference's."""

    lost_bw: int = 0
    dur_lost_bw: Seconds = 0.0
    lost_sr: int = 0
    dur_lost_sr: Seconds = 0.0
    lost_spk: int = 0
    dur_lost_spk: Seconds = 0.0
    lost_win: int = 0
    dur_lost_win: Seconds = 0.0
    lost_no_spkr: int = 0
    dur_lost_no_spkr: Seconds = 0.0
    lost_next_seg_bm: int = 0
    dur_lost_next_seg_bm: Seconds = 0.0


_LOSS_NAMES = tuple(loss.name for loss in fields(LossCounts))


@dataclass(slots=True, kw_only=True)
class WindowPlan:
    """The training windows of one entry as index ranges into its segments.

    Window k holds `segments[firsts[k]:stops[k]]` and, where `cuts[k] >= 0`, also segment `stops[k]` cut down to its
    `cuts[k]` earliest words. Columns are parallel lists, one item a window.

    Attributes:
      low_sample_rate: the entry was refused as a whole.
      firsts: index of the first segment.
      stops: index after the last whole segment.
      cuts: number of words kept of the cut segment, NOT_CUT where there is none.
      starts: start in seconds.
      ends: end of the last segment in seconds.
      speaker_durations: seconds of the five longest speakers, longest first, padded with 0.0.
      losses: `(first, stop, cut, next)` of each attempt that `lost_win` counts; `next` is where the scan stopped.
      counts: start segments without a window, by reason.
      total_dur: summed length of all segments in seconds.
      truncation_events: segments cut, also for attempts that failed afterwards.
    """

    low_sample_rate: bool = False
    firsts: list[int] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    starts: list[Seconds] = field(default_factory=list)
    ends: list[Seconds] = field(default_factory=list)
    speaker_durations: list[list[Seconds]] = field(default_factory=list)
    losses: list[tuple[int, int, int, int]] = field(default_factory=list)
    counts: LossCounts = field(default_factory=LossCounts)
    total_dur: Seconds = 0
    truncation_events: int = 0

    def attempts(self) -> Iterator[tuple[int, int, int]]:
        """Yield first, stop and cut of each window, and of each attempt in `losses`."""
        yield from zip(self.firsts, self.stops, self.cuts, strict=True)
        yield from ((first, stop, cut) for first, stop, cut, _ in self.losses)


def plan_entry(entry: Entry, rules: WindowRules) -> WindowPlan:
    """Plan the training windows of one entry: the definition of the algorithm, in time linear in the windows.

    Raises:
      EntryError: a word of a segment that has to be cut lacks its end, or is not an object; or the windows are so
        many and long that they would take minutes.
    """
    n_steps = 0
    durations = [end - start for start, end in zip(entry.starts, entry.ends, strict=True)]
    plan = WindowPlan(total_dur=sum_left_to_right(durations))
    if entry.sample_rate < rules.min_sample_rate:
        plan.low_sample_rate = True
        plan.counts.lost_sr, plan.counts.dur_lost_sr = len(durations), plan.total_dur
        return plan
    for first, duration in enumerate(durations):
        if entry.bandwidths[first] < rules.min_bandwidth:
            plan.counts.lost_bw += 1
            plan.counts.dur_lost_bw += duration
        else:
            n_steps += _attempt(plan, entry, rules, first)
            if n_steps > row_limit.MAX_STEPS:
                raise too_many_steps()
    return plan


def _attempt(plan: WindowPlan, entry: Entry, rules: WindowRules, first: int) -> int:
    """Try to make a window that starts with segment `first`; record it or its loss; return segments and words seen."""
    n_cut_before = plan.truncation_events
    stop, cut, end, speakers = scan(plan, entry, rules, first)
    duration = end - entry.starts[first]
    fits = rules.min_duration <= duration <= rules.max_duration
    n_segments = stop - first + (cut != NOT_CUT)
    # the reference drops keys before it checks, and then finds a bandwidth of 0
    bandwidth_dropped = "metrics" in rules.drop_fields and rules.min_bandwidth > 0
    if not fits or n_segments < MIN_SEGMENTS_PER_WINDOW or bandwidth_dropped:
        record_loss(plan, entry, rules, first, stop, cut)
    elif not entry.least_speakers(rules.min_speakers) <= len(speakers) <= rules.max_speakers:
        plan.counts.lost_spk += 1
        plan.counts.dur_lost_spk += entry.ends[first] - entry.starts[first]
    else:
        longest = sorted(speakers.values(), reverse=True)[:N_SPEAKER_DURATIONS]
        plan.firsts.append(first)
        plan.stops.append(stop)
        plan.cuts.append(cut)
        plan.starts.append(entry.starts[first])
        plan.ends.append(end)
        plan.speaker_durations.append(longest + [0.0] * (N_SPEAKER_DURATIONS - len(longest)))
    n_words = len(entry.segments[stop].get("words") or ()) if plan.truncation_events > n_cut_before else 0
    return stop - first + n_words


def scan(
    plan: WindowPlan, entry: Entry, rules: WindowRules, first: int
) -> tuple[int, int, Seconds, dict[Any, Seconds]]:
    """Add segments from `first` on while the rules allow.

    Returns:
      Index after the last whole segment, words kept of a cut segment or NOT_CUT, end of the last segment added
      (of segment `first` if none was), and seconds by speaker.
    """
    starts, ends, labels, bandwidths = entry.starts, entry.ends, entry.speakers, entry.bandwidths
    # both forms are needed: the reference compares a difference here and a sum there, which round differently
    latest, latest_start = rules.max_duration, starts[first] + rules.max_duration
    counts_speakers = "speaker" not in rules.drop_fields
    speakers: dict[Any, Seconds] = {}
    end = ends[first]
    for index in range(first, len(starts)):
        if bandwidths[index] < rules.min_bandwidth:
            return index, NOT_CUT, end, speakers
        crosses = ends[index] - starts[first] > latest
        if crosses:
            if not rules.truncation or starts[index] >= latest_start:
                return index, NOT_CUT, end, speakers
            plan.truncation_events += 1
            cut, cut_end = cut_words(entry, index, latest_start)
        label = labels[index]
        if label and (label == NO_SPEAKER or len(speakers) + (label not in speakers) > rules.max_speakers):
            return index, NOT_CUT, end, speakers
        end = cut_end if crosses else ends[index]
        if label and counts_speakers:
            speakers[label] = speakers.get(label, 0) + (end - starts[index])
        if crosses:
            return index, cut, end, speakers
    return len(starts), NOT_CUT, end, speakers


def cut_words(entry: Entry, index: int, latest: Seconds) -> tuple[int, Seconds]:
    """Count the words of segment `index` that end by `latest`, and tell the end of the last of them in list order.

    A segment without words has none to keep: it is cut to zero length, as in the reference.

    Raises:
      EntryError: the entry is strict, and a word is not an object or lacks a numeric end.
    """
    n_words, last = 0, entry.starts[index]
    segment = entry.segments[index]
    if entry.strict:
        _check_words(segment.get("words", ()), latest, f"segments[{index}].words")
    for end in word_ends(segment):
        if end <= latest:
            n_words, last = n_words + 1, end
    return n_words, last


def word_ends(segment: dict[str, Any]) -> list[Seconds]:
    """Return the end of each word; one without a usable end lasts until its neighbour begins, or its segment ends.

    Example:
      >>> word_ends({"end": 9.0, "words": [{"end": 1.0}, {"word": "2016"}, {"start": 4.0, "end": 5.0}, "so"]})
      [1.0, 4.0, 5.0, 9.0]
    """
    words = segment.get("words") or ()
    try:
        ends = [word["end"] for word in words]
    except (KeyError, TypeError):
        ends = []
    if len(ends) == len(words) and _TIMES.issuperset(map(type, ends)) and min(ends, default=0) >= -MAX_SECONDS:
        return ends
    ends, following = [], segment["end"]
    for word in reversed(words):
        start, end = _usable_time(word, "start"), _usable_time(word, "end")
        ends.append(end if end is not None else following)
        following = start if start is not None else ends[-1]
    return ends[::-1]


def _usable_time(word: Any, key: str) -> Seconds | None:
    time: Any = word.get(key) if isinstance(word, dict) else None
    return time if type(time) in _TIMES and time >= -MAX_SECONDS else None


def _check_words(words: Sequence[Any], latest: Seconds, where: str) -> None:
    """Raise the first thing that is wrong with words of which those that end by `latest` are to be kept."""
    for position, word in enumerate(words):
        try:
            if word["end"] <= latest:
                if word["end"] < -MAX_SECONDS:
                    raise TypeError("a time that cannot be reckoned with")
                _check_word(word.get("word"), f"{where}[{position}]")
        except (KeyError, TypeError) as err:
            raise _word_error(f"{where}[{position}]", word) from err


def _check_word(text: Any, where: str) -> None:
    if text and not isinstance(text, str):
        raise EntryError(
            FailureCode.BAD_TYPE, f"{where}.word is {kind_of(text)}, expected a string", "write the word as a string"
        )


def _word_error(where: str, word: Any) -> EntryError:
    cure = "write the word's end time in seconds, or leave the words out"
    if not isinstance(word, dict):
        return EntryError(FailureCode.BAD_TYPE, f"{where} is {kind_of(word)}, expected an object", cure)
    if "end" not in word:
        return EntryError(FailureCode.MISSING_KEY, f"{where}.end is absent", cure)
    found = repr(word["end"])[:24] if isinstance(word["end"], (int, float)) else kind_of(word["end"])
    return EntryError(FailureCode.BAD_TIME, f"{where}.end is {found}, expected seconds", cure)


def record_loss(plan: WindowPlan, entry: Entry, rules: WindowRules, first: int, stop: int, cut: int) -> None:
    """Count an attempt that gave no window, and the obstacle at which its scan stopped."""
    counts, duration = plan.counts, entry.ends[first] - entry.starts[first]
    following = min(stop, len(entry.starts) - 1)
    counts.lost_win += 1
    counts.dur_lost_win += duration
    if entry.segments[following].get("speaker", NO_SPEAKER) == NO_SPEAKER:
        counts.lost_no_spkr += 1
        counts.dur_lost_no_spkr += duration
    elif entry.bandwidths[following] < rules.min_bandwidth:
        counts.lost_next_seg_bm += 1
        counts.dur_lost_next_seg_bm += duration
    plan.losses.append((first, stop, cut, following))


def truncated_segment(segment: dict[str, Any], n_words: int, dropped: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a copy of a segment cut down to its `n_words` earliest words, without the dropped keys.

    Words keep their order in the list; `words`, `text` and `end` are set to the rest.

    Example:
      >>> truncated_segment({"start": 0.0, "end": 2.0, "words": [{"word": "a", "end": 0.5},
      ...                    {"word": "b", "end": 2.0}]}, 1)
      {'start': 0.0, 'end': 0.5, 'words': [{'word': 'a', 'end': 0.5}], 'text': 'a'}
    """
    kept, text, end = _first_words(segment, n_words) if n_words else ([], "", segment["start"])
    cut = {**segment, "words": kept, "text": text, "end": end}
    for key in dropped:
        cut.pop(key, None)
    return cut


def _first_words(segment: dict[str, Any], n_words: int) -> tuple[list[Any], str, Seconds]:
    """Return the words that end first, in their order in the list, with their text and the last one's end."""
    words, ends = segment["words"], word_ends(segment)
    ordered = sorted(ends)
    latest = ordered[n_words - 1]
    # words are nearly always in order of their ends
    if ends == ordered:
        n_kept = bisect_right(ends, latest)
        kept, end = words[:n_kept], ends[n_kept - 1]
    else:
        at = [position for position, end in enumerate(ends) if end <= latest]
        kept, end = [words[position] for position in at], ends[at[-1]]
    try:
        text = " ".join([word["word"] for word in kept if word.get("word")])
    except (AttributeError, TypeError):  # words that are numbers, or no objects
        text = " ".join(filter(None, map(_text_of, kept)))
    return kept, text, end


def _text_of(word: Any) -> str:
    text = word.get("word") if isinstance(word, dict) else word
    return str(text) if isinstance(text, (str, int, float)) else ""


def build_training_windows(entry: dict[str, Any], rules: WindowRules) -> dict[str, Any]:
    """Build the training windows of one entry, as the reference's builder returns them.

    Args:
      entry: one manifest row; never changed.
      rules: the conditions for a window.

    Returns:
      The entry without the dropped keys, with `windows`, `stats` and `truncation_events`.

    Raises:
      EntryError: the entry lacks what the rules need; a row to put aside.

    Example:
      >>> talk = {"audio_filepath": "a.wav", "audio_sample_rate": 16000, "segments": [
      ...     {"start": 0.0, "end": 5.0, "speaker": "a", "metrics": {"bandwidth": 8000}},
      ...     {"start": 5.0, "end": 10.0, "speaker": "b", "metrics": {"bandwidth": 8000}}]}
      >>> built = build_training_windows(talk, WindowRules(target_window_duration=10.0))
      >>> len(built["windows"]), built["windows"][0]["speaker_durations"]
      (1, [5.0, 5.0, 0.0, 0.0, 0.0])
    """
    checked = Entry.from_fields(entry, strict=rules.strict)
    plan = plan_entry(checked, rules)
    check_row_size(checked, plan, rules.drop_fields, DEFAULT_LIMIT)
    made: dict[str, Any] = {
        "windows": [
            {"segments": segments_of(checked, rules, *window), "speaker_durations": durations}
            for *window, durations in zip(plan.firsts, plan.stops, plan.cuts, plan.speaker_durations, strict=True)
        ],
        "stats": {**stats_of(checked, plan), "lost_win_full_data": _lost_windows(checked, plan, rules)},
        "truncation_events": plan.truncation_events,
    }
    if checked.bad_segments:
        made[BAD_SEGMENTS_KEY] = checked.bad_segments
    if plan.low_sample_rate:
        return {"audio_filepath": entry["audio_filepath"], **made}
    return {key: value for key, value in entry.items() if key not in rules.drop_fields_top_level} | made


def segments_of(entry: Entry, rules: WindowRules, first: int, stop: int, cut: int) -> list[dict[str, Any]]:
    """Return copies of the segments of one planned window, without the dropped keys."""
    chosen = entry.segments[first:stop]
    if cut != NOT_CUT:
        chosen.append(truncated_segment(entry.segments[stop], cut))
    return [without(segment, rules.drop_fields) for segment in chosen]


def without(fields: dict[str, Any], dropped: tuple[str, ...]) -> dict[str, Any]:
    """Return a copy of an object without some keys."""
    kept = fields.copy()
    for key in dropped:
        kept.pop(key, None)
    return kept


def stats_of(entry: Entry, plan: WindowPlan) -> dict[str, Any]:
    """Return the reference's `stats` object, all but its last key `lost_win_full_data`."""
    return {
        "total_segments": len(entry.segments),
        "total_dur": plan.total_dur,
        "swift_path": entry.fields.get("swift_audio_filepath", ""),
        "audio_sample_rate": entry.sample_rate,
        **{name: getattr(plan.counts, name) for name in _LOSS_NAMES},
    }


def _lost_windows(entry: Entry, plan: WindowPlan, rules: WindowRules) -> list[dict[str, Any]]:
    return [
        {
            "index": entry.positions[first],
            "window_segs": segments_of(entry, rules, first, stop, cut),
            "next_seg": without(entry.segments[following], rules.drop_fields),
            "prev_seg": without(entry.segments[max(first - 1, 0)], rules.drop_fields),
        }
        for first, stop, cut, following in plan.losses
    ]
