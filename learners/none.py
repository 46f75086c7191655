"""The null learner: a broad prior with value 0."""

from typing import Any

import numpy as np


class NoLearner:
    """Samples uniformly over the action space (standard normal where it has no bounds); value 0."""

    trains = False
    has_value = False

    def __init__(self, action_space: Any):
        self.low, self.high = np.asarray(action_space.low), np.asarray(action_space.high)
        self.bounded = np.isfinite(self.low) & np.isfinite(self.high)

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions [B, A] for features [B, F]; `noise` is a `planners.noise.Noise`."""
        size = self.low.size
        low, high = np.where(self.bounded, self.low, 0), np.where(self.bounded, self.high, 0)
        uniform = low + (high - low) * noise.uniform(size)
        return np.where(self.bounded, uniform, noise.normal(size))

    def value(self, features: np.ndarray) -> np.ndarray:
        """0 for each of features [..., F]."""
        return np.zeros(features.shape[:-1])
