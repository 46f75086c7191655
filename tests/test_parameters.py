"""What options may be, by the types of the parameters that they become."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

from suites.parameters import (
    Count,
    Discount,
    Finite,
    Limit,
    Natural,
    NonNegative,
    OneOf,
    Positive,
    Range,
    Share,
    checked,
)

SMALL = Annotated[int, Range(2, 9)]
OPEN = Annotated[float, Range(0.0, 1.0, below=True)]
NAMED = Annotated[float, Range(0, told="a length in metres")]

# A kind, values that it takes, values that it does not, and what is told of these.
CASES: list[tuple[Any, list[Any], list[Any], str]] = [
    (int, [-3, 0, 7, np.int64(3)], [0.5, 2.0, True, "3", None, math.nan], "a whole number"),
    (float, [-3, 0.5, math.inf, np.float32(1)], [True, "3", None, math.nan], "a number"),
    (bool, [True, False], [0, 1, "true", None], "true or false"),
    (dict[str, Any], [{}, {"a": 1}], [5, None, "off", [1]], "keys and values"),
    (Count, [1, 10**9], [0, -1, 1.0, True, None], "a whole number of at least 1"),
    (Natural, [0, 1], [-1, 0.5, False], "a whole number of at least 0"),
    (Positive, [1e-9, 3], [0, -0.1, math.inf, math.nan, "x"], "a number above 0"),
    (NonNegative, [0, 0.0, 3], [-1e-9, math.inf, math.nan], "a number of at least 0"),
    (Limit, [0.5, math.inf], [0, -math.inf, math.nan], "a number above 0"),
    (Share, [0, 0.5, 1], [-0.1, 1.1, True], "a number from 0.0 to 1.0"),
    (Discount, [0.01, 1], [0, 1.01], "a number above 0, up to 1"),
    (SMALL, [2, 9], [1, 10, 2.5], "a whole number from 2 to 9"),
    (OPEN, [0.0, 0.99], [-0.1, 1, 1.0], "a number from 0.0 to below 1.0"),
    (Finite, [-3, 0.5], [math.inf, -math.inf, math.nan], "a number that is finite"),
    (NAMED, [0.0], [-1], "a length in metres"),
    (Count | None, [None, 3], [0, "x"], "a whole number of at least 1, or null"),  # pyright: ignore
    (float | None, [None, 3.5], ["x", False], "a number, or null"),
    (tuple[Count, Count], [(1, 2), [3, 4]], [[1], [1, 2, 3], [0, 1], 3, "12", None], "a list of 2"),
]


@pytest.mark.parametrize(("kind", "right", "wrong", "told"), CASES)
def test_kinds(kind, right, wrong, told):
    def make(option):
        return option

    make.__annotations__["option"] = kind
    make = checked("learner")(make)
    for value in right:
        assert make(value) is value
        assert make(option=value) is value
    for value in wrong:
        for refuse in (lambda value=value: make(value), lambda value=value: make(option=value)):
            with pytest.raises(ValueError, match="learner") as error:
                refuse()
            assert str(error.value).startswith(f"learner.option is {value!r}: give {told}")


@pytest.mark.parametrize("value", ["cem", None, ["icem"], 3])
def test_words_are_told(value):
    @checked("planner")
    def make(optimizer: Annotated[str, OneOf({"icem": 1, "mppi": 2})]) -> str:
        return optimizer

    assert make("mppi") == "mppi"
    with pytest.raises(ValueError, match="planner") as error:
        make(value)
    assert str(error.value) == f"planner.optimizer is '{value}': choose one of icem, mppi"


def test_a_whole_number_that_is_written_as_another():
    @checked("learner")
    def make(capacity: Count) -> int:
        return capacity

    with pytest.raises(ValueError, match=r"is 1000000\.0: give .* of at least 1, written 1000000$"):
        make(1e6)  # pyright: ignore
    with pytest.raises(ValueError, match=r"is 0\.0: give a whole number of at least 1$"):
        make(0.0)  # pyright: ignore
    with pytest.raises(ValueError, match=r"is inf: give a whole number of at least 1$"):
        make(math.inf)  # pyright: ignore


def test_dataclasses_are_checked_where_they_are_decorated():
    @checked("world_model.imagine")
    @dataclass(frozen=True)
    class Imagine:
        real: Share = 0.5
        keep: Count = 1

    assert Imagine(0.25, keep=2) == Imagine(0.25, 2)
    with pytest.raises(ValueError, match=r"^world_model\.imagine\.keep is 0: give a whole number"):
        Imagine(keep=0)
    with pytest.raises(ValueError, match=r"^world_model\.imagine\.real is 2: give a number from"):
        Imagine(2)


def test_what_says_nothing_is_not_checked_and_missing_arguments_are_told_as_ever():
    @checked("planner")
    def make(spec: Any, either: int | str, budget: Count, *rest: Any, **more: Any) -> Any:
        return spec, either, budget, rest, more

    assert make(None, "x", 3, "y", z=None) == (None, "x", 3, ("y",), {"z": None})
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'budget'"):
        make(None, 2)  # pyright: ignore
