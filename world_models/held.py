"""The truth at the pace of a learned model, so that one planner can search in both."""

from typing import Any

import numpy as np

from world_models import rollouts


class Held:
    """A simulator whose transitions are those of a learned model: an action is held for each.

    Arguments:
      simulator: `world_models.simulator.Simulator`.
      learned: `world_models.interface.LearnedModel`, whose `stride` and whose features it has.
    """

    trains, latent, model_steps = False, False, 0

    def __init__(self, simulator: Any, learned: Any):
        self.simulator, self.learned, self.stride = simulator, learned, learned.stride

    @property
    def sim_steps(self) -> int:
        """Control steps simulated so far."""
        return self.simulator.sim_steps

    @property
    def sim_frames(self) -> int:
        """Physics steps simulated so far."""
        return self.simulator.sim_frames

    def begin(self, observations: np.ndarray, task: Any) -> np.ndarray:
        """The true states [B, S] of the task's environments."""
        return self.simulator.begin(observations, task)

    def select(self, state: np.ndarray, which: np.ndarray) -> np.ndarray:
        """States [M, S] of some of the environments."""
        return self.simulator.select(state, which)

    def features(self, state: np.ndarray) -> np.ndarray:
        """What the learned model makes of the observations in states [..., S]: [..., F]."""
        seen = self.simulator.features(state)
        rows = self.learned.begin(seen.reshape(-1, seen.shape[-1]), None)
        return self.learned.features(rows).reshape(*state.shape[:-1], -1)

    def rollout(
        self, state: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards [B, K, H], continuation [B, K, H] and last states [B, K, S] of plans."""
        held = np.repeat(plans, self.stride, axis=2)
        rewards, continuation, last = self.simulator.rollout(state, held)
        each = *plans.shape[:3], self.stride
        return rewards.reshape(each).sum(axis=-1), continuation.reshape(each)[..., -1], last

    def trace(
        self, state: np.ndarray, plans: np.ndarray, every: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As `rollout`, and the features on the way: see `world_models.rollouts`."""
        return rollouts.trace(self, state, plans, every)

    def step(
        self, state: np.ndarray, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Next states [M, S], rewards [M] and continuation [M] after actions [M, A] or [M]."""
        return rollouts.step(self, state, action)
