"""What the options of planners may be."""

import math
from collections.abc import Mapping
from typing import Any


def check_ranges(ranges: Mapping[str, tuple[float, float]], options: Mapping[str, Any]) -> None:
    """Refuse what is out of range; None is a default.

    Arguments:
      ranges: Least and most of each option, the most infinite where there is none; the least a
        whole number where the option has to be one.

    Raises:
      ValueError: says which.
    """
    for key, value in options.items():
        least, most = ranges[key]
        kind, name = (int, "whole number") if isinstance(least, int) else (int | float, "number")
        within = f"from {least} to {most}" if most < math.inf else f"of at least {least:g}"
        number = isinstance(value, kind) and not isinstance(value, bool)
        right = number and least <= value <= most and value < math.inf
        if value is not None and not right:
            raise ValueError(f"planner.{key} is {value!r}: give a {name} {within}")


def check_flags(options: Mapping[str, Any]) -> None:
    """Refuse what is neither true nor false.

    Raises:
      ValueError: says which.
    """
    for key, value in options.items():
        if not isinstance(value, bool):
            raise ValueError(f"planner.{key} is {value!r}: give true or false")
