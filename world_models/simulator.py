"""The truth as a world model: plans are scored on the task's own physics."""

from typing import Any

import numpy as np

from suites.tasks.control.simulation import Cheaper


class Simulator:
    """The task's simulator behind the face of a world model.

    Arguments:
      task: What is planned for; the simulator gets physics of its own from it.
      threads: Workers that roll plans out.
      physics: Cheaper physics to plan with (see `Cheaper`); the task keeps the true one.

    Attributes:
      sim_steps, sim_frames: Control steps and physics steps simulated so far.
      model_steps: Transitions of a learned model: none.
    """

    def __init__(self, task: Any, threads: int = 1, physics: dict[str, int | None] | None = None):
        self.simulation = task.planning_simulation(threads, Cheaper(**(physics or {})))
        self.sim_steps = self.sim_frames = self.model_steps = 0

    def begin(self, observations: np.ndarray, task: Any) -> np.ndarray:
        """The true states [B, S] of the task's environments."""
        return task.simulation.read()

    def rollout(
        self, state: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards [B, K, H], continuation [B, K, H] and last states [B, K, S] of [B, K, H, A]."""
        batch, candidates, horizon, size = plans.shape
        root_of = np.repeat(np.arange(batch), candidates)
        flat = np.ascontiguousarray(plans.reshape(-1, horizon, size), np.float64)
        rewards, continuation, last = self.simulation.rollout(state, root_of, flat)
        self._count(flat.shape[0] * horizon)
        shape = (batch, candidates, horizon)
        return rewards.reshape(shape), continuation.reshape(shape), last.reshape(*shape[:2], -1)

    def step(
        self, state: np.ndarray, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Next states [B, S], rewards [B] and continuation [B] after actions [B, A]."""
        rewards, continuation, last = self.rollout(state, action[:, None, None])
        return last[:, 0], rewards[:, 0, 0], continuation[:, 0, 0]

    def features(self, state: np.ndarray) -> np.ndarray:
        """Observations [..., O] in states [..., S]."""
        rows = np.ascontiguousarray(state.reshape(-1, state.shape[-1]))
        return self.simulation.observe(rows).reshape(*state.shape[:-1], -1)

    def _count(self, steps: int) -> None:
        self.sim_steps += steps
        self.sim_frames += steps * self.simulation.substeps
