"""Atari games to play in tests."""

import numpy as np

from suites.tasks import registry
from suites.tasks.atari.task import AtariTask

FIRE, RIGHT, LEFT = 1, 2, 3  # breakout's actions after noop


def make(game: str = "breakout", num_envs: int = 1, **options) -> AtariTask:
    return registry.make({**registry.config(game), **options}, num_envs)


def plans_for(task: AtariTask, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(task.facts.action_space.n, size=shape)


def play(task: AtariTask, actions: np.ndarray) -> list[tuple]:
    return [task.step(action) for action in actions]
