"""The house is counted as the tool says that it is, and states each option once."""

import ast
from pathlib import Path

from tools.count_house import PACKAGE, Module, modules_of, repeated_options

SHOES = """
class Shoes:
    size: int = option(42, "EU")
    laces: float = option(1.5, "metres", flag="laces")
    colour: str = option("red", "any")

class Boots:
    size: int = option(44, "EU: another option under the same word")
    laces: float = option(1.5, "metres")
    colour: str = same_option(Shoes, "colour")
"""
STEPS = """
__all__ = ["walk"]

class Walk(beam.PTransform[A, B]):
    def __init__(self, *, shoes: Shoes = Shoes(), colour: str | None = None, size: int) -> None: ...

def walk(size: int = 42, *, laces: float | None = None) -> None: ...

def inner(colour: str = "red") -> None: ...
"""


def module(name: str, text: str) -> Module:
    return Module(path=Path(name), text=text, tree=ast.parse(text))


def test_an_option_counts_where_classes_state_the_same_default_or_a_public_signature_states_one() -> None:
    assert repeated_options([module("shoes.py", SHOES), module("steps.py", STEPS)]) == [
        "laces: shoes.py:Boots, shoes.py:Shoes",
        "size: shoes.py:Boots, shoes.py:Shoes, steps.py:walk",
    ]


def test_the_house_states_each_option_once() -> None:
    assert repeated_options(modules_of(PACKAGE)) == []
