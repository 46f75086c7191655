"""A point mass on a plane goes to the middle. Twin of `dm_control.suite.point_mass`."""

import dataclasses
import math

import mujoco

from suites.tasks.control.observed import ObservedReward, view
from suites.tasks.control.parts import distance, small_control, write
from suites.tasks.control.physics import observation, physics, scalar
from suites.tasks.control.rewards import gaussian
from suites.tasks.control.twin import Twin, geom


def easy(model: mujoco.MjModel) -> Twin:
    mass, target = geom(model, "pointmass"), geom(model, "target")

    @observation
    def observe(table, out):
        """Positions, then velocities."""
        p = physics(table)
        write(out, write(out, 0, p.qpos), p.qvel)

    @scalar
    def reward(table):
        p = physics(table)
        size = p.geom_size[target, 0]
        away = distance(p.geom_xpos[mass], p.geom_xpos[target])
        return gaussian(away, 0.0, size, size) * small_control(p.ctrl)

    size = float(model.geom_size[target, 0])

    @ObservedReward
    def observed_reward(seen, control):
        away = math.sqrt(seen[0] ** 2 + seen[1] ** 2)
        return gaussian(away, 0.0, size, size) * small_control(view(control, 0, 2))

    return Twin(observe, reward, observed_reward=observed_reward)


def hard(model: mujoco.MjModel) -> Twin:
    # A reset draws the directions in which the two controls push, as gains of the tendons.
    return dataclasses.replace(easy(model), model_fields=("wrap_prm",))
