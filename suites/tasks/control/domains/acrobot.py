"""Two links, driven at the elbow, swing up and balance. Twin of `dm_control.suite.acrobot`."""

import mujoco

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


def swingup(model: mujoco.MjModel) -> Twin:
    tip, target = site(model, "tip"), site(model, "target")

    @scalar
    def reward(table):
        p = physics(table)
        away = distance(p.site_xpos[tip], p.site_xpos[target])
        return gaussian(away, 0.0, p.site_size[target, 0], 1.0)

    return Twin(_observe(model), reward)


def swingup_sparse(model: mujoco.MjModel) -> Twin:
    tip, target = site(model, "tip"), site(model, "target")

    @scalar
    def reward(table):
        p = physics(table)
        away = distance(p.site_xpos[tip], p.site_xpos[target])
        return inside(away, 0.0, p.site_size[target, 0])

    return Twin(_observe(model), reward)
