"""A finger spins or turns a body on a hinge. Twin of `dm_control.suite.finger`."""

import math

import mujoco
from numba import njit

from suites.tasks.control.observed import ObservedReward
from suites.tasks.control.physics import X, Z, observation, physics, scalar
from suites.tasks.control.twin import Twin, sensor, sensor_indices, site

SPIN_SPEED = 15.0  # rad/s, backwards

# The sensors that both observations begin with; positions are relative to the spinner's hinge.
_NAMES = (
    *("proximal", "distal", "proximal_velocity", "distal_velocity", "hinge_velocity"),
    *("touchtop", "touchbottom"),
)


@njit(cache=True)
def _write_state(s, out, scalars, tip, spinner):
    """Joint angles, the tip's place, velocities, touch: out[0] to out[8]."""
    out[0], out[1] = s[scalars[0]], s[scalars[1]]
    out[2], out[3] = s[tip + X] - s[spinner + X], s[tip + Z] - s[spinner + Z]
    out[4], out[5], out[6] = s[scalars[2]], s[scalars[3]], s[scalars[4]]
    out[7], out[8] = math.log1p(s[scalars[5]]), math.log1p(s[scalars[6]])


@njit(cache=True)
def _to_surface(s, tip, spinner, target, radius):
    """Distance from the tip to the target's surface, negative inside."""
    x = (s[target + X] - s[spinner + X]) - (s[tip + X] - s[spinner + X])
    z = (s[target + Z] - s[spinner + Z]) - (s[tip + Z] - s[spinner + Z])
    return math.sqrt(x * x + z * z) - radius


def spin(model: mujoco.MjModel) -> Twin:
    scalars = sensor_indices(model, _NAMES)
    tip, spinner = sensor(model, "tip"), sensor(model, "spinner")
    velocity = sensor(model, "hinge_velocity")

    @observation
    def observe(table, out):
        """Joint angles, the tip's place, velocities, touch."""
        _write_state(physics(table).sensordata, out, scalars, tip, spinner)

    @scalar
    def reward(table):
        return 1.0 if physics(table).sensordata[velocity] <= -SPIN_SPEED else 0.0

    @ObservedReward
    def observed_reward(seen, control):
        return 1.0 if seen[6] <= -SPIN_SPEED else 0.0

    # A reset sets the friction of the hinge.
    return Twin(observe, reward, None, ("dof_damping",), observed_reward)


def turn_easy(model: mujoco.MjModel) -> Twin:
    scalars = sensor_indices(model, _NAMES)
    tip, spinner, target = (sensor(model, name) for name in ("tip", "spinner", "target"))
    target_site = site(model, "target")

    @observation
    def observe(table, out):
        """As for spin, then the target's place and the distance to its surface."""
        p = physics(table)
        s = p.sensordata
        _write_state(s, out, scalars, tip, spinner)
        out[9], out[10] = s[target + X] - s[spinner + X], s[target + Z] - s[spinner + Z]
        out[11] = _to_surface(s, tip, spinner, target, p.site_size[target_site, 0])

    @scalar
    def reward(table):
        p = physics(table)
        radius = p.site_size[target_site, 0]
        return 1.0 if _to_surface(p.sensordata, tip, spinner, target, radius) <= 0.0 else 0.0

    @ObservedReward
    def observed_reward(seen, control):
        return 1.0 if seen[11] <= 0.0 else 0.0

    # A reset writes the target's place and size into the model.
    return Twin(observe, reward, None, ("site_pos", "site_size"), observed_reward)


turn_hard = turn_easy  # the target's size is in the model
