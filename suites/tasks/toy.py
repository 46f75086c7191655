"""A corridor of discrete steps, small enough to solve by hand: for tests and first experiments.

Cells 0 to 9; an episode begins in one of the first five. Action 0 steps left, 1 steps right, walls
hold. Cell 9 pays 1 and ends the episode; being in cell 0 pays 0.05, which tempts the short-sighted.
"""

from typing import Any

import gymnasium
import numpy as np

from suites.tasks.arrays import ArrayTask, Rules
from suites.tasks.spec import TaskSpec

CELLS = 10
HORIZON = 40
GOAL_REWARD = 1.0
DISTRACTION = 0.05


def begin(random: np.random.Generator) -> tuple[int]:
    """A first state: the cell."""
    return (int(random.integers(CELLS // 2)),)


def advance(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Next states [N, 1], rewards [N] and terminations [N], by actions [N] or [N, 1].

    A positive action goes to the right.
    """
    way = np.where(np.reshape(actions, len(states)) > 0, 1, -1)
    cells = np.clip(states[:, 0] + way, 0, CELLS - 1)
    rewards = np.where(cells == CELLS - 1, GOAL_REWARD, np.where(cells == 0, DISTRACTION, 0.0))
    return cells[:, None], rewards, cells == CELLS - 1


def observe(states: np.ndarray) -> np.ndarray:
    """One-hot observations [N, CELLS] of states [N, 1]."""
    return np.eye(CELLS)[states[:, 0].astype(int)]


class ChainTask(ArrayTask):
    """`num_envs` corridors.

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
        super().__init__(facts, Rules(begin, advance, observe), num_envs)


def make(name: str, num_envs: int = 1, threads: int = 1) -> ChainTask:
    """The toy task of that name. It is too small for threads."""
    return ChainTask(num_envs, continuous=name == "toy-slide")
