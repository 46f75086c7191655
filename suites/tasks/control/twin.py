"""A compiled twin: the reward, observation and termination of a task in machine code."""

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
from numba.core.ccallback import CFunc

from suites.tasks.control.observed import ObservedReward


@dataclass(frozen=True)
class Twin:
    """What the kernels call at each control step.

    Attributes:
      observe: Compiled by `physics.observation`.
      reward: Compiled by `physics.scalar`; evaluated after the step, with the control still set.
      terminated: Compiled by `physics.scalar`; above 0 ends the episode. None: never.
      model_fields: Float64 arrays of `MjModel` that a reset writes (a target's place, a gain), so
        that they are part of the state.
      observed_reward: The same reward by what is observed. None: that does not tell it.
    """

    observe: CFunc
    reward: CFunc
    terminated: CFunc | None = None
    model_fields: tuple[str, ...] = ()
    observed_reward: ObservedReward | None = None


def _name2id(model: mujoco.MjModel, kind: mujoco.mjtObj, name: str) -> int:
    found = mujoco.mj_name2id(model, kind, name)
    if found < 0:
        raise KeyError(f"the model has no {kind.name.removeprefix('mjOBJ_').lower()} '{name}'")
    return found


def body(model: mujoco.MjModel, name: str) -> int:
    """Id of a body."""
    return _name2id(model, mujoco.mjtObj.mjOBJ_BODY, name)


def geom(model: mujoco.MjModel, name: str) -> int:
    """Id of a geom."""
    return _name2id(model, mujoco.mjtObj.mjOBJ_GEOM, name)


def site(model: mujoco.MjModel, name: str) -> int:
    """Id of a site."""
    return _name2id(model, mujoco.mjtObj.mjOBJ_SITE, name)


def joint_qpos(model: mujoco.MjModel, name: str) -> int:
    """Index of a joint's first coordinate in `qpos`."""
    return int(model.jnt_qposadr[_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name)])


def joint_qvel(model: mujoco.MjModel, name: str) -> int:
    """Index of a joint's first coordinate in `qvel`."""
    return int(model.jnt_dofadr[_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name)])


def sensor(model: mujoco.MjModel, name: str) -> int:
    """Index of a sensor's first number in `sensordata`."""
    return int(model.sensor_adr[_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, name)])


def sensor_indices(model: mujoco.MjModel, names: Sequence[str]) -> tuple[int, ...]:
    """Indices in `sensordata` of all numbers of some sensors, in the order of the names."""
    ids = [_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, name) for name in names]
    return tuple(int(model.sensor_adr[i]) + k for i in ids for k in range(int(model.sensor_dim[i])))
