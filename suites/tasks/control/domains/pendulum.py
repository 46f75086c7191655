"""A pendulum with too weak a motor swings up. Twin of `dm_control.suite.pendulum`."""

import math

import mujoco

from suites.tasks.control.observed import ObservedReward
from suites.tasks.control.physics import X, Z, observation, physics, scalar
from suites.tasks.control.rewards import INF, inside
from suites.tasks.control.twin import Twin, body

COSINE_BOUND = math.cos(math.radians(8))


def swingup(model: mujoco.MjModel) -> Twin:
    pole = body(model, "pole")

    @observation
    def observe(table, out):
        """Cosine and sine of the angle, velocity."""
        p = physics(table)
        out[0], out[1], out[2] = p.xmat[pole, Z, Z], p.xmat[pole, X, Z], p.qvel[0]

    @scalar
    def reward(table):
        return inside(physics(table).xmat[pole, Z, Z], COSINE_BOUND, 1.0)

    @ObservedReward
    def observed_reward(seen, control):
        return inside(seen[0], COSINE_BOUND, INF)

    return Twin(observe, reward, observed_reward=observed_reward)
