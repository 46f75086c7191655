"""A planar arm brings a ball or a peg to a target. Twin of `dm_control.suite.manipulator`."""

import math

import mujoco
from numba import njit

from suites.tasks.control.physics import X, Y, Z, observation, physics, scalar
from suites.tasks.control.rewards import gaussian
from suites.tasks.control.twin import Twin, body, joint_qpos, sensor_indices, site

CLOSE = 0.01  # m below which a thing is at its place
W = 0  # of a quaternion
# Each joint of the arm, and of a thing that it moves, has one coordinate and one velocity, and all
# stand at the same place in qpos as in qvel.
ARM = (
    *("arm_root", "arm_shoulder", "arm_elbow", "arm_wrist"),
    *("finger", "fingertip", "thumb", "thumbtip"),
)
TOUCH = ("palm_touch", "finger_touch", "thumb_touch", "fingertip_touch", "thumbtip_touch")


def joints(model: mujoco.MjModel, names: tuple[str, ...]) -> tuple[int, ...]:
    """Indices of joints in `qpos`, and in `qvel`."""
    return tuple(joint_qpos(model, name) for name in names)


@njit(cache=True)
def write_arm(p, arm, touch, out):
    """Write the arm's angles as sines and cosines, its velocities and touch; how many numbers."""
    at = 0
    for i in arm:
        out[at], out[at + 1] = math.sin(p.qpos[i]), math.cos(p.qpos[i])
        at += 2
    for i in arm:
        out[at] = p.qvel[i]
        at += 1
    for i in touch:
        out[at] = math.log1p(p.sensordata[i])
        at += 1
    return at


@njit(cache=True)
def write_pose(p, b, out, at):
    """Write a body's place and orientation in the plane to `out[at]` and on; where it ends."""
    out[at], out[at + 1] = p.xpos[b, X], p.xpos[b, Z]
    out[at + 2], out[at + 3] = p.xquat[b, W], p.xquat[b, 1 + Y]
    return at + 4


@njit(cache=True)
def distance(sites, a, b):
    """Between two of the places `sites` [n, 3]."""
    x, y, z = sites[a, X] - sites[b, X], sites[a, Y] - sites[b, Y], sites[a, Z] - sites[b, Z]
    return math.sqrt(x * x + y * y + z * z)


@njit(cache=True)
def _near(sites, a, b):
    return gaussian(distance(sites, a, b), 0.0, CLOSE, 2 * CLOSE)


def _observe(model: mujoco.MjModel, thing: str):
    arm, touch = joints(model, ARM), sensor_indices(model, TOUCH)
    moved = joints(model, (f"{thing}_x", f"{thing}_z", f"{thing}_y"))
    hand, object_, target = body(model, "hand"), body(model, thing), body(model, f"target_{thing}")

    @observation
    def observe(table, out):
        """The arm and touch, the hand, the thing and its velocity, the target."""
        p = physics(table)
        at = write_arm(p, arm, touch, out)
        at = write_pose(p, hand, out, at)
        at = write_pose(p, object_, out, at)
        for i in moved:
            out[at] = p.qvel[i]
            at += 1
        write_pose(p, target, out, at)

    return observe


# A reset writes the place and orientation of the target, and of cup or slot, into the model.
_WRITTEN = ("body_pos", "body_quat")


def bring_ball(model: mujoco.MjModel) -> Twin:
    ball, target = site(model, "ball"), site(model, "target_ball")

    @scalar
    def reward(table):
        return _near(physics(table).site_xpos, ball, target)

    return Twin(_observe(model, "ball"), reward, model_fields=_WRITTEN)


def bring_peg(model: mujoco.MjModel) -> Twin:
    peg, target = site(model, "peg"), site(model, "target_peg")
    tip, target_tip = site(model, "peg_tip"), site(model, "target_peg_tip")
    grasp, peg_grasp = site(model, "grasp"), site(model, "peg_grasp")
    pinch, peg_pinch = site(model, "pinch"), site(model, "peg_pinch")

    @scalar
    def reward(table):
        sites = physics(table).site_xpos
        grasping = (_near(sites, peg_grasp, grasp) + _near(sites, peg_pinch, pinch)) / 2
        bringing = (_near(sites, peg, target) + _near(sites, tip, target_tip)) / 2
        return max(bringing, grasping / 3)

    return Twin(_observe(model, "peg"), reward, model_fields=_WRITTEN)


insert_ball, insert_peg = bring_ball, bring_peg  # the cup and the slot are in the model
