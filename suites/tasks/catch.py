"""Catch, the smallest game that is seen as pixels: for tests and first experiments.

A ball begins in any column of the top row and falls by a row per step; a paddle in the bottom row,
in the middle at first, steps left, stays or steps right. The episode ends with the ball's arrival,
which pays 1 where the paddle is, and -1 elsewhere. After Mnih et al. (2014), "Recurrent models of
visual attention", section 4.2, on a smaller board.
"""

import gymnasium
import numpy as np

from suites.tasks.arrays import ArrayTask, Rules
from suites.tasks.spec import TaskSpec

SIDE = 6  # rows, and columns
CELL = 14  # pixels on each side of a cell
MIDDLE = SIDE // 2
HORIZON = SIDE - 1  # the ball's way down
ROW, BALL, PADDLE = range(3)  # of a state: the ball's row and column, the paddle's column


def begin(random: np.random.Generator) -> tuple[int, int, int]:
    """A first state."""
    return 0, int(random.integers(SIDE)), MIDDLE


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


class CatchTask(ArrayTask):
    """`num_envs` games."""

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
        super().__init__(facts, Rules(begin, advance, observe), num_envs)


def make(name: str, num_envs: int = 1, threads: int = 1) -> CatchTask:
    """The game. It is too small for threads."""
    assert name == "catch"
    return CatchTask(num_envs)
