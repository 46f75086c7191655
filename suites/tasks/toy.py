"""A corridor of discrete steps, small enough to solve by hand: for tests and first experiments.

Cells 0 to 9; an episode begins in one of the first five. Action 0 steps left, 1 steps right, walls
hold. Cell 9 pays 1 and ends the episode; being in cell 0 pays 0.05, which tempts the short-sighted.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from suites.tasks.base import Task
from suites.tasks.seeds import Seed, begin_streams, states_of, streams_at
from suites.tasks.spec import TaskSpec

CELLS = 10
HORIZON = 40
GOAL_REWARD = 1.0
DISTRACTION = 0.05


def advance(cells: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Next cells, rewards and terminations of any shape: the whole of the dynamics.

    A positive action goes to the right.
    """
    cells = np.clip(cells + np.where(actions > 0, 1, -1), 0, CELLS - 1)
    rewards = np.where(cells == CELLS - 1, GOAL_REWARD, np.where(cells == 0, DISTRACTION, 0.0))
    return cells, rewards, cells == CELLS - 1


def observe(states: np.ndarray) -> np.ndarray:
    """One-hot observations [N, CELLS] of states [N, 1]."""
    return np.eye(CELLS)[states[:, 0].astype(int)]


@dataclass(frozen=True)
class Snapshot:
    """The whole state: cells [B, 1], steps [B], and each environment's random stream."""

    states: np.ndarray
    steps: np.ndarray
    randoms: list[Any]


class ChainSimulation:
    """The corridor for a planner, with the face of `suites.tasks.control.simulation.Simulation`."""

    state_size = 1
    substeps = 1

    def __init__(self, n: int = 1):
        self.states = np.zeros((n, 1))

    def read(self) -> np.ndarray:
        """States of the environments, [n, 1]."""
        return self.states.copy()

    def observe(self, rows: np.ndarray) -> np.ndarray:
        """Observations [N, CELLS] of states [N, 1]."""
        return observe(rows)

    def rollout(
        self, roots: np.ndarray, root_of: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards [N, H], continuation [N, H] and last states [N, 1] of plans [N, H] or [N, H, 1].

        Plan n begins in `roots[root_of[n]]`; after a termination rewards and continuation are 0.
        """
        plans = plans.reshape(plans.shape[:2])
        rewards, continuation = np.zeros(plans.shape), np.zeros(plans.shape)
        cells = roots[root_of, 0].astype(int)
        alive = np.ones(len(plans), bool)
        for h in range(plans.shape[1]):
            moved, reward, ended = advance(cells, plans[:, h])
            cells = np.where(alive, moved, cells)
            rewards[:, h] = alive * reward
            alive = alive & ~ended
            continuation[:, h] = alive
        return rewards, continuation, cells[:, None].astype(float)


class ChainTask(Task):
    """`num_envs` corridors, with the face of `suites.tasks.control.ControlTask`.

    Actions are left and right, or where they are `continuous`, from -1 to 1.
    """

    action_names = ("left", "right")

    def __init__(self, num_envs: int = 1, continuous: bool = False):
        actions: Any = gymnasium.spaces.Discrete(2)
        if continuous:
            actions = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float64)
        facts = TaskSpec(
            name="toy-slide" if continuous else "toy-chain",
            observation_space=gymnasium.spaces.Box(0.0, 1.0, (CELLS,), np.float64),
            action_space=actions,
            control_dt=1.0,
            frames_per_step=1,
            horizon=HORIZON,
            reference={"random": 0.0, "best": GOAL_REWARD},
            compiled=True,  # NumPy over the whole batch: there is no loop to compile
        )
        super().__init__(facts, num_envs)
        self.simulation = ChainSimulation(num_envs)
        self._steps = np.zeros(num_envs, np.int64)
        self._randoms: list[np.random.Generator] = []

    def planning_simulation(self, threads: int, other: Any = None) -> ChainSimulation:
        """A corridor of its own for a planner. It has no physics that could be others."""
        self.refuse(other)
        return ChainSimulation()

    def reset(self, *, seed: Seed = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode in every environment: environment i with seed `seed + i`."""
        if seed is not None or not self._randoms:
            self._randoms = begin_streams(seed, self.num_envs)
        self._restart(np.arange(self.num_envs))
        return observe(self.simulation.states), {}

    def _restart(self, which: np.ndarray) -> None:
        for i in which:
            self.simulation.states[i, 0] = self._randoms[i].integers(CELLS // 2)
        self._steps[which] = 0

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each environment with `actions` [B] or [B, 1]."""
        cells, rewards, terminated = advance(
            self.simulation.states[:, 0].astype(int), np.reshape(actions, self.num_envs)
        )
        self.simulation.states[:, 0] = cells
        self._steps += 1
        truncated = (self._steps >= HORIZON) & ~terminated
        observations = observe(self.simulation.states)
        infos: dict[str, Any] = {}
        ended = terminated | truncated
        if ended.any():
            infos = {"final_obs": observations, "_final_obs": ended.copy()}
            self._restart(np.flatnonzero(ended))
            observations = observe(self.simulation.states)
        return observations, rewards, terminated, truncated, infos

    def snapshot(self) -> Snapshot:
        """All that decides how the environments go on."""
        return Snapshot(self.simulation.states.copy(), self._steps.copy(), states_of(self._randoms))

    def restore(self, snapshot: Snapshot) -> np.ndarray:
        """Go back to a snapshot; the observations [B, CELLS] there."""
        self.simulation.states = snapshot.states.copy()
        self._steps = snapshot.steps.copy()
        self._randoms = streams_at(snapshot.randoms)
        return observe(self.simulation.states)


def make(name: str, num_envs: int = 1, threads: int = 1) -> ChainTask:
    """The toy task of that name. It is too small for threads."""
    return ChainTask(num_envs, continuous=name == "toy-slide")
