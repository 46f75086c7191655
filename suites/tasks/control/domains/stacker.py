"""A planar arm stacks boxes. Twin of `dm_control.suite.stacker`."""

import mujoco

from suites.tasks.control.domains.manipulator import (
    ARM,
    TOUCH,
    distance,
    joints,
    write_arm,
    write_pose,
)
from suites.tasks.control.physics import X, Z, observation, physics, scalar
from suites.tasks.control.rewards import INF, gaussian
from suites.tasks.control.twin import Twin, body, geom, sensor_indices, site

FAR, CLOSE = 0.1, 0.01  # m from the target beyond which the hand has let go; m of margin


def _stack(model: mujoco.MjModel, n_boxes: int) -> Twin:
    names = [f"box{i}" for i in range(n_boxes)]
    arm, touch = joints(model, ARM), sensor_indices(model, TOUCH)
    hand, target = body(model, "hand"), body(model, "target")
    boxes = tuple(body(model, name) for name in names)
    moved = joints(model, tuple(f"{name}_{axis}" for name in names for axis in "xyz"))
    box_sites = tuple(site(model, name) for name in names)
    target_site, grasp = site(model, "target"), site(model, "grasp")
    box_size = float(model.geom_size[geom(model, "target"), 0])

    @observation
    def observe(table, out):
        """The arm and touch, the hand, the boxes and their velocities, the target."""
        p = physics(table)
        at = write_arm(p, arm, touch, out)
        at = write_pose(p, hand, out, at)
        for box in boxes:
            at = write_pose(p, box, out, at)
        for i in moved:
            out[at] = p.qvel[i]
            at += 1
        out[at], out[at + 1] = p.xpos[target, X], p.xpos[target, Z]

    @scalar
    def reward(table):
        sites = physics(table).site_xpos
        nearest = INF
        for box in box_sites:
            nearest = min(nearest, distance(sites, box, target_site))
        close = gaussian(nearest, 0.0, 0.0, 2 * box_size)
        return close * gaussian(distance(sites, grasp, target_site), FAR, INF, CLOSE)

    # A reset writes the target's place into the model.
    return Twin(observe, reward, model_fields=("body_pos",))


def stack_2(model: mujoco.MjModel) -> Twin:
    return _stack(model, 2)


def stack_4(model: mujoco.MjModel) -> Twin:
    return _stack(model, 4)
