"""A planar walker stands, walks or runs. Twin of `dm_control.suite.walker`."""

import mujoco

from suites.tasks.control.physics import X, Z, observation, physics, scalar
from suites.tasks.control.rewards import INF, gaussian, linear
from suites.tasks.control.twin import Twin, body, sensor

STAND_HEIGHT = 1.2  # m, of the torso, above which standing is worth 1
WALK_SPEED, RUN_SPEED = 1.0, 8.0  # m/s above which moving is worth 1


def _gait(model: mujoco.MjModel, speed: float) -> Twin:
    torso, velocity = body(model, "torso"), sensor(model, "torso_subtreelinvel")

    @observation
    def observe(table, out):
        """Orientation of each body in the plane, height of the torso, velocities."""
        p = physics(table)
        at = 0
        for b in range(1, p.xmat.shape[0]):
            out[at], out[at + 1] = p.xmat[b, X, X], p.xmat[b, X, Z]
            at += 2
        out[at] = p.xpos[torso, Z]
        for i in range(p.qvel.size):
            out[at + 1 + i] = p.qvel[i]

    @scalar
    def reward(table):
        p = physics(table)
        standing = gaussian(p.xpos[torso, Z], STAND_HEIGHT, INF, STAND_HEIGHT / 2)
        upright = (1 + p.xmat[torso, Z, Z]) / 2
        stand = (3 * standing + upright) / 4
        if speed == 0:
            return stand
        return stand * (5 * linear(p.sensordata[velocity], speed, INF, speed / 2, 0.5) + 1) / 6

    return Twin(observe, reward)


def stand(model: mujoco.MjModel) -> Twin:
    return _gait(model, 0.0)


def walk(model: mujoco.MjModel) -> Twin:
    return _gait(model, WALK_SPEED)


def run(model: mujoco.MjModel) -> Twin:
    return _gait(model, RUN_SPEED)
