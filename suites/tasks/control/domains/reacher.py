"""A two-link arm reaches a target. Twin of `dm_control.suite.reacher`."""

import math

import mujoco
from numba import njit

from suites.tasks.control.observed import ObservedReward
from suites.tasks.control.physics import X, Y, observation, physics, scalar
from suites.tasks.control.rewards import inside
from suites.tasks.control.twin import Twin, geom

EASY_TARGET, HARD_TARGET = 0.05, 0.015  # m, radii


@njit(cache=True)
def _finger_to_target(p, finger, target):
    x = p.geom_xpos[target, X] - p.geom_xpos[finger, X]
    y = p.geom_xpos[target, Y] - p.geom_xpos[finger, Y]
    return x, y


def _reach(model: mujoco.MjModel, target_size: float) -> Twin:
    finger, target = geom(model, "finger"), geom(model, "target")

    @observation
    def observe(table, out):
        """Joint angles, the vector to the target, velocities."""
        p = physics(table)
        out[0], out[1] = p.qpos[0], p.qpos[1]
        out[2], out[3] = _finger_to_target(p, finger, target)
        out[4], out[5] = p.qvel[0], p.qvel[1]

    @scalar
    def reward(table):
        p = physics(table)
        x, y = _finger_to_target(p, finger, target)
        radii = p.geom_size[target, 0] + p.geom_size[finger, 0]
        return inside(math.sqrt(x * x + y * y), 0.0, radii)

    radii = target_size + float(model.geom_size[finger, 0])

    @ObservedReward
    def observed_reward(seen, control):
        return inside(math.sqrt(seen[2] ** 2 + seen[3] ** 2), 0.0, radii)

    # A reset writes the target's place and size into the model.
    return Twin(observe, reward, None, ("geom_pos", "geom_size"), observed_reward)


def easy(model: mujoco.MjModel) -> Twin:
    return _reach(model, EASY_TARGET)


def hard(model: mujoco.MjModel) -> Twin:
    return _reach(model, HARD_TARGET)
