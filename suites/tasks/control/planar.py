"""How fast a planar robot's centre of mass goes forward, by what is observed of it."""

from typing import NamedTuple

import mujoco
import numpy as np
from numba import njit

from suites.tasks.control.physics import X, Z


class Chain(NamedTuple):
    """Bodies that turn about the y axis on hinges, the first of them the torso.

    Attributes:
      parents: Of each body but the torso, counted without the world.
      hinge_x, hinge_z: From the parent's origin to the hinge, in the parent's frame; in m.
      origin_x, origin_z: From the hinge to the body's origin, in the body's frame.
      mass_x, mass_z: From the body's origin to its centre of mass.
      masses: In shares of the whole.
      turns: 1 where a positive angle turns about +y, -1 about -y.
    """

    parents: tuple[int, ...]
    hinge_x: tuple[float, ...]
    hinge_z: tuple[float, ...]
    origin_x: tuple[float, ...]
    origin_z: tuple[float, ...]
    mass_x: tuple[float, ...]
    mass_z: tuple[float, ...]
    masses: tuple[float, ...]
    turns: tuple[float, ...]


def chain(model: mujoco.MjModel) -> Chain:
    """The chain of a model whose bodies all have one hinge each, the torso two slides before it."""
    hinges = np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE)
    hinge, joint = model.body_pos[1:] + model.jnt_pos[hinges], model.jnt_pos[hinges]
    com, mass = model.body_ipos[1:], model.body_mass[1:] / model.body_mass.sum()
    columns = hinge[:, X], hinge[:, Z], -joint[:, X], -joint[:, Z], com[:, X], com[:, Z], mass
    parents = tuple(int(parent) - 1 for parent in model.body_parentid[1:])
    turns = np.sign(model.jnt_axis[hinges, 1])
    return Chain(parents, *(tuple(column.tolist()) for column in (*columns, turns)))


@njit(cache=True)
def forward_speed(chain, cosines, sines, speed, turning):
    """Of the centre of mass, in m/s.

    Of bodies turned by angles [n] about +y from where they were modelled, `turning` [n] in rad/s
    against their parents, where the torso's origin goes at `speed`. With a turn of w about +y, a
    point at a height z above another goes faster than it by w z.
    """
    count = len(chain.masses)
    speeds, rates, total = np.empty(count), np.empty(count), 0.0
    for b in range(count):
        speeds[b], rates[b] = speed, chain.turns[b] * turning[b]
        if b > 0:
            a = chain.parents[b]
            rates[b] += rates[a]
            up = chain.hinge_z[b] * cosines[a] - chain.hinge_x[b] * sines[a]
            down = chain.origin_z[b] * cosines[b] - chain.origin_x[b] * sines[b]
            speeds[b] = speeds[a] + rates[a] * up + rates[b] * down
        com = chain.mass_z[b] * cosines[b] - chain.mass_x[b] * sines[b]
        total += chain.masses[b] * (speeds[b] + rates[b] * com)
    return total
