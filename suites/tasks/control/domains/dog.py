"""A dog stands, walks, trots or runs. Twin of `dm_control.suite.dog` (all but fetch)."""

import math

import mujoco
from numba import njit

from suites.tasks.control.physics import X, Y, Z, observation, physics, scalar
from suites.tasks.control.rewards import INF, gaussian, linear
from suites.tasks.control.twin import Twin, body, sensor, sensor_indices

STAND_HEIGHT = 0.9  # of the default pose's height, above which standing is worth 1
UPRIGHT = math.cos(math.radians(30))  # cosine to the vertical above which a body is upright
WALK_SPEED, TROT_SPEED, RUN_SPEED = 1.0, 3.0, 9.0  # m/s above which moving is worth 1
ROOT = 7  # coordinates of the free root joint in qpos; it has one velocity fewer


@njit(cache=True)
def _along(p, trunk, axis, velocity):
    """The velocity of the centre of mass along an axis of the torso."""
    v, frame = p.sensordata, p.xmat[trunk, :, axis]
    return v[velocity] * frame[X] + v[velocity + 1] * frame[Y] + v[velocity + 2] * frame[Z]


def _gait(model: mujoco.MjModel, speed: float) -> Twin:
    skull, trunk, pelvis = body(model, "skull"), body(model, "torso"), body(model, "pelvis")
    velocity = sensor(model, "torso_linvel")
    soles = sensor_indices(model, ("palm_L", "palm_R", "sole_L", "sole_R"))
    sensors = (
        *sensor_indices(model, ("accelerometer", "velocimeter", "gyro")),
        *sensor_indices(model, ("foot_L", "foot_R", "hand_L", "hand_R")),
        *soles,
    )
    default = mujoco.MjData(model)
    mujoco.mj_forward(model, default)
    torso_height = STAND_HEIGHT * float(default.xpos[trunk, Z])
    pelvis_height = STAND_HEIGHT * float(default.xpos[pelvis, Z])
    weight = -float(model.opt.gravity[Z] * model.body_subtreemass[trunk])  # N

    @observation
    def observe(table, out):
        """Joint angles and velocities, heights, verticals, velocity, sensors, activations."""
        p = physics(table)
        n = p.qpos.size - ROOT
        for i in range(n):
            out[i] = p.qpos[ROOT + i]
            out[n + i] = p.qvel[ROOT - 1 + i]
        at = 2 * n
        out[at], out[at + 1] = p.xpos[trunk, Z], p.xpos[pelvis, Z]
        at += 2
        for k in range(3):
            out[at + k] = p.xmat[skull, Z, k]
            out[at + 3 + k] = p.xmat[trunk, Z, k]
            out[at + 6 + k] = p.xmat[pelvis, Z, k]
            out[at + 9 + k] = _along(p, trunk, k, velocity)
        at += 12
        for i in sensors:
            out[at] = p.sensordata[i]
            at += 1
        for i in range(p.act.size):
            out[at + i] = p.act[i]

    @scalar
    def reward(table):
        p = physics(table)
        value = gaussian(p.xpos[trunk, Z], torso_height, INF, torso_height)
        value *= gaussian(p.xpos[pelvis, Z], pelvis_height, INF, pelvis_height)
        for b in (skull, trunk, pelvis):
            value *= linear(p.xmat[b, Z, Z], UPRIGHT, INF, UPRIGHT + 1, 0.0)
        touch = 0.0
        for i in soles:
            touch += p.sensordata[i]
        value *= linear(touch, weight, INF, weight, 0.9)
        if speed == 0:
            return value
        forward = _along(p, trunk, X, velocity)
        return value * (4 * linear(forward, speed, 2 * speed, max(1.0, speed), 0.0) + 1) / 5

    return Twin(observe, reward)


def stand(model: mujoco.MjModel) -> Twin:
    return _gait(model, 0.0)


def walk(model: mujoco.MjModel) -> Twin:
    return _gait(model, WALK_SPEED)


def trot(model: mujoco.MjModel) -> Twin:
    return _gait(model, TROT_SPEED)


def run(model: mujoco.MjModel) -> Twin:
    return _gait(model, RUN_SPEED)
