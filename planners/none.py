"""The null planner: acts as the learner's policy says."""

from typing import Any

import numpy as np

from planners.interface import Plan, Prior
from planners.noise import Noise
from suites.parameters import Count, checked


class NoPlanner:
    """Samples the prior's policy.

    Arguments:
      repeat: Control steps that an action is held. None: 2 where actions are continuous, as with
        most published policies; else 1, since Atari has a frame skip of its own.

    Raises:
      ValueError: for bad parameters.
    """

    late = False

    @checked("planner")
    def __init__(self, spec: Any, repeat: Count | None = None):
        if repeat is None:
            repeat = 1 if hasattr(spec.action_space, "n") else 2
        self.plan_every = repeat

    def init(self, batch: int) -> None:
        """No warm start."""

    def plan(
        self, model: Any, prior: Prior, state: Any, carry: None, noise: Noise
    ) -> tuple[Plan, None]:
        """An action of the prior in `state`, continuous [B, A] or discrete [B]."""
        action = prior.sample(model.features(state), noise)
        held = np.repeat(action[:, None], self.plan_every, axis=1)
        return Plan(action, held, np.zeros(len(action))), None
