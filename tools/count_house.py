"""Counts what a reader of the house would stumble over: `python tools/count_house.py`; `--names` lists what is counted.

It reads the source alone, and imports nothing of it.
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
    """Return the file names that occur more than once, with their number."""
    names = Counter(module.path.name for module in modules if module.path.name != "__init__.py")
    return [f"{name} {count} times" for name, count in sorted(names.items()) if count > 1]


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
    """Return the options whose default is stated in more than one place: in a class, or in a signature."""
    places: dict[str, set[str]] = defaultdict(set)
    options = set(option_fields(modules))
    for module in modules:
        for node in ast.walk(module.tree):
            for name in defaults_of(node) & options:
                places[name].add(f"{module.path}:{getattr(node, 'name', '')}")
    return [f"{name}: {', '.join(sorted(found))}" for name, found in sorted(places.items()) if len(found) > 1]


def option_fields(modules: Sequence[Module]) -> Iterator[str]:
    """Yield the names of fields that are declared by `option(…)`."""
    for module in modules:
        for node in ast.walk(module.tree):
            is_call = isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call)
            if is_call and ast.unparse(node.value.func) == "option":
                yield ast.unparse(node.target)


def defaults_of(node: ast.AST) -> set[str]:
    """Return the names to which a class or a signature gives defaults."""
    if isinstance(node, ast.ClassDef):
        fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and item.value is not None]
        return {item.target.id for item in fields if isinstance(item.target, ast.Name)}
    if not isinstance(node, ast.FunctionDef):
        return set()
    arguments = node.args
    given = {
        argument.arg
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    }
    return given | {argument.arg for argument in arguments.args[len(arguments.args) - len(arguments.defaults) :]}


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
        "file names that occur more than once": same_names(modules),
        "public transforms with Any": untyped_transforms(modules),
        "options whose default is stated more than once": repeated_options(modules),
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
