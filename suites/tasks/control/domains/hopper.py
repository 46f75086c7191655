"""A planar one-legged robot stands or hops. Twin of `dm_control.suite.hopper`."""

import math

import mujoco
from numba import njit

from suites.tasks.control.parts import small_control, write
from suites.tasks.control.physics import Z, observation, physics, scalar
from suites.tasks.control.rewards import INF, inside, linear
from suites.tasks.control.twin import Twin, body, sensor

STAND_HEIGHT = 0.6  # m of the torso above the foot
HOP_SPEED = 2.0  # m/s above which the reward is 1


@njit(cache=True)
def _standing(p, torso, foot):
    return inside(p.xipos[torso, Z] - p.xipos[foot, Z], STAND_HEIGHT, 2.0)


def _observe(model: mujoco.MjModel):
    toe, heel = sensor(model, "touch_toe"), sensor(model, "touch_heel")

    @observation
    def observe(table, out):
        """Positions but for the horizontal one, velocities, touch."""
        p = physics(table)
        at = write(out, write(out, 0, p.qpos[1:]), p.qvel)
        out[at], out[at + 1] = math.log1p(p.sensordata[toe]), math.log1p(p.sensordata[heel])

    return observe


def stand(model: mujoco.MjModel) -> Twin:
    torso, foot = body(model, "torso"), body(model, "foot")

    @scalar
    def reward(table):
        p = physics(table)
        return _standing(p, torso, foot) * small_control(p.ctrl)

    return Twin(_observe(model), reward)


def hop(model: mujoco.MjModel) -> Twin:
    torso, foot = body(model, "torso"), body(model, "foot")
    velocity = sensor(model, "torso_subtreelinvel")

    @scalar
    def reward(table):
        p = physics(table)
        speed = p.sensordata[velocity]
        return _standing(p, torso, foot) * linear(speed, HOP_SPEED, INF, HOP_SPEED / 2, 0.5)

    return Twin(_observe(model), reward)
