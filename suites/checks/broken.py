"""What does not hold, and how two things are told apart."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from suites.errors import UserError


class BrokenError(Exception):
    """A part does not keep to its interface; the message says how."""


class NotSeenError(UserError):
    """What was to be checked did not happen; the message says what to give."""


def demand(holds: Any, told: str) -> None:
    """Raise `BrokenError` with what is told, unless it holds."""
    if not holds:
        raise BrokenError(told)


def difference(one: Any, two: Any, name: str = "") -> str | None:
    """Where two states of any kind differ in a bit; None: nowhere."""
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        if one.keys() != two.keys():
            return f"{name} has other keys"
        pairs = [(f"{name}.{key}".lstrip("."), one[key], two[key]) for key in one]
    elif isinstance(one, list | tuple) and isinstance(two, list | tuple):
        if len(one) != len(two):
            return f"{name} has {len(one)} parts, then {len(two)}"
        pairs = [(f"{name}[{k}]", a, b) for k, (a, b) in enumerate(zip(one, two, strict=True))]
    elif hasattr(one, "__dict__") and type(one) is type(two) and not hasattr(one, "shape"):
        return difference(vars(one), vars(two), name)
    else:
        return None if _same(one, two) else name or "it"
    return next((found for key, a, b in pairs if (found := difference(a, b, key))), None)


def _same(one: Any, two: Any) -> bool:
    if hasattr(one, "detach"):
        one, two = one.detach().cpu().numpy(), two.detach().cpu().numpy()
    if isinstance(one, np.ndarray):
        if not isinstance(two, np.ndarray):
            return False
        alike = one.shape == two.shape and one.dtype == two.dtype
        if one.dtype == object:
            return alike and difference(one.ravel().tolist(), two.ravel().tolist()) is None
        return alike and one.tobytes() == two.tobytes()
    if isinstance(one, np.random.Generator):
        one, two = one.bit_generator.state, two.bit_generator.state
        return difference(one, two) is None
    return type(one) is type(two) and bool(one == two or (one != one and two != two))
