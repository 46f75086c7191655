"""What the options of an agent's parts may be, said by the types of their parameters.

`@checked("learner")` on a constructor whose parameter is `batch: Count` refuses
`learner.batch=0` in one line, before anything is made of it.
"""

import inspect
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

FINITE = sys.float_info.max


@dataclass(frozen=True)
class Range:
    """The numbers from `least`, or with `above` those above it, to `most`.

    Attributes:
      told: What they are called in an error; None: by their bounds.
    """

    least: float
    most: float = FINITE
    above: bool = False
    told: str | None = None

    def __contains__(self, value: Any) -> bool:
        return self.least <= value <= self.most and not (self.above and value == self.least)

    def __str__(self) -> str:
        if self.most < FINITE:
            joined = ("above", ", up to") if self.above else ("from", " to")
            return f"{joined[0]} {self.least}{joined[1]} {self.most}"
        return f"above {self.least:g}" if self.above else f"of at least {self.least:g}"


ANY = Range(-math.inf, math.inf)  # but what is no number

Count = Annotated[int, Range(1)]
Natural = Annotated[int, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
NonNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0.0, 1.0)]
Discount = Annotated[float, Range(0, 1, above=True)]
# As `Positive`, and infinite: no limit.
Limit = Annotated[float, Range(0, math.inf, above=True)]

Make = TypeVar("Make", bound=Callable[..., Any])


def checked(part: str) -> Callable[[Make], Make]:
    """A decorator of functions and of dataclasses, by which arguments are checked.

    They are checked where the parameter is a number, perhaps with a `Range`, a flag, a word, a
    tuple of one of these, or one of these or None. What is made then raises ValueError for others.

    Arguments:
      part: What options begin with in a configuration: `learner`, `world_model.imagine`.
    """

    def decorate(make: Make) -> Make:
        if isinstance(make, type):
            make.__init__ = decorate(make.__init__)  # pyright: ignore
            return make  # pyright: ignore
        found = inspect.signature(make).parameters
        kinds = {name: _kind(parameter.annotation) for name, parameter in found.items()}

        @wraps(make)
        def made(*arguments: Any, **named: Any) -> Any:
            for name, value in [*zip(found, arguments, strict=False), *named.items()]:
                kind = kinds.get(name)
                if kind and not kind.holds(value):
                    raise ValueError(f"{part}.{name} is {value!r}: give {kind.told}")
            return make(*arguments, **named)

        return made  # pyright: ignore

    return decorate


@dataclass(frozen=True)
class _Kind:
    """What a parameter may be, and how to say so."""

    holds: Callable[[Any], bool]
    told: str


def _kind(annotation: Any) -> _Kind | None:
    """What an annotation says; None where it says nothing that is checked."""
    if get_origin(annotation) in (Union, UnionType):
        either = [part for part in get_args(annotation) if part is not type(None)]
        inner = _kind(either[0]) if len(either) == 1 else None
        return inner and _Kind(lambda v: v is None or inner.holds(v), f"{inner.told}, or null")
    if get_origin(annotation) is tuple:
        parts = get_args(annotation)
        each = _kind(parts[0])
        if not each:
            return None
        return _Kind(
            lambda value: (
                isinstance(value, Sequence)
                and len(value) == len(parts)
                and all(map(each.holds, value))
            ),
            f"a list of {len(parts)}, each {each.told}",
        )
    base, *said = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    within = said[0] if said else ANY
    if base is bool:
        return _Kind(lambda value: isinstance(value, bool), "true or false")
    if base is str:
        return _Kind(lambda value: isinstance(value, str), "a word")
    if base not in (int, float):
        return None
    number = Integral if base is int else Real
    name = "a whole number" if base is int else "a number"
    return _Kind(
        lambda v: isinstance(v, number) and not isinstance(v, bool) and v in within,
        within.told or (name if within is ANY else f"{name} {within}"),
    )
