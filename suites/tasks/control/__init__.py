"""DM Control's 51 tasks, and how to make your own.

task = suite_task("cheetah-run", num_envs=16)
task = own_task("unicycle", model, initialise, twin, observation_size=8, ...)
"""

import importlib

import mujoco
import numpy as np

from suites.tasks.control.names import split
from suites.tasks.control.python_simulation import flatten
from suites.tasks.control.source import Initialise, ModelSource, SuiteSource
from suites.tasks.control.task import ControlTask, Snapshot
from suites.tasks.control.twin import Twin

__all__ = ["ControlTask", "Snapshot", "own_task", "suite_task"]


def find_twin(domain: str, task: str, model: mujoco.MjModel) -> Twin | None:
    """The compiled twin of a task of dm_control, or None where it has none."""
    try:
        module = importlib.import_module(f"suites.tasks.control.domains.{domain}")
    except ModuleNotFoundError:
        return None
    make = getattr(module, task, None)
    return make(model) if make else None


def suite_task(name: str, num_envs: int = 1, threads: int = 1) -> ControlTask:
    """A task of dm_control by its name, `walker-run`; a bare domain means its usual task."""
    domain, task = split(name)
    source = SuiteSource(domain, task)
    twin = find_twin(domain, task, source.model)
    physics = source.environment.physics
    size = flatten(source.environment.task.get_observation(physics)).size
    return ControlTask(f"{domain}-{task}", source, twin, size, num_envs, threads)


def own_task(
    name: str,
    model: mujoco.MjModel,
    initialise: Initialise,
    twin: Twin,
    observation_size: int,
    control_dt: float,
    seconds: float = 20.0,
    num_envs: int = 1,
    threads: int = 1,
) -> ControlTask:
    """A task of your own.

    Arguments:
      initialise: `initialise(model, data, random)` writes an episode's first state.
      observation_size: How many numbers the twin's observation writes.
      control_dt: Seconds between two actions, a multiple of the model's timestep.
      seconds: Simulated time after which an episode is truncated.
    """
    substeps = round(control_dt / model.opt.timestep)
    if substeps < 1 or not np.isclose(substeps * model.opt.timestep, control_dt):
        raise ValueError(
            f"control_dt {control_dt} is not a multiple of the timestep {model.opt.timestep}"
        )
    source = ModelSource(
        model, mujoco.MjData(model), initialise, substeps, round(seconds / control_dt)
    )
    return ControlTask(name, source, twin, observation_size, num_envs, threads)
