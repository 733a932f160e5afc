"""Names of options: flat, in signatures, and before they were renamed."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import warnings
from typing import Any, Literal, Optional

import pytest

from beam_curator.clips.cut_rules import CutRules
from beam_curator.diarization.diarize_rules import DiarizeRules
from beam_curator.option_names import (
    FlatOptions,
    accepts_former_names,
    flat_name,
    former_names,
    is_optional,
    plain_type,
    takes_presets,
    under_present_names,
    values_of_presets,
)
from beam_curator.rules import config_of, option, option_problems, raise_problems
from beam_curator.runners.job_options import JOBS
from beam_curator.separation.separate_rules import SeparateRules

Kind = Literal["red", "blue"]


@accepts_former_names
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """Paint."""

    colour: Kind = option("red", "the colour", flag="paint-colour", choices=("red", "blue"), formerly="color")
    layers: int | None = option(None, "how many")
    rooms: tuple[str, ...] = option(("hall",), "which rooms")

    def __post_init__(self) -> None:
        raise_problems("paint", [] if self.layers != 0 else ["layers 0 paints nothing: raise it"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Brush:
    """A brush."""

    width: float = option(2.5, "centimetres")
    wet: bool = option(True, "dip it")


PAINTING = FlatOptions(Paint, Brush, left_out=("wet",))
DRY = FlatOptions(Paint, Brush, fixed={"wet": False})


@PAINTING.in_signature
class Painter:
    """Paint a house.

    Args:
      house: which.
      ladder: if one is there.

    Returns:
      The house.
    """

    def __init__(self, house: str, *, ladder: bool = False, **options: Any) -> None:
        self.house, self.ladder, self.chosen = house, ladder, PAINTING.chosen(options)


def test_types_of_options_are_plain() -> None:
    kinds = {"a": float | None, "b": Kind, "c": Kind | None, "d": tuple[str, ...], "e": int}
    assert [plain_type(kind) for kind in kinds.values()] == [float, str, str, tuple[str, ...], int]
    assert [is_optional(kind) for kind in kinds.values()] == [True, False, True, False, False]


def test_a_flat_name_is_that_of_the_flag() -> None:
    assert [flat_name(field) for field in dataclasses.fields(Paint)] == ["paint_colour", "layers", "rooms"]


class TestFormerNames:
    def test_work_with_a_warning_that_names_the_present_one(self) -> None:
        with pytest.warns(DeprecationWarning, match="^color is now called colour$") as caught:
            made = Paint(color="blue")  # type: ignore[call-arg]  # the former name
        assert made == Paint(colour="blue")
        assert caught[0].filename == __file__

    def test_present_names_warn_of_nothing(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert dataclasses.replace(Paint(colour="blue"), layers=2) == Paint(colour="blue", layers=2)
            assert pickle.loads(pickle.dumps(CutRules(audio_filepath_key="wav"))).audio_filepath_key == "wav"

    def test_beside_present_ones_are_refused(self) -> None:
        with pytest.raises(ValueError, match="color and colour are one option, and color is its former name: leave"):
            Paint(color="blue", colour="blue")  # type: ignore[call-arg]

    def test_unknown_names_are_errors_as_ever(self) -> None:
        with pytest.raises(TypeError, match="unexpected keyword argument 'tint'"):
            Paint(tint="blue")  # type: ignore[call-arg]

    def test_the_signature_has_present_names_alone(self) -> None:
        assert list(inspect.signature(Paint).parameters) == ["colour", "layers", "rooms"]

    def test_are_told_one_by_one(self) -> None:
        told: list[tuple[str, str]] = []
        given = under_present_names(Paint, {"layers": 1, "color": "red"}, lambda *names: told.append(names))
        assert (given, told) == ({"layers": 1, "colour": "red"}, [("color", "colour")])

    def test_of_the_key_that_names_a_recording(self) -> None:
        assert former_names(CutRules) == {"audio_key": "audio_filepath_key"}
        assert former_names(SeparateRules) == {"filepath_key": "audio_filepath_key"}
        assert former_names(DiarizeRules) == {"filepath_key": "audio_filepath_key", "mono": "channels"}
        for rules in (DiarizeRules, SeparateRules):
            with pytest.warns(DeprecationWarning, match="filepath_key is now called audio_filepath_key"):
                assert rules(**{"filepath_key": "wav"}) == rules(audio_filepath_key="wav")

    def test_every_class_that_has_some_accepts_them(self) -> None:
        kinds = {kind for job in JOBS.values() for kind in job.sections.values() if former_names(kind)}
        assert {kind.__name__ for kind in kinds} == {"CutRules", "DiarizeRules", "SeparateRules"}
        assert all(hasattr(kind.__init__, "__wrapped__") for kind in kinds)


class TestFlatOptions:
    def test_make_each_class_of_its_own_arguments(self) -> None:
        chosen = PAINTING.chosen({"width": 4, "paint_colour": "blue", "rooms": ["attic", "hall"]})
        assert chosen[Paint] == Paint(colour="blue", rooms=("attic", "hall"))
        assert chosen[Brush] == Brush(width=4)

    def test_what_is_not_given_stays_at_its_default(self) -> None:
        chosen = PAINTING.chosen({})
        assert (chosen[Paint], chosen[Brush]) == (Paint(), Brush())

    def test_a_fixed_value_is_no_argument(self) -> None:
        assert DRY.chosen({"width": 1})[Brush] == Brush(width=1, wet=False)
        for options in (DRY, PAINTING):
            with pytest.raises(TypeError, match="unexpected keyword argument 'wet'"):
                options.chosen({"wet": True})

    @pytest.mark.parametrize("name", ["tint", "colour", "self"])
    def test_unknown_arguments_are_type_errors(self, name: str) -> None:
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            PAINTING.chosen({"layers": 1, name: 1})

    def test_options_check_themselves(self) -> None:
        with pytest.raises(ValueError, match="paint: layers 0 paints nothing: raise it"):
            PAINTING.chosen({"layers": 0})

    def test_former_names_work_with_a_warning(self) -> None:
        with pytest.warns(DeprecationWarning, match="color is now called colour"):
            assert PAINTING.chosen({"color": "blue"})[Paint] == Paint(colour="blue")


class TestSignature:
    def test_shows_options_behind_what_comes_first(self) -> None:
        shown = inspect.signature(Painter.__init__)
        assert str(shown.replace(return_annotation=inspect.Signature.empty)).replace("'", "") == (
            "(self, house: str, *, paint_colour: str = red, layers: Optional[int] = None, "
            "rooms: tuple[str, ...] = (hall,), width: float = 2.5, ladder: bool = False)"
        )
        assert shown.parameters["layers"].annotation == Optional[int]  # noqa: UP045

    def test_docs_have_a_line_for_each(self) -> None:
        assert Painter.__doc__ == (
            "Paint a house.\n\nArgs:\n  house: which.\n  ladder: if one is there.\n  paint_colour: the colour\n"
            "  layers: how many\n  rooms: which rooms\n  width: centimetres\n\nReturns:\n  The house."
        )

    def test_is_what_the_class_takes(self) -> None:
        made = Painter("ours", width=3.0, ladder=True)
        assert (made.house, made.ladder, made.chosen[Brush].width) == ("ours", True, 3.0)
        with pytest.raises(TypeError, match="unexpected keyword argument 'roller'"):
            Painter("ours", roller=1)


@takes_presets
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Oven:
    """An oven."""

    dish: str | None = option(None, "decides the others", presets={"cake": {"heat": 180.0}, "pizza": {"heat": 250.0}})
    heat: float = option(200.0, "degrees")

    def __post_init__(self) -> None:
        raise_problems("oven", option_problems(self))


class TestPresets:
    def test_decide_what_is_not_given(self) -> None:
        assert [Oven().heat, Oven(dish="pizza").heat, Oven(dish="pizza", heat=200.0).heat] == [200.0, 250.0, 200.0]
        assert values_of_presets(Oven, {"dish": "cake"}) == {"heat": ("cake", 180.0)}
        assert values_of_presets(Oven, {"dish": "cake", "heat": 9.0}) == values_of_presets(Oven, {}) == {}

    def test_are_the_values_that_they_stand_for(self) -> None:
        assert (Oven(dish="cake"), config_of(Oven(dish="cake"))) == (Oven(heat=180.0), {"heat": 180.0})
        changed = dataclasses.replace(pickle.loads(pickle.dumps(Oven(dish="cake"))), heat=150.0)
        assert (changed.dish, changed.heat) == ("cake", 150.0)

    @pytest.mark.parametrize("dish", ["soup", 3, ["cake"]])
    def test_of_other_names_are_refused(self, dish: Any) -> None:
        with pytest.raises(ValueError, match=r"oven: dish .* is not known: use one of cake, pizza"):
            Oven(dish=dish)

    def test_are_flat_options(self) -> None:
        assert FlatOptions(Oven).chosen({"dish": "pizza"})[Oven].heat == 250.0
