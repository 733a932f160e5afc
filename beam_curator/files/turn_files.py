"""Files of turns among those that an input means, told by their names, and label tracks by their beginnings."""

from collections import Counter

from beam_curator.files import storage
from beam_curator.files.searching import NoInputError, ending_of
from beam_curator.formats.audacity import looks_like_labels
from beam_curator.formats.registry import FORMATS, LABELS, format_of
from beam_curator.sets.blocks import Form, InputFile

_HEAD_BYTES = 4096


class SeveralFormatsError(NoInputError):
    """An input that holds turns in several formats."""


def form_of(name: str) -> Form:
    """Return the form of the files of a format of turns."""
    return "annotated_file" if FORMATS[name].read_fields is None else "annotated_lines"


def holds_labels(name: str) -> bool:
    """Tell whether a file begins as a label track does; one that cannot be read does not."""
    try:
        with storage.open_text(name) as stream:
            head = stream.read(_HEAD_BYTES)
    except (OSError, *storage.DAMAGED):
        return False
    return looks_like_labels(
        head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")
    )


def of_one_kind(
    given: str, files: list[InputFile], left_out: Counter[str], *, beside_manifests: bool
) -> list[InputFile]:
    """Leave out files of turns beside manifests, and those without speakers beside others.

    Args:
      given: the input.
      files: that it means.
      left_out: is given the number of files that are left out, by ending.
      beside_manifests: files of no format of turns are manifests.

    Raises:
      NoInputError: there are turns in several formats, which may be the same.
    """
    if any(file.name in (given, given.rstrip("/"), storage.as_on_disk(given)) for file in files):
        return files
    by_format = _by_format(given, files)
    speaking = [name for name in by_format if name and "speaker" in FORMATS[name].holds]
    chosen = speaking or list(by_format)
    if "" in by_format and beside_manifests:
        chosen = [""]
    elif len(speaking) > 1:
        found = ", ".join(f"{len(by_format[name])} {FORMATS[name].ending}" for name in sorted(speaking))
        raise SeveralFormatsError(
            f"{given} holds turns in several formats ({found}), which may be the same: name those of one, such as "
            f"'{given.rstrip('/')}/*{FORMATS[speaking[0]].ending}'"
        )
    kept = {file.place: file for name in chosen for file in by_format[name]}
    left_out.update(ending_of(file.name) for file in files if file.place not in kept)
    return [file for file in files if file.place in kept]


def _by_format(given: str, files: list[InputFile]) -> dict[str, list[InputFile]]:
    """Group files by the format of their turns; those of no format are under "".

    Of `.txt` files those with labels are taken, or all if a glob asks for them and none has any; none is looked into if
    there are other files.
    """
    found: dict[str, list[InputFile]] = {}
    for file in files:
        of = format_of(file.name)
        found.setdefault(of.name if of is not None else "", []).append(file)
    texts, are_asked_for = found.pop(LABELS, []), given.lower().endswith(FORMATS[LABELS].ending)
    labels = [file for file in texts if holds_labels(file.name)] if are_asked_for or not found else []
    if labels or are_asked_for:
        found.setdefault(LABELS if labels else "", []).extend(labels or texts)
    return found
