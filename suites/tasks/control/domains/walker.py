"""A planar walker stands, walks or runs. Twin of `dm_control.suite.walker`."""

import mujoco
from numba import njit

from suites.tasks.control.observed import ObservedReward, view
from suites.tasks.control.physics import X, Z, observation, physics, scalar
from suites.tasks.control.planar import chain, forward_speed
from suites.tasks.control.rewards import INF, gaussian, linear
from suites.tasks.control.twin import Twin, body, joint_qvel, sensor

STAND_HEIGHT = 1.2  # m, of the torso, above which standing is worth 1
WALK_SPEED, RUN_SPEED = 1.0, 8.0  # m/s above which moving is worth 1


@njit(cache=True)
def _paid(height, upright, speed, target):
    """The reward of a torso so high, by the cosine of its tilt and its speed."""
    standing = gaussian(height, STAND_HEIGHT, INF, STAND_HEIGHT / 2)
    stand = (3 * standing + (1 + upright) / 2) / 4
    if target == 0:
        return stand
    return stand * (5 * linear(speed, target, INF, target / 2, 0.5) + 1) / 6


def _gait(model: mujoco.MjModel, target: float) -> Twin:
    torso, velocity = body(model, "torso"), sensor(model, "torso_subtreelinvel")
    ahead = joint_qvel(model, "rootx")

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
        return _paid(p.xpos[torso, Z], p.xmat[torso, Z, Z], p.sensordata[velocity], target)

    links, count = chain(model), model.nbody - 1

    @ObservedReward
    def observed_reward(seen, control):
        across = view(seen, 0, 2 * count)
        qvel = view(seen, 2 * count + 1, 2 + count)
        speed = forward_speed(links, across[::2], across[1::2], qvel[ahead], qvel[2:])
        return _paid(seen[2 * count], seen[0], speed, target)

    return Twin(observe, reward, observed_reward=observed_reward)


def stand(model: mujoco.MjModel) -> Twin:
    return _gait(model, 0.0)


def walk(model: mujoco.MjModel) -> Twin:
    return _gait(model, WALK_SPEED)


def run(model: mujoco.MjModel) -> Twin:
    return _gait(model, RUN_SPEED)
