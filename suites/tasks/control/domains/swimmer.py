"""A planar chain of links swims to a target. Twin of `dm_control.suite.swimmer`."""

import math

import mujoco
from numba import njit

from suites.tasks.control.parts import along, write
from suites.tasks.control.physics import X, Y, observation, physics, scalar
from suites.tasks.control.rewards import long_tail
from suites.tasks.control.twin import Twin, body, geom, joint_qpos, sensor


@njit(cache=True)
def _nose_to_target(p, nose, target, head):
    """Vector to the target in the plane and frame of the head."""
    start, end, frame = p.geom_xpos[nose], p.geom_xpos[target], p.xmat[head]
    return along(start, end, frame, X), along(start, end, frame, Y)


def swimmer6(model: mujoco.MjModel) -> Twin:
    nose, target, head = geom(model, "nose"), geom(model, "target"), body(model, "head")
    first_joint, first_link = joint_qpos(model, "joint_0"), sensor(model, "head_vel")

    @observation
    def observe(table, out):
        """Joint angles, the target, velocities of each link: in its plane, and turning."""
        p = physics(table)
        at = write(out, 0, p.qpos[first_joint:])
        out[at], out[at + 1] = _nose_to_target(p, nose, target, head)
        at += 2
        # Of each link: three numbers of a velocimeter, then three of a gyroscope.
        for link in range(first_link, p.sensordata.size, 6):
            out[at], out[at + 1] = p.sensordata[link], p.sensordata[link + 1]
            out[at + 2] = p.sensordata[link + 5]
            at += 3

    @scalar
    def reward(table):
        p = physics(table)
        x, y = _nose_to_target(p, nose, target, head)
        size = p.geom_size[target, 0]
        return long_tail(math.sqrt(x * x + y * y), 0.0, size, 5 * size)

    # A reset writes the target's place into the model.
    return Twin(observe, reward, model_fields=("geom_pos",))


swimmer15 = swimmer6  # the number of links is in the model
