"""The null planner: acts as the learner's policy says."""

from typing import Any

import numpy as np

from planners.interface import Plan, Prior
from planners.noise import Noise


class NoPlanner:
    """Samples the prior's policy."""

    plan_every, late = 1, False

    def __init__(self, spec: Any):
        pass

    def init(self, batch: int) -> None:
        """No warm start."""

    def plan(
        self, model: Any, prior: Prior, state: Any, carry: None, noise: Noise
    ) -> tuple[Plan, None]:
        """An action of the prior in `state`, continuous [B, A] or discrete [B]."""
        action = prior.sample(model.features(state), noise)
        return Plan(action, action[:, None], np.zeros(len(action))), None
