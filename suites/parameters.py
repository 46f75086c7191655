"""What the options of an agent's parts may be, said by the types of their parameters.

`@checked("learner")` on a constructor whose parameter is `batch: Count` refuses
`learner.batch=0` in one line, before anything is made of it.
"""

import inspect
import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

FINITE = sys.float_info.max


@dataclass(frozen=True)
class OneOf:
    """Some words."""

    words: Collection[str]


@dataclass(frozen=True)
class Range:
    """The numbers from `least` to `most`, which `above` and `below` leave out.

    Attributes:
      told: What they are called in an error; None: by their bounds.
    """

    least: float
    most: float = FINITE
    above: bool = False
    below: bool = False
    told: str | None = None

    def __contains__(self, value: Any) -> bool:
        outside = (self.above and value == self.least) or (self.below and value == self.most)
        return self.least <= value <= self.most and not outside

    def __str__(self) -> str:
        if self.least == -FINITE:
            return "that is finite"
        if self.most < FINITE:
            begin = f"above {self.least}, up" if self.above else f"from {self.least}"
            return f"{begin} to{' below' if self.below else ''} {self.most}"
        return f"above {self.least:g}" if self.above else f"of at least {self.least:g}"


ANY = Range(-math.inf, math.inf)  # but what is no number

Count = Annotated[int, Range(1)]
Natural = Annotated[int, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
NonNegative = Annotated[float, Range(0)]
Finite = Annotated[float, Range(-FINITE)]
Share = Annotated[float, Range(0.0, 1.0)]
Discount = Annotated[float, Range(0, 1, above=True)]
# As `Positive`, and infinite: no limit.
Limit = Annotated[float, Range(0, math.inf, above=True)]

Make = TypeVar("Make", bound=Callable[..., Any])


def checked(part: str) -> Callable[[Make], Make]:
    """A decorator of functions and of dataclasses, by which arguments are checked.

    They are checked where the parameter is a number, perhaps with a `Range`, a flag, a word that is
    `OneOf` some, a dict, a tuple of equals, or one of these or None. What is made then raises
    ValueError for others.

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
                    raise ValueError(f"{part}.{name} is {kind.refuse(value)}")
            return make(*arguments, **named)

        return made  # pyright: ignore

    return decorate


@dataclass(frozen=True)
class _Kind:
    """What a parameter may be, and how to say so."""

    holds: Callable[[Any], bool]
    told: str

    def refuse(self, value: Any) -> str:
        """What is wrong, after the name of the parameter."""
        whole = isinstance(value, float) and value.is_integer() and self.holds(int(value))
        return f"{value!r}: give {self.told}" + (f", written {value:.0f}" if whole else "")


class _Words(_Kind):
    def refuse(self, value: Any) -> str:
        return f"'{value}': choose one of {self.told}"


def _kind(annotation: Any) -> _Kind | None:
    """What an annotation says; None where it says nothing that is checked."""
    if get_origin(annotation) in (Union, UnionType):
        either = [part for part in get_args(annotation) if part is not type(None)]
        inner = _kind(either[0]) if len(either) == 1 else None
        return inner and replace(
            inner,
            holds=lambda value: value is None or inner.holds(value),
            told=f"{inner.told}, or null",
        )
    if get_origin(annotation) is tuple:
        parts = get_args(annotation)
        each = _kind(parts[0])
        assert each, annotation
        assert set(parts) == {parts[0]}, annotation
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
    if isinstance(within, OneOf):
        words = [*within.words]
        return _Words(lambda value: value in words, ", ".join(words))
    if base is bool:
        return _Kind(lambda value: isinstance(value, bool), "true or false")
    if get_origin(base) is dict:
        return _Kind(lambda value: isinstance(value, Mapping), "keys and values")
    if base not in (int, float):
        return None
    number = Integral if base is int else Real
    name = "a whole number" if base is int else "a number"
    return _Kind(
        lambda v: isinstance(v, number) and not isinstance(v, bool) and v in within,
        within.told or (name if within is ANY else f"{name} {within}"),
    )
