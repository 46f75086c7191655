"""Masses on springs come to rest, at a quadratic cost. Twin of `dm_control.suite.lqr`."""

import mujoco
from numba import njit

from suites.tasks.control.parts import write
from suites.tasks.control.physics import observation, physics, scalar
from suites.tasks.control.twin import Twin

CONTROL_COST = 0.1
AT_REST = 1e-6  # norm of positions and velocities under which the episode ends


@njit(cache=True)
def _sum_of_squares(values):
    total = 0.0
    for i in range(values.size):
        total += values[i] * values[i]
    return total


def lqr_2_1(model: mujoco.MjModel) -> Twin:
    @observation
    def observe(table, out):
        """Positions, then velocities."""
        p = physics(table)
        write(out, write(out, 0, p.qpos), p.qvel)

    @scalar
    def reward(table):
        p = physics(table)
        state, control = 0.5 * _sum_of_squares(p.qpos), 0.5 * _sum_of_squares(p.ctrl)
        return 1 - (state + control * CONTROL_COST)

    @scalar
    def terminated(table):
        p = physics(table)
        norm = (_sum_of_squares(p.qpos) + _sum_of_squares(p.qvel)) ** 0.5
        return 1.0 if norm < AT_REST else 0.0

    # The springs are drawn with the seed.
    return Twin(observe, reward, terminated, model_fields=("jnt_stiffness",))


lqr_6_2 = lqr_2_1  # the numbers of masses and motors are in the model
