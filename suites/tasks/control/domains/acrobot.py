"""Two links, driven at the elbow, swing up and balance. Twin of `dm_control.suite.acrobot`."""

import math

import mujoco
from numba import njit

from suites.tasks.control.observed import ObservedReward
from suites.tasks.control.parts import distance, write
from suites.tasks.control.physics import X, Z, observation, physics, scalar
from suites.tasks.control.rewards import gaussian, inside
from suites.tasks.control.twin import Twin, body, site


def _observe(model: mujoco.MjModel):
    upper, lower = body(model, "upper_arm"), body(model, "lower_arm")

    @observation
    def observe(table, out):
        """Sines and cosines of the links' angles to the vertical, velocities."""
        p = physics(table)
        out[0], out[1] = p.xmat[upper, X, Z], p.xmat[lower, X, Z]
        out[2], out[3] = p.xmat[upper, Z, Z], p.xmat[lower, Z, Z]
        write(out, 4, p.qvel)

    return observe


def _tip(model: mujoco.MjModel) -> tuple[float, float, float, float]:
    """Lengths of the links, how high the shoulder is, and the target, in m.

    All of it lies in one plane, the target straight above the shoulder.
    """
    upper, lower = body(model, "upper_arm"), body(model, "lower_arm")
    first, second = model.body_pos[lower, Z], model.site_pos[site(model, "tip"), Z]
    shoulder, target = model.body_pos[upper, Z], model.site_pos[site(model, "target"), Z]
    return float(first), float(second), float(shoulder), float(target)


@njit(cache=True)
def _away(seen, first, second, shoulder, target):
    """From the tip to the target in m, by sines and cosines."""
    x = first * seen[0] + second * seen[1]
    z = shoulder + first * seen[2] + second * seen[3] - target
    return math.sqrt(x * x + z * z)


def swingup(model: mujoco.MjModel) -> Twin:
    tip, target = site(model, "tip"), site(model, "target")

    @scalar
    def reward(table):
        p = physics(table)
        away = distance(p.site_xpos[tip], p.site_xpos[target])
        return gaussian(away, 0.0, p.site_size[target, 0], 1.0)

    radius, arm = float(model.site_size[target, 0]), _tip(model)

    @ObservedReward
    def observed_reward(seen, control):
        return gaussian(_away(seen, *arm), 0.0, radius, 1.0)

    return Twin(_observe(model), reward, observed_reward=observed_reward)


def swingup_sparse(model: mujoco.MjModel) -> Twin:
    tip, target = site(model, "tip"), site(model, "target")

    @scalar
    def reward(table):
        p = physics(table)
        away = distance(p.site_xpos[tip], p.site_xpos[target])
        return inside(away, 0.0, p.site_size[target, 0])

    radius, arm = float(model.site_size[target, 0]), _tip(model)

    @ObservedReward
    def observed_reward(seen, control):
        return inside(_away(seen, *arm), 0.0, radius)

    return Twin(_observe(model), reward, observed_reward=observed_reward)
