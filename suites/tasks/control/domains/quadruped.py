"""A four-legged walker. Twin of `dm_control.suite.quadruped` (walk and run)."""

import math

import mujoco

from suites.tasks.control.physics import Z, observation, physics, scalar
from suites.tasks.control.rewards import INF, linear
from suites.tasks.control.twin import Twin, body, sensor, sensor_indices

WALK_SPEED, RUN_SPEED = 0.5, 5.0  # m/s above which moving is worth 1
ROOT = 7  # coordinates of the free root joint in qpos; it has one velocity fewer
TOES = ("front_left", "front_right", "back_right", "back_left")


def _gait(model: mujoco.MjModel, speed: float) -> Twin:
    torso, velocity = body(model, "torso"), sensor(model, "velocimeter")
    imu = sensor_indices(model, ("imu_accel", "imu_gyro"))
    loads = sensor_indices(
        model, [f"{kind}_toe_{toe}" for kind in ("force", "torque") for toe in TOES]
    )

    @observation
    def observe(table, out):
        """Joint angles and velocities, activations, velocity, upright, IMU, loads on the toes."""
        p = physics(table)
        n = p.qpos.size - ROOT
        for i in range(n):
            out[i] = p.qpos[ROOT + i]
            out[n + i] = p.qvel[ROOT - 1 + i]
        at = 2 * n
        for i in range(p.act.size):
            out[at + i] = p.act[i]
        at += p.act.size
        for k in range(3):
            out[at + k] = p.sensordata[velocity + k]
        out[at + 3] = p.xmat[torso, Z, Z]
        at += 4
        for i in imu:
            out[at] = p.sensordata[i]
            at += 1
        for i in loads:
            out[at] = math.asinh(p.sensordata[i])
            at += 1

    @scalar
    def reward(table):
        p = physics(table)
        upright = linear(p.xmat[torso, Z, Z], 1.0, INF, 2.0, 0.0)
        return upright * linear(p.sensordata[velocity], speed, INF, speed, 0.5)

    return Twin(observe, reward)


def walk(model: mujoco.MjModel) -> Twin:
    return _gait(model, WALK_SPEED)


def run(model: mujoco.MjModel) -> Twin:
    return _gait(model, RUN_SPEED)
