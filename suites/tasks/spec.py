"""What there is to know about a task before it is stepped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from gymnasium.spaces import Box, Discrete

Actions = TypeVar("Actions", Box, Discrete)


@dataclass(frozen=True)
class TaskSpec(Generic[Actions]):
    """Static facts of a task.

    Attributes:
      name: As on the command line, `cheetah-run`.
      observation_space, action_space: Of one environment.
      control_dt: Seconds of simulated time per control step.
      frames_per_step: Physics steps (Atari: emulator frames) per control step.
      budget_per_step: What a simulated control step takes of `planner.budget`: 1, or its
        frames where budgets are in emulated frames (Atari).
      horizon: Control steps after which an episode is truncated.
      reference: Scores that normalise a return to 0 (`random`) and 1 (`best`; Atari: `human`);
        empty where there are none.
      compiled: Whether reward, observation and termination run in machine code.
      observed_reward: Rewards [N] of control steps by the observations [N, O] that follow and the
        actions [N, A]; None where these do not tell them.
      has_lives: Whether `features(state, kind="lives")` of its simulator tells the lives left.
    """

    name: str
    observation_space: Box
    action_space: Actions
    control_dt: float
    frames_per_step: int
    horizon: int
    reference: dict[str, float]
    compiled: bool
    budget_per_step: int = 1
    has_lives: bool = False
    observed_reward: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
