"""Gaussians squashed by tanh, and boxes of actions mapped to [-1, 1]."""

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional

LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


def parameters(
    outputs: torch.Tensor, least: float = LOG_STD_MIN
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and logarithms of the deviations [..., A] from a network's outputs [..., 2 A].

    The latter are bounded smoothly, from `least`, so that a gradient never vanishes altogether.
    """
    mean, raw = outputs.chunk(2, dim=-1)
    half = (LOG_STD_MAX - least) / 2
    return mean, least + half * (torch.tanh(raw) + 1)


def sample(
    mean: torch.Tensor, log_std: torch.Tensor, normal: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Actions tanh(mean + std normal) [..., A] and their log-probabilities [...].

    The density of a = tanh(u) is that of u over 1 - tanh(u)^2 (Haarnoja et al. 2018, "Soft
    Actor-Critic Algorithms and Applications", appendix C), whose logarithm is computed as
    2 (log 2 - u - softplus(-2 u)), which does not overflow.
    """
    u = mean + log_std.exp() * normal
    gaussian = -0.5 * (normal**2 + math.log(2 * math.pi)) - log_std
    correction = 2 * (math.log(2) - u - functional.softplus(-2 * u))
    return torch.tanh(u), (gaussian - correction).sum(dim=-1)


class ActionBox:
    """Maps a box of actions to [-1, 1] and back. Where it has no bounds, it stays as it is."""

    def __init__(self, space: Any):
        bounded = np.isfinite(space.low) & np.isfinite(space.high)
        low, high = np.where(bounded, space.low, -1.0), np.where(bounded, space.high, 1.0)
        if (low == high).any():
            at = np.flatnonzero(low == high)[0]
            raise ValueError(
                f"action {at} can only be {low.flat[at]}: leave it out of the task's actions"
            )
        self.middle, self.half = (low + high) / 2, (high - low) / 2
        self.size = int(self.middle.size)

    def to_task(self, actions: np.ndarray) -> np.ndarray:
        """Actions [B, A] of the task, for those of a learner."""
        return self.middle + self.half * actions

    def to_unit(self, actions: np.ndarray) -> np.ndarray:
        """Actions [B, A] of a learner, for those of the task."""
        return (actions - self.middle) / self.half


class OneHot:
    """Maps discrete actions to unit vectors and back."""

    def __init__(self, space: Any):
        self.size, self.start = int(space.n), int(space.start)

    def to_task(self, actions: np.ndarray) -> np.ndarray:
        """Actions [...] of the task, for vectors [..., n]."""
        return actions.argmax(axis=-1) + self.start

    def to_unit(self, actions: np.ndarray) -> np.ndarray:
        """Vectors [..., n], for actions [...] of the task."""
        return np.eye(self.size)[np.asarray(actions) - self.start]


def encoding(space: Any) -> ActionBox | OneHot:
    """How actions of a space become numbers for a network."""
    return OneHot(space) if hasattr(space, "n") else ActionBox(space)


def check_box(spec: Any, learner: str) -> None:
    """Refuse a task whose actions are discrete, or whose observations are pictures.

    Raises:
      ValueError: says what can be chosen instead.
    """
    if hasattr(spec.action_space, "n"):
        raise ValueError(
            f"learner={learner} needs continuous actions, and task {spec.name} has"
            f" {spec.action_space}: choose learner=dqn, rainbow, ppo or sac"
        )
    if len(spec.observation_space.shape) != 1:
        raise ValueError(
            f"learner={learner} needs observations that are vectors, and those of task"
            f" {spec.name} are {spec.observation_space.shape}"
        )
