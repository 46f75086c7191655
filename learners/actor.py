"""A policy without exploration, for evaluation."""

from typing import Any

import numpy as np


class GreedyActor:
    """The most probable actions of a learner, as a `planners.interface.Prior`."""

    has_value = True

    def __init__(self, learner: Any):
        self._learner = learner

    @property
    def flops(self) -> int:
        """Floating-point operations of the learner's networks so far."""
        return self._learner.flops

    @property
    def discount(self) -> float:
        """Of the learner's values, per decision."""
        return self._learner.discount

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions, [B, A] or [B], for features [B, *O]."""
        return self._learner.mode(features)

    def draw(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions of the policy with its exploration: a search wants different ones."""
        return self._learner.sample(features, noise)

    def value(self, features: np.ndarray) -> np.ndarray:
        """The learner's values [N] of features [N, *O]."""
        return self._learner.value(features)
