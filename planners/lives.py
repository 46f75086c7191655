"""Lives lost in a simulated step, for searches that shun it."""

from typing import Any, cast

import numpy as np

from planners.interface import State, StepModel


def lives_lost(model: StepModel, before: State, after: State) -> np.ndarray:
    """Whether fewer lives are left [M] in states `after` [M, S] than in the states `before`.

    Of a task whose `spec.has_lives` is true.
    """
    left = [cast(Any, model).features(state, kind="lives")[:, 0] for state in (before, after)]
    return left[1] < left[0]
