"""A cup catches the ball that hangs from it. Twin of `dm_control.suite.ball_in_cup`."""

import mujoco

from suites.tasks.control.parts import write
from suites.tasks.control.physics import X, Z, observation, physics, scalar
from suites.tasks.control.twin import Twin, body, geom, site


def catch(model: mujoco.MjModel) -> Twin:
    ball, ball_geom, target = body(model, "ball"), geom(model, "ball"), site(model, "target")

    @observation
    def observe(table, out):
        """Positions, then velocities."""
        p = physics(table)
        write(out, write(out, 0, p.qpos), p.qvel)

    @scalar
    def reward(table):
        """1 where the whole ball is in the cup."""
        p = physics(table)
        radius = p.geom_size[ball_geom, 0]
        x = abs(p.site_xpos[target, X] - p.xpos[ball, X])
        z = abs(p.site_xpos[target, Z] - p.xpos[ball, Z])
        within_x = x < p.site_size[target, X] - radius
        within_z = z < p.site_size[target, Z] - radius
        return 1.0 if within_x and within_z else 0.0

    return Twin(observe, reward)
