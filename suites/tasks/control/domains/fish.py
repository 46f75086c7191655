"""A fish rights itself, or swims to a target. Twin of `dm_control.suite.fish`."""

import math

import mujoco
from numba import njit

from suites.tasks.control.parts import along, write
from suites.tasks.control.physics import X, Y, Z, observation, physics, scalar
from suites.tasks.control.rewards import gaussian
from suites.tasks.control.twin import Twin, body, geom, joint_qpos


@njit(cache=True)
def _mouth_to_target(p, mouth, target):
    """Vector to the target in the frame of the mouth."""
    start, end, frame = p.geom_xpos[mouth], p.geom_xpos[target], p.geom_xmat[mouth]
    return along(start, end, frame, X), along(start, end, frame, Y), along(start, end, frame, Z)


def upright(model: mujoco.MjModel) -> Twin:
    torso, first = body(model, "torso"), joint_qpos(model, "tail1")

    @observation
    def observe(table, out):
        """Joint angles, the height of the torso's z axis, velocities."""
        p = physics(table)
        at = write(out, 0, p.qpos[first:])
        out[at] = p.xmat[torso, Z, Z]
        write(out, at + 1, p.qvel)

    @scalar
    def reward(table):
        return gaussian(physics(table).xmat[torso, Z, Z], 1.0, 1.0, 1.0)

    return Twin(observe, reward)


def swim(model: mujoco.MjModel) -> Twin:
    torso, first = body(model, "torso"), joint_qpos(model, "tail1")
    mouth, target = geom(model, "mouth"), geom(model, "target")

    @observation
    def observe(table, out):
        """Joint angles, the height of the torso's z axis, the target, velocities."""
        p = physics(table)
        at = write(out, 0, p.qpos[first:])
        out[at] = p.xmat[torso, Z, Z]
        out[at + 1], out[at + 2], out[at + 3] = _mouth_to_target(p, mouth, target)
        write(out, at + 4, p.qvel)

    @scalar
    def reward(table):
        p = physics(table)
        x, y, z = _mouth_to_target(p, mouth, target)
        radii = p.geom_size[mouth, 0] + p.geom_size[target, 0]
        in_target = gaussian(math.sqrt(x * x + y * y + z * z), 0.0, radii, 2 * radii)
        is_upright = 0.5 * (p.xmat[torso, Z, Z] + 1)
        return (7 * in_target + is_upright) / 8

    # A reset writes the target's place into the model.
    return Twin(observe, reward, model_fields=("geom_pos",))
