# ruff: noqa: N999 (the domain's own name)
"""The CMU humanoid stands, walks or runs. Twin of `dm_control.suite.humanoid_CMU`."""

import mujoco

from suites.tasks.control.domains.humanoid import RUN_SPEED, WALK_SPEED, biped
from suites.tasks.control.physics import Y
from suites.tasks.control.twin import Twin


def _gait(model: mujoco.MjModel, speed: float) -> Twin:
    limbs = ("lhand", "lfoot", "rhand", "rfoot")
    return biped(model, "thorax", Y, "thorax_subtreelinvel", limbs, speed)


def stand(model: mujoco.MjModel) -> Twin:
    return _gait(model, 0.0)


def walk(model: mujoco.MjModel) -> Twin:
    return _gait(model, WALK_SPEED)


def run(model: mujoco.MjModel) -> Twin:
    return _gait(model, RUN_SPEED)
