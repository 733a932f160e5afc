"""Counts what a reader of the house would stumble over: `python tools/count_house.py`; `--names` lists what is counted.

It reads the source alone, and imports nothing of it.

An option is stated where a class declares a field by `option(…)`, which gives it a default and a text, and where a
public signature gives a parameter of its name a value as default: that of a transform, a step of Beam YAML, or a
function that a module lists in `__all__`. It counts if it is stated in a signature as well as in a class, or in two
classes with the same default. These state nothing: `same_option(…)`, which refers to a class; a default None, which
leaves it to the class; an object of options as default; a parameter of an internal function that happens to share a
name. Two classes with different defaults (`mono` of clips and of recordings that are heard) have two options under one
word. Handlers of models are no transforms, and their parameters are not counted.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "beam_curator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A file of the package: its path below it, its text and what that parses to."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder that it lies in, two levels down in the floors of Beam and of the command line."""
        depth = 2 if self.path.parts[0] in ("transforms", "runners") else 1
        return "/".join(self.path.parts[:-1][:depth]) or "."


def modules_of(package: Path) -> list[Module]:
    """Return the modules of a package, by path."""
    texts = {path.relative_to(package): path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))}
    return [Module(path=path, text=text, tree=ast.parse(text)) for path, text in texts.items()]


def lines_by_room(modules: Sequence[Module]) -> Counter[str]:
    """Count the lines of each room."""
    lines: Counter[str] = Counter()
    for module in modules:
        lines[module.room] += len(module.text.splitlines())
    return lines


def without_beam(modules: Sequence[Module]) -> list[str]:
    """Return the modules of the floor of Beam that import nothing of Beam."""
    return [
        str(module.path)
        for module in modules
        if module.path.parts[0] == "transforms" and module.path.name != "__init__.py"
        if not any(name.split(".")[0] == "apache_beam" for name in imported(module.tree))
    ]


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the names of the modules that are imported, anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def same_names(modules: Sequence[Module]) -> list[str]:
    """Return the file names that occur more than once, with their number.

    A pure room and `transforms/` may share one, where they are a pair: the function and the transform around it.
    """
    floors: dict[str, list[str]] = defaultdict(list)
    for module in modules:
        if module.path.name != "__init__.py":
            floors[module.path.name].append(module.path.parts[0])
    return [
        f"{name} {len(rooms)} times" for name, rooms in sorted(floors.items()) if len(rooms) > 1 and not is_pair(rooms)
    ]


def is_pair(rooms: Sequence[str]) -> bool:
    """Tell whether two files of one name are a pair."""
    others = [room for room in rooms if room != "transforms"]
    return len(rooms) == 2 and len(others) == 1 and others[0] not in ("files", "models", "runners")


def untyped_transforms(modules: Sequence[Module]) -> list[str]:
    """Return the public transforms that take or give Any, or do not say what."""
    return [
        f"{module.path}:{node.name}"
        for module, node in public_transforms(modules)
        if any(_is_untyped(ast.unparse(base)) for base in node.bases)
    ]


def public_transforms(modules: Sequence[Module]) -> Iterator[tuple[Module, ast.ClassDef]]:
    """Yield the classes with public names that are transforms."""
    for module in modules:
        for node in module.tree.body:
            is_public = isinstance(node, ast.ClassDef) and not node.name.startswith("_")
            if is_public and any("PTransform" in ast.unparse(base) for base in node.bases):
                yield module, node


def _is_untyped(base: str) -> bool:
    return "PTransform" in base and ("Any" in base or "[" not in base)


def repeated_options(modules: Sequence[Module]) -> list[str]:
    """Return the options that are stated in more than one place, with the places."""
    classes, signatures = options_of_classes(modules), defaults_of_signatures(modules)
    found = []
    for name, stated in sorted(classes.items()):
        places = {place for place, default in stated if sum(default == other for _, other in stated) > 1}
        if name in signatures:
            places |= {place for place, _ in stated} | signatures[name]
        if places:
            found.append(f"{name}: {', '.join(sorted(places))}")
    return found


def options_of_classes(modules: Sequence[Module]) -> dict[str, list[tuple[str, str]]]:
    """Return the options that classes declare by `option(…)`: for each name the places and their defaults."""
    stated: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for module in modules:
        for node in module.tree.body:
            for item in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(item, ast.AnnAssign) and isinstance(item.value, ast.Call):
                    name, call = ast.unparse(item.target), item.value
                    if ast.unparse(call.func) == "option":
                        stated[name].append((f"{module.path}:{node.name}", ast.unparse(call.args[0])))
    return stated


def defaults_of_signatures(modules: Sequence[Module]) -> dict[str, set[str]]:
    """Return the parameters to which public signatures give values as defaults, and where."""
    signatures = [
        (f"{module.path}:{node.name}", item)
        for module, node in public_transforms(modules)
        for item in node.body
        if isinstance(item, ast.FunctionDef) and item.name == "__init__"
    ]
    named = {name for module in modules for name in exported(module.tree)}
    signatures += [
        (f"{module.path}:{node.name}", node)
        for module in modules
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef) and node.name in named
    ]
    places: dict[str, set[str]] = defaultdict(set)
    for place, function in signatures:
        for name in defaults_of(function):
            places[name].add(place)
    return places


def exported(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module lists in `__all__`, as texts."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            texts = [item for item in ast.walk(node.value) if isinstance(item, ast.Constant)]
            yield from (str(item.value) for item in texts)


def defaults_of(function: ast.FunctionDef) -> Iterator[str]:
    """Yield the names of parameters whose default is a value: neither None nor an object made in its place."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    first = len(positional) - len(given.defaults)
    pairs = [
        *zip(positional[first:], given.defaults, strict=True),
        *zip(given.kwonlyargs, given.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        is_none = default is None or (isinstance(default, ast.Constant) and default.value is None)
        if not is_none and not isinstance(default, ast.Call):
            yield argument.arg


def first_lines_with_what(modules: Sequence[Module]) -> tuple[list[str], int]:
    """Return the first lines of docstrings with a "what" clause, and how many first lines there are."""
    first_lines = [
        (f"{module.path}:{getattr(node, 'name', '')}", (ast.get_docstring(node) or "").partition("\n")[0])
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
    ]
    found = [f"{place}: {line}" for place, line in first_lines if "what" in line.lower().split()]
    return found, len(first_lines)


def report(modules: Sequence[Module]) -> Mapping[str, Sequence[str]]:
    """Return what is counted, by what it is."""
    return {
        "modules of transforms/ without Beam": without_beam(modules),
        "file names that occur more than once, pairs aside": same_names(modules),
        "public transforms with Any": untyped_transforms(modules),
        "options that are stated more than once": repeated_options(modules),
        'first lines with a "what" clause': first_lines_with_what(modules)[0],
    }


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", action="store_true", help="list what is counted")
    show_names = parser.parse_args().names
    modules = modules_of(PACKAGE)
    lines = lines_by_room(modules)
    for room, count in sorted(lines.items()):
        print(f"{count:6,} lines in {room}")
    print(f"{sum(lines.values()):6,} lines in {len(modules)} modules")
    print(f"{sum(1 for _ in public_transforms(modules)):6,} public transforms")
    print(f"{first_lines_with_what(modules)[1]:6,} first lines of docstrings")
    for what, names in report(modules).items():
        print(f"{len(names):6,} {what}")
        for name in names if show_names else ():
            print(f"         {name}")


if __name__ == "__main__":
    main()
