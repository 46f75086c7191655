"""A planar cheetah runs. Twin of `dm_control.suite.cheetah`."""

import mujoco

from suites.tasks.control.physics import observation, physics, scalar
from suites.tasks.control.rewards import INF, linear
from suites.tasks.control.twin import Twin, sensor

RUN_SPEED = 10.0  # m/s above which the reward is 1


def run(model: mujoco.MjModel) -> Twin:
    velocity = sensor(model, "torso_subtreelinvel")

    @observation
    def observe(table, out):
        """Positions but for the horizontal one, then velocities."""
        p = physics(table)
        nq = p.qpos.size
        for i in range(1, nq):
            out[i - 1] = p.qpos[i]
        for i in range(p.qvel.size):
            out[nq - 1 + i] = p.qvel[i]

    @scalar
    def reward(table):
        return linear(physics(table).sensordata[velocity], RUN_SPEED, INF, RUN_SPEED, 0.0)

    return Twin(observe, reward)
