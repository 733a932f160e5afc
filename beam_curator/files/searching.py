"""Searching for files: in directory trees, by globs, and below the beginning of a name in a store."""

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache

from beam_curator.failures import readable_name
from beam_curator.files import object_stores, set_layers, storage
from beam_curator.files.replacing import is_output_set
from beam_curator.files.store_objects import Found
from beam_curator.sets.blocks import InputFile
from beam_curator.sets.output_set import KEPT_FOLDER, MANIFEST_NAME, RUN_NAME

GLOB_CHARACTERS = frozenset("*?[")

_OURS = frozenset({MANIFEST_NAME, RUN_NAME})
_KEPT = f"/{KEPT_FOLDER}/"
HIDDEN, NO_FILE, NOT_UTF8 = "hidden", "no regular file", "not UTF-8 in the name"
LOOP, UNREADABLE = "link that leads back", "folder that cannot be read"


class NoInputError(ValueError):
    """An input that names nothing."""


def is_glob(given: str) -> bool:
    """Tell whether an input is a pattern: it has the characters of one, and nothing has it for its name."""
    if not GLOB_CHARACTERS & set(given):
        return False
    if not storage.is_remote(given):
        return not os.path.lexists(given)
    path = given.rstrip("/")
    return object_stores.find(set_layers.located(path)) is None and not object_stores.has_objects(path + "/")


def ending_of(name: str) -> str:
    """Return the ending of a file's name, in lower case.

    Example:
      >>> ending_of("a/b.tar.GZ"), ending_of("a.b/README")
      ('.gz', 'without an ending')
    """
    return os.path.splitext(name)[1].lower() or "without an ending"


def file_of(name: str) -> InputFile:
    """Describe a file that is named; a broken link counts as one byte, and reading it fails."""
    if storage.is_remote(name):
        found = object_stores.find(set_layers.located(name))
        return remote_file(name, found) if found is not None else InputFile(name=name, size=1, place=name)
    return _local_file(name, os.path.realpath(name))


def remote_file(path: str, found: Found) -> InputFile:
    """Describe an object of a list."""
    return InputFile(name=path, size=found.n_bytes, changed=storage.fingerprint(found), place=path)


def _local_file(name: str, place: str) -> InputFile:
    try:
        status = os.stat(name)
    except OSError:
        return InputFile(name=name, size=1, place=place)
    return InputFile(name=name, size=status.st_size, changed=storage.fingerprint(status), place=place)


def _is_folder(item: "os.DirEntry[str]") -> bool:
    # of an entry that is no link the directory itself says; one of a loop of links would raise
    return os.path.isdir(item.path) if item.is_symlink() else item.is_dir()


def _is_below_hidden(relative: str) -> bool:
    return any(part.startswith(".") for part in relative.split("/"))


def _slashes(path: str) -> list[int]:
    return [place for place, letter in enumerate(path) if letter == "/"]


class Search:
    """Finds files by their endings, and counts by ending those that it leaves out.

    Names that begin with a dot are left out, and the records of output sets.

    Args:
      extensions: endings of names, in lower case.
      is_set: tells whether a local directory is an output set, which is found as a whole.

    Attributes:
      left_out: number of files by ending, or by the reason where it is another one.
    """

    def __init__(self, extensions: tuple[str, ...], is_set: Callable[[str], bool] = is_output_set) -> None:
        self._extensions = extensions
        self._is_set = is_set
        self.left_out: Counter[str] = Counter()

    def takes(self, name: str) -> bool:
        """Tell whether a file is looked for; one that is not is counted."""
        if name.startswith("."):
            self.left_out[HIDDEN] += 1
        elif name in _OURS:
            return False
        elif name.lower().endswith(self._extensions):
            return True
        else:
            self.left_out[ending_of(name)] += 1
        return False

    def local(self, directory: str) -> Iterator[InputFile | str]:
        """Yield the files below a local directory in order of their names; of an output set, its directory alone."""
        place = os.path.realpath(directory)
        yield from self._below(directory, place, (place,))

    def _below(self, directory: str, place: str, above: tuple[str, ...]) -> Iterator[InputFile | str]:
        if self._is_set(directory):
            yield directory
            return
        with os.scandir(directory) as items:
            entries = sorted(items, key=lambda item: item.name)
        for item in entries:
            if readable_name(item.name) != item.name:
                self.left_out[NOT_UTF8] += 1
            elif _is_folder(item) and not item.name.startswith("."):
                yield from self._folder(item, place, above)
            elif self.takes(item.name):
                yield from self._file(item, place)

    def _folder(self, item: "os.DirEntry[str]", parent: str, above: tuple[str, ...]) -> Iterator[InputFile | str]:
        # of two paths to a folder each has its files, which are listed twice; one to itself would have no end
        place = os.path.realpath(item.path) if item.is_symlink() else os.path.join(parent, item.name)
        if place in above:
            self.left_out[LOOP] += 1
            return
        try:
            os.scandir(item.path).close()
        except OSError:
            self.left_out[UNREADABLE] += 1
            return
        yield from self._below(item.path, place, (*above, place))

    def _file(self, item: "os.DirEntry[str]", parent: str) -> Iterator[InputFile]:
        is_link = item.is_symlink()
        # a broken link is listed: its row fails and says so
        is_file = not os.path.exists(item.path) or os.path.isfile(item.path) if is_link else item.is_file()
        if not is_file:
            self.left_out[NO_FILE] += 1
            return
        yield _local_file(item.path, os.path.realpath(item.path) if is_link else os.path.join(parent, item.name))

    def matches(self, pattern: str) -> Iterator[InputFile | str]:
        """Yield the files that a local glob matches, and those below the directories that it matches."""
        real = cache(os.path.realpath)
        for match in sorted(glob.glob(pattern, recursive=True)):
            if readable_name(match) != match:
                self.left_out[NOT_UTF8] += 1
            elif os.path.isdir(match):
                yield from self.local(match)
            elif os.path.exists(match) and not stat.S_ISREG(os.stat(match).st_mode):
                self.left_out[NO_FILE] += 1
            elif os.path.islink(match):
                yield file_of(match)
            else:
                folder, name = os.path.split(match)
                yield _local_file(match, os.path.join(real(folder), name))

    def objects(self, prefix: str) -> Iterator[InputFile | str]:
        """Yield the objects below a prefix that ends in a slash, as `local` does files."""
        listed = [of for of in set_layers.list_located(prefix) if _KEPT not in of[0]]
        shown = [(path, found) for path, found in listed if not _is_below_hidden(path[len(prefix) :])]
        self.left_out.update([HIDDEN] * (len(listed) - len(shown)))
        sets = {path.rpartition("/")[0] for path, _ in shown if path.endswith(f"/{MANIFEST_NAME}")}
        yield from sets
        for path, found in shown:
            inside = sets and any(path[:place] in sets for place in _slashes(path))
            if not inside and not path.endswith("/") and self.takes(path.rpartition("/")[2]):
                yield remote_file(path, found)


def remote_matches(pattern: str) -> Iterator[InputFile]:
    """Yield the objects that a glob matches, as Beam has it: `*` ends at a slash, `**` does not."""
    from apache_beam.io.filesystem import FileSystem

    matching = re.compile(FileSystem.translate_pattern(pattern))
    beginning = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    for path, found in set_layers.list_located(beginning):
        if matching.match(path):
            yield remote_file(path, found)
