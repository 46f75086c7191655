"""What the tests of learners with discrete actions share: small tasks, and their exact values."""

import io
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from learners.interface import Transitions
from planners.noise import Noise

CONF = Path(__file__).resolve().parents[1] / "conf"
START = 2  # the first of the actions


def keys_of(name: str) -> dict[str, Any]:
    """The keys of a learner's yaml."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(f"learner/{name}", ["+seed=0", "+device=cpu"])
    return dict(config.learner)


def make_learner(name: str, space: Box, actions: int = 3, **options: Any) -> Any:
    """A learner as its yaml makes it, with other options."""
    spec = SimpleNamespace(
        name="small", observation_space=space, action_space=Discrete(actions, start=START)
    )
    config = {**keys_of(name), **options}
    return instantiate(config, _partial_=True, _convert_="all")(spec=spec)


@dataclass
class Tables:
    """A small task by tables [states, actions]: rewards, next states, terminations."""

    rewards: np.ndarray
    after: np.ndarray
    ends: np.ndarray

    @classmethod
    def random(cls, seed: int, states: int = 5, actions: int = 3) -> "Tables":
        random, shape = np.random.default_rng(seed), (states, actions)
        ends = random.random(shape) < 0.15
        return cls(random.uniform(-0.5, 0.5, shape), random.integers(states, size=shape), ends)

    @property
    def space(self) -> Box:
        return Box(0.0, 1.0, (len(self.rewards),), np.float64)

    def fill(self, learner: Any, decisions: int, cut: float = 0.0, num_envs: int = 4) -> Any:
        """A source with decisions at random; episodes are cut off with that probability."""
        source, random = learner.make_source(num_envs, Path()), np.random.default_rng(0)
        states, actions = self.rewards.shape
        eye, start = np.eye(states), np.ones(num_envs, bool)
        state = random.integers(states, size=num_envs)
        for _ in range(decisions):
            a = random.integers(actions, size=num_envs)
            following, ended = self.after[state, a], self.ends[state, a]
            truncated = ~ended & (random.random(num_envs) < cut)
            source.add(
                Transitions(
                    eye[state],
                    a + START,
                    self.rewards[state, a],
                    ended,
                    truncated,
                    eye[following],
                    start,
                )
            )
            start = ended | truncated
            state = np.where(start, random.integers(states, size=num_envs), following)
        return source

    def values(self, discount: float, n: int = 1, temperature: float = 0.0) -> np.ndarray:
        """Values [states, actions] that Q-learning on random decisions converges to.

        With n steps, the rewards of the n - 1 after the first are those of random actions. With a
        temperature: of soft Q-learning, n = 1.
        """
        q = np.zeros(self.rewards.shape)
        for _ in range(300):
            best = q.max(axis=1)
            if temperature:
                best += temperature * np.log(np.exp((q - best[:, None]) / temperature).sum(axis=1))
            for k in range(n):
                q = self.rewards + discount * np.where(self.ends, 0.0, best[self.after])
                if k < n - 1:
                    best = q.mean(axis=1)
        return q


def pictures(num_envs: int, seed: int = 0) -> np.ndarray:
    """Stacks [B, 4, 84, 84] of noise."""
    return np.random.default_rng(seed).integers(0, 256, (num_envs, 4, 84, 84), np.uint8)


PICTURES = Box(0, 255, (4, 84, 84), np.uint8)


class Story:
    """A learner among random pictures, decision by decision.

    Arguments:
      learner: Learns from `learner.num_envs` environments.
    """

    def __init__(self, learner: Any):
        self.learner, self.num_envs = learner, learner.num_envs
        self.source = learner.make_source(self.num_envs, Path())
        self.actions: list[list[int]] = []
        self.metrics: list[dict[str, float]] = []
        self.seen, self.start = pictures(self.num_envs), np.ones(self.num_envs, bool)

    def go_on(self, decisions: int) -> "Story":
        """So many decisions and what is learned from them."""
        for t in range(len(self.actions), len(self.actions) + decisions):
            random = np.random.default_rng(t)
            action = self.learner.sample(self.seen, Noise.together(self.num_envs, 0, t))
            self.actions.append(action.tolist())
            frame = random.integers(0, 256, (self.num_envs, 1, 84, 84), np.uint8)
            following = np.concatenate([self.seen[:, 1:], frame], axis=1)
            ends = random.random((2, self.num_envs)) < 0.1
            terminated, truncated = ends[0], ends[1] & ~ends[0]
            reward = 3.0 * (action - START) - 2.0 + random.random(self.num_envs)
            self.source.add(
                Transitions(self.seen, action, reward, terminated, truncated, following, self.start)
            )
            self.start = terminated | truncated
            first = pictures(self.num_envs, t + 1)
            self.seen = np.where(self.start[:, None, None, None], first, following)
            self.metrics.append(self.learner.update(self.source))
        return self

    def told(self) -> dict[str, Any]:
        """All that can be seen of it."""
        features, greedy = pictures(3, 99), self.learner.greedy
        return {
            "actions": self.actions,
            "metrics": self.metrics,
            "updates": self.learner.updates,
            "flops": self.learner.flops,
            "logits": greedy.logits(features).tolist(),
            "value": greedy.value(features).tolist(),
            "greedy": [greedy.sample(features, Noise(0, range(3), k)).tolist() for k in range(40)],
        }

    def copy_to(self, other: "Story", folder: Path) -> None:
        """Through files, as a checkpoint."""
        content = io.BytesIO()
        torch.save(self.learner.state(), content)
        content.seek(0)
        other.learner.load(torch.load(content, weights_only=False))
        for name, array in self.source.state().items():
            np.save(folder / f"{name}.npy", array)
        other.source.load({p.stem: np.load(p, mmap_mode="r") for p in folder.iterdir()})
        other.actions, other.metrics = list(self.actions), list(self.metrics)
        other.seen, other.start = self.seen, self.start
