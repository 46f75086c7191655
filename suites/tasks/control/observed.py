"""Rewards by what is observed alone, for predicted observations."""

from functools import cached_property
from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types
from numba.core.ccallback import CFunc

from suites.tasks.control.physics import call_observed

_ROW = types.CPointer(types.float64)


class ObservedReward:
    """A task's reward by the observation after a control step and the control.

    It decorates `function(seen, control) -> float`, which is compiled when it is first needed. Both
    are pointers: `seen[i]` is a number of the observation. What is predicted need not be possible:
    a cosine may be above 1. The function may close over what `physics.scalar` allows.
    """

    def __init__(self, function: Any):
        self._function = function

    @cached_property
    def _compiled(self) -> CFunc:
        return cfunc(types.float64(_ROW, _ROW), cache=True)(self._function)

    def __call__(self, observations: np.ndarray, controls: np.ndarray) -> np.ndarray:
        """Rewards [N] where observations [N, O] follow controls [N, A]."""
        rewards = np.empty(len(observations))
        observations = np.ascontiguousarray(observations, np.float64)
        _each(
            self._compiled.address,
            observations,
            np.ascontiguousarray(controls, np.float64),
            rewards,
        )
        return rewards


@njit(nogil=True, cache=True)
def _each(function, observations, controls, rewards):
    for n in range(rewards.size):
        seen, control = observations[n].ctypes.data, controls[n].ctypes.data
        rewards[n] = call_observed(function, seen, control)


@njit(cache=True)
def view(pointer, start, size):
    """An array of `size` numbers that begins at `pointer[start]`."""
    return carray(pointer, (start + size,))[start:]
