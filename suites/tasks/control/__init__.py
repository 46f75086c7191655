"""DM Control's 51 tasks, and how to make your own.

task = suite_task("cheetah-run", num_envs=16)
task = own_task("unicycle", model, initialise, twin, observation_size=8, ...)
"""

import copy
import importlib

import mujoco
import numpy as np

from suites.errors import UserError
from suites.tasks.control import kernels
from suites.tasks.control.python_simulation import flatten
from suites.tasks.control.simulation import Simulation
from suites.tasks.control.source import Initialise, ModelSource, SuiteSource
from suites.tasks.control.task import ControlTask, Snapshot
from suites.tasks.control.twin import Twin
from suites.tasks.control_names import split
from suites.tasks.registry import unknown

_BEYOND = 1000  # numbers after an observation's end that are looked at for a stray write

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
    """A task of dm_control by its name, `walker-run`; a bare domain means its usual task.

    Raises:
      UserError: if there is no such task.
    """
    try:
        domain, task = split(name)
    except KeyError:
        raise UserError(unknown(name)) from None
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

    Raises:
      UserError: where these don't fit together.
    """
    substeps = round(control_dt / model.opt.timestep)
    if substeps < 1 or not np.isclose(substeps * model.opt.timestep, control_dt):
        raise UserError(
            f"{name}: control_dt {control_dt} is not a multiple of the timestep"
            f" {model.opt.timestep}"
        )
    _check_model_fields(name, model, initialise, twin)
    source = ModelSource(
        model, mujoco.MjData(model), initialise, substeps, round(seconds / control_dt)
    )
    task = ControlTask(name, source, twin, observation_size, num_envs, threads)
    _check_observation(task, observation_size)
    return task


def _check_model_fields(
    name: str, model: mujoco.MjModel, initialise: Initialise, twin: Twin
) -> None:
    """Refuse a place that `initialise` writes, but that MuJoCo does not read.

    It skips the `pos` of what was compiled at the origin of its body or of the body's mass.
    """
    trial = copy.copy(model)
    ModelSource(trial, mujoco.MjData(trial), initialise, 1, 1).restart(np.random.RandomState(0))
    unread = (mujoco.mjtSameFrame.mjSAMEFRAME_BODY, mujoco.mjtSameFrame.mjSAMEFRAME_INERTIA)
    for kind in ("geom", "site"):
        if f"{kind}_pos" not in twin.model_fields:
            continue
        moved = (getattr(trial, f"{kind}_pos") != getattr(model, f"{kind}_pos")).any(axis=1)
        for i in np.flatnonzero(moved & np.isin(getattr(model, f"{kind}_sameframe"), unread)):
            raise UserError(
                f"{name}: initialise moves {kind} '{getattr(model, kind)(i).name}', but MuJoCo"
                f" ignores {kind}_pos of what the XML places at its body's origin or centre of"
                " mass: give it another pos there"
            )


def _check_observation(task: ControlTask, size: int) -> None:
    """Refuse an observation that writes fewer or more numbers than it should."""
    simulation = task.simulation
    assert isinstance(simulation, Simulation)
    mujoco.mj_forward(simulation.models[0], simulation.datas[0])
    fills = np.array([0.0, 1.0])
    out = np.repeat(fills[:, None], size + _BEYOND, axis=1)
    for row in out:
        kernels.observe_present(simulation.tables[:1], simulation.functions[0], row[None])
    written = (out != fills[:, None]).any(axis=0)
    writes = int(np.argmin(written))
    if writes != size or written[size:].any():
        gap = written[writes:].any()
        said = f"skips out[{writes}]" if gap else f"writes {writes} numbers"
        raise UserError(
            f"{task.facts.name}: observation_size is {size}, but the twin's observation {said}"
        )
