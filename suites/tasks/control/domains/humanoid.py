"""A humanoid stands, walks or runs. Twin of `dm_control.suite.humanoid`."""

import math

import mujoco
from numba import njit

from suites.tasks.control.physics import X, Y, Z, observation, physics, scalar
from suites.tasks.control.rewards import INF, gaussian, linear, quadratic
from suites.tasks.control.twin import Twin, body, sensor

STAND_HEIGHT = 1.4  # m, of the head, above which standing is worth 1
WALK_SPEED, RUN_SPEED = 1.0, 10.0  # m/s above which moving is worth 1
ROOT = 7  # coordinates of the free root joint in qpos


@njit(cache=True)
def small_control(ctrl):
    """1 for no control at all; 0.8 where each actuator is at 1 or more."""
    total = 0.0
    for j in range(ctrl.size):
        total += quadratic(ctrl[j], 0.0, 0.0, 1.0, 0.0)
    return (4 + total / ctrl.size) / 5


def biped(
    model: mujoco.MjModel, torso: str, up: int, velocity: str, limbs: tuple[str, ...], speed: float
) -> Twin:
    """Egocentric observation and reward of a humanoid, also of the CMU one.

    Arguments:
      up: The axis of the body `torso` that points up when it stands.
      velocity: The sensor of the centre of mass's velocity.
      limbs: The bodies whose place relative to the torso is observed.
      speed: Target in m/s; 0: stand still.
    """
    trunk, head, com = body(model, torso), body(model, "head"), sensor(model, velocity)
    ends = tuple(body(model, limb) for limb in limbs)

    @observation
    def observe(table, out):
        """Joint angles, height of the head, limbs, the vertical, velocity, velocities."""
        p = physics(table)
        at = p.qpos.size - ROOT
        for i in range(at):
            out[i] = p.qpos[ROOT + i]
        out[at] = p.xpos[head, Z]
        at += 1
        for end in ends:
            x = p.xpos[end, X] - p.xpos[trunk, X]
            y = p.xpos[end, Y] - p.xpos[trunk, Y]
            z = p.xpos[end, Z] - p.xpos[trunk, Z]
            for k in range(3):
                frame = p.xmat[trunk, :, k]
                out[at + k] = x * frame[X] + y * frame[Y] + z * frame[Z]
            at += 3
        for k in range(3):
            out[at + k] = p.xmat[trunk, Z, k]
            out[at + 3 + k] = p.sensordata[com + k]
        at += 6
        for i in range(p.qvel.size):
            out[at + i] = p.qvel[i]

    @scalar
    def reward(table):
        p = physics(table)
        standing = gaussian(p.xpos[head, Z], STAND_HEIGHT, INF, STAND_HEIGHT / 4)
        upright = linear(p.xmat[trunk, Z, up], 0.9, INF, 1.9, 0.0)
        good = small_control(p.ctrl) * standing * upright
        x, y = p.sensordata[com], p.sensordata[com + 1]
        if speed == 0:
            return good * (gaussian(x, 0.0, 0.0, 2.0) + gaussian(y, 0.0, 0.0, 2.0)) / 2
        return good * (5 * linear(math.sqrt(x * x + y * y), speed, INF, speed, 0.0) + 1) / 6

    return Twin(observe, reward)


def _gait(model: mujoco.MjModel, speed: float) -> Twin:
    limbs = ("left_hand", "left_foot", "right_hand", "right_foot")
    return biped(model, "torso", Z, "torso_subtreelinvel", limbs, speed)


def stand(model: mujoco.MjModel) -> Twin:
    return _gait(model, 0.0)


def walk(model: mujoco.MjModel) -> Twin:
    return _gait(model, WALK_SPEED)


def run(model: mujoco.MjModel) -> Twin:
    return _gait(model, RUN_SPEED)


def run_pure_state(model: mujoco.MjModel) -> Twin:
    @observation
    def observe(table, out):
        """Positions, then velocities."""
        p = physics(table)
        for i in range(p.qpos.size):
            out[i] = p.qpos[i]
        for i in range(p.qvel.size):
            out[p.qpos.size + i] = p.qvel[i]

    return Twin(observe, run(model).reward)
