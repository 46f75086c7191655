"""A planar cheetah runs. Twin of `dm_control.suite.cheetah`."""

import mujoco
import numpy as np

from suites.tasks.control.observed import ObservedReward, view
from suites.tasks.control.physics import observation, physics, scalar
from suites.tasks.control.planar import chain, forward_speed
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

    links, count = chain(model), model.nbody - 1

    @ObservedReward
    def observed_reward(seen, control):
        """After the height come the torso's angle and those of the hinges, then velocities."""
        angles = view(seen, 1, count).copy()
        for b in range(1, count):
            angles[b] += angles[links.parents[b]]
        turning = view(seen, 1 + count + 2, count)
        speed = forward_speed(links, np.cos(angles), np.sin(angles), seen[1 + count], turning)
        return linear(speed, RUN_SPEED, INF, RUN_SPEED, 0.0)

    return Twin(observe, reward, observed_reward=observed_reward)
