"""Pieces that the compiled twins of several domains share."""

import math

from numba import njit

from suites.tasks.control.physics import X, Y, Z
from suites.tasks.control.rewards import quadratic


@njit(cache=True)
def write(out, at, values):
    """Write `values` to `out[at], out[at + 1], ...`; returns the index after the last."""
    for i in range(values.size):
        out[at + i] = values[i]
    return at + values.size


@njit(cache=True)
def distance(start, end):
    """Length of the vector from one point in space to another."""
    x, y, z = end[X] - start[X], end[Y] - start[Y], end[Z] - start[Z]
    return math.sqrt(x * x + y * y + z * z)


@njit(cache=True)
def along(start, end, frame, axis):
    """Component of the vector from `start` to `end` along an axis of `frame` [3, 3]."""
    return (
        (end[X] - start[X]) * frame[X, axis]
        + (end[Y] - start[Y]) * frame[Y, axis]
        + (end[Z] - start[Z]) * frame[Z, axis]
    )


@njit(cache=True)
def small_control(ctrl):
    """From 1 with no control down to 0.8 where all controls are at their bounds of 1."""
    total = 0.0
    for i in range(ctrl.size):
        total += quadratic(ctrl[i], 0.0, 0.0, 1.0, 0.0)
    return (4 + total / ctrl.size) / 5
