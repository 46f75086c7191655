"""Catch, the smallest game that is seen as pixels: for tests and first experiments.

A ball begins in any column of the top row and falls by a row per step; a paddle in the bottom row,
in the middle at first, steps left, stays or steps right. The episode ends with the ball's arrival,
which pays 1 where the paddle is, and -1 elsewhere. After Mnih et al. (2014), "Recurrent models of
visual attention", section 4.2, on a smaller board.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from suites.tasks.base import Task
from suites.tasks.seeds import Seed, begin_streams, states_of, streams_at
from suites.tasks.spec import TaskSpec

SIDE = 6  # rows, and columns
CELL = 14  # pixels on each side of a cell
MIDDLE = SIDE // 2
HORIZON = SIDE - 1  # the ball's way down
ROW, BALL, PADDLE = range(3)  # of a state: the ball's row and column, the paddle's column


def advance(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Next states [N, 3], rewards [N] and terminations [N]: the whole of the dynamics."""
    states = states.copy()
    states[:, ROW] += 1
    states[:, PADDLE] = np.clip(states[:, PADDLE] + np.asarray(actions) - 1, 0, SIDE - 1)
    arrived = states[:, ROW] >= SIDE - 1
    caught = states[:, BALL] == states[:, PADDLE]
    return states, np.where(arrived, np.where(caught, 1.0, -1.0), 0.0), arrived


def observe(states: np.ndarray) -> np.ndarray:
    """Pictures [N, 1, 84, 84] of bytes, of states [N, 3]: the ball white, the paddle grey."""
    rows, each = states.astype(int), np.arange(len(states))
    board = np.zeros((len(states), SIDE, SIDE), np.uint8)
    board[each, -1, rows[:, PADDLE]] = 128
    board[each, rows[:, ROW], rows[:, BALL]] = 255
    return board.repeat(CELL, axis=1).repeat(CELL, axis=2)[:, None]


def random_return() -> float:
    """The mean return of uniformly random actions, from the chances of the paddle's columns."""
    chances = np.eye(SIDE)[MIDDLE]
    for _ in range(HORIZON):
        moved = np.zeros(SIDE)
        for step in (-1, 0, 1):
            np.add.at(moved, np.clip(np.arange(SIDE) + step, 0, SIDE - 1), chances / 3)
        chances = moved
    return 2 * float(chances.sum()) / SIDE - 1  # the ball's column is uniform


@dataclass(frozen=True)
class Snapshot:
    """The whole state: states [B, 3], and each environment's random stream."""

    states: np.ndarray
    randoms: list[Any]


class CatchSimulation:
    """The game for a planner, with the face of `suites.tasks.control.simulation.Simulation`."""

    state_size = 3
    substeps = 1

    def __init__(self, n: int = 1):
        self.states = np.tile([0.0, 0.0, MIDDLE], (n, 1))

    def read(self) -> np.ndarray:
        """States of the environments, [n, 3]."""
        return self.states.copy()

    def observe(self, rows: np.ndarray) -> np.ndarray:
        """Pictures [N, 1, 84, 84] of states [N, 3]."""
        return observe(rows)

    def rollout(
        self, roots: np.ndarray, root_of: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards [N, H], continuation [N, H] and last states [N, 3] of plans [N, H].

        Plan n begins in `roots[root_of[n]]`; after a termination rewards and continuation are 0.
        """
        rewards, continuation = np.zeros(plans.shape), np.zeros(plans.shape)
        states = roots[root_of]
        alive = states[:, ROW] < SIDE - 1
        for h in range(plans.shape[1]):
            moved, reward, ended = advance(states, plans[:, h])
            states = np.where(alive[:, None], moved, states)
            rewards[:, h] = alive * reward
            alive = alive & ~ended
            continuation[:, h] = alive
        return rewards, continuation, states


class CatchTask(Task):
    """`num_envs` games, with the face of `suites.tasks.control.ControlTask`."""

    action_names = ("left", "stay", "right")

    def __init__(self, num_envs: int = 1):
        side = SIDE * CELL
        facts = TaskSpec(
            name="catch",
            observation_space=gymnasium.spaces.Box(0, 255, (1, side, side), np.uint8),
            action_space=gymnasium.spaces.Discrete(3),
            control_dt=1.0,
            frames_per_step=1,
            horizon=HORIZON,
            reference={"random": random_return(), "best": 1.0},
            compiled=True,  # NumPy over the whole batch: there is no loop to compile
        )
        super().__init__(facts, num_envs)
        self.simulation = CatchSimulation(num_envs)
        self._randoms: list[np.random.Generator] = []

    def planning_simulation(self, threads: int, other: Any = None) -> CatchSimulation:
        """A game of its own for a planner. It has no physics that could be others."""
        self.refuse(other)
        return CatchSimulation()

    def reset(self, *, seed: Seed = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode in every environment: environment i with seed `seed + i`."""
        if seed is not None or not self._randoms:
            self._randoms = begin_streams(seed, self.num_envs)
        self._restart(np.arange(self.num_envs))
        return observe(self.simulation.states), {}

    def _restart(self, which: np.ndarray) -> None:
        for i in which:
            self.simulation.states[i] = 0, self._randoms[i].integers(SIDE), MIDDLE

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each environment with `actions` [B]."""
        states, rewards, terminated = advance(self.simulation.states, actions)
        self.simulation.states = states
        observations = observe(states)
        infos: dict[str, Any] = {}
        if terminated.any():
            infos = {"final_obs": observations, "_final_obs": terminated.copy()}
            self._restart(np.flatnonzero(terminated))
            observations = observe(self.simulation.states)
        return observations, rewards, terminated, np.zeros(self.num_envs, bool), infos

    def snapshot(self) -> Snapshot:
        """All that decides how the environments go on."""
        return Snapshot(self.simulation.states.copy(), states_of(self._randoms))

    def restore(self, snapshot: Snapshot) -> np.ndarray:
        """Go back to a snapshot; the pictures [B, 1, 84, 84] there."""
        self.simulation.states = snapshot.states.copy()
        self._randoms = streams_at(snapshot.randoms)
        return observe(self.simulation.states)


def make(name: str, num_envs: int = 1, threads: int = 1) -> CatchTask:
    """The game. It is too small for threads."""
    assert name == "catch"
    return CatchTask(num_envs)
