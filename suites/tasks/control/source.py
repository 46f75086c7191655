"""Where a control task comes from: its MuJoCo model and the way in which an episode begins."""

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

# Control steps of an episode where dm_control has no limit (lqr): as many as its usual episodes.
UNLIMITED = 1000

Initialise = Callable[[mujoco.MjModel, mujoco.MjData, np.random.RandomState], None]


@dataclass
class ModelSource:
    """A model, and a function that writes an episode's first state into its data.

    Attributes:
      model, data: `initialise` writes both; `restart` leaves them as an episode begins.
      substeps: Physics steps per control step.
      horizon: Control steps after which an episode is truncated.
    """

    model: mujoco.MjModel
    data: mujoco.MjData
    initialise: Initialise
    substeps: int
    horizon: int

    def seed(self, seed: int | None) -> np.random.RandomState:
        """The stream from which the episodes of an environment with this seed are drawn."""
        return np.random.RandomState(seed)

    def restart(self, random: np.random.RandomState) -> None:
        """Begin an episode."""
        mujoco.mj_resetData(self.model, self.data)
        self.initialise(self.model, self.data, random)
        mujoco.mj_forward(self.model, self.data)


class SuiteSource:
    """A task of dm_control, whose own Python begins each episode: seed by seed as in dm_control.

    Attributes:
      environment: The `dm_control.rl.control.Environment`.
    """

    def __init__(self, domain: str, task: str, random: np.random.RandomState | None = None):
        self.domain, self.task = domain, task
        self.environment = load_suite(domain, task, random or np.random.RandomState(0))
        physics = self.environment.physics
        self.model: mujoco.MjModel = physics.model.ptr
        self.data: mujoco.MjData = physics.data.ptr
        self.substeps = int(self.environment._n_sub_steps)
        limit = self.environment._step_limit
        self.horizon = int(np.ceil(limit)) if np.isfinite(limit) else UNLIMITED

    def seed(self, seed: int | None) -> np.random.RandomState:
        random = np.random.RandomState(seed)
        if self.domain == "lqr":  # the stiffness of the springs is drawn when the model is made
            self.__init__(self.domain, self.task, random)
        return random

    def restart(self, random: np.random.RandomState) -> None:
        self.environment.task._random = random
        self.environment.reset()


Source = ModelSource | SuiteSource


def load_suite(domain: str, task: str, random: np.random.RandomState) -> Any:
    """`dm_control.suite.load`, without the noise of its import on a machine without a screen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        suite = importlib.import_module("dm_control.suite")
        environment = suite.load(domain, task, task_kwargs={"random": random})
    if task == "escape":  # its reset opens a renderer, to show it the terrain; there may be none
        environment.physics._make_rendering_contexts = lambda: None
    return environment
