"""A cup catches the ball that hangs from it. Twin of `dm_control.suite.ball_in_cup`."""

import mujoco

from suites.tasks.control.observed import ObservedReward
from suites.tasks.control.parts import write
from suites.tasks.control.physics import X, Z, observation, physics, scalar
from suites.tasks.control.twin import Twin, body, geom, site


def catch(model: mujoco.MjModel) -> Twin:
    ball, ball_geom, target = body(model, "ball"), geom(model, "ball"), site(model, "target")
    half_x, half_z = (
        float(model.site_size[target, k] - model.geom_size[ball_geom, 0]) for k in (X, Z)
    )

    @observation
    def observe(table, out):
        """Positions, then velocities."""
        p = physics(table)
        write(out, write(out, 0, p.qpos), p.qvel)

    @scalar
    def reward(table):
        """1 where the whole ball is in the cup."""
        p = physics(table)
        x = p.site_xpos[target, X] - p.xpos[ball, X]
        z = p.site_xpos[target, Z] - p.xpos[ball, Z]
        return 1.0 if abs(x) < half_x and abs(z) < half_z else 0.0

    at_zero = mujoco.MjData(model)
    at_zero.qpos[:] = 0
    mujoco.mj_kinematics(model, at_zero)
    start = at_zero.site_xpos[target] - at_zero.xpos[ball]
    start_x, start_z = float(start[X]), float(start[Z])

    @ObservedReward
    def observed_reward(seen, control):
        x, z = start_x + seen[0] - seen[2], start_z + seen[1] - seen[3]
        return 1.0 if abs(x) < half_x and abs(z) < half_z else 0.0

    return Twin(observe, reward, observed_reward=observed_reward)
