"""`dm_control.utils.rewards.tolerance`, compiled, one function per sigmoid.

Each gives 1 inside `[lower, upper]`, and outside it falls off with the distance to the nearest
bound, measured in margins; at one margin it is `at_margin`. Source: Tassa et al. 2018, "DeepMind
Control Suite", section 4.2.
"""

import math

from numba import njit

INF = math.inf


@njit(cache=True)
def _distance(x, lower, upper, margin):
    """Distance to the bounds in margins; 0 inside. A NaN stays a NaN."""
    if x < lower:
        return (lower - x) / margin
    if x > upper:
        return (x - upper) / margin
    return 0.0 * x if math.isnan(x) else 0.0


@njit(cache=True)
def inside(x, lower, upper):
    """1 inside the bounds, 0 outside (`margin=0`)."""
    return 1.0 if lower <= x <= upper else 0.0


@njit(cache=True)
def gaussian(x, lower, upper, margin, at_margin=0.1):
    """exp(-d^2/2), scaled."""
    d = _distance(x, lower, upper, margin)
    if d == 0.0:
        return 1.0
    return math.exp(-0.5 * (d * math.sqrt(-2 * math.log(at_margin))) ** 2)


@njit(cache=True)
def linear(x, lower, upper, margin, at_margin=0.1):
    """1 - d, scaled, down to 0."""
    d = _distance(x, lower, upper, margin) * (1 - at_margin)
    return 1.0 - d if d < 1 else (d if math.isnan(d) else 0.0)


@njit(cache=True)
def quadratic(x, lower, upper, margin, at_margin=0.1):
    """1 - d^2, scaled, down to 0."""
    d = _distance(x, lower, upper, margin) * math.sqrt(1 - at_margin)
    return 1.0 - d**2 if d < 1 else (d if math.isnan(d) else 0.0)


@njit(cache=True)
def long_tail(x, lower, upper, margin, at_margin=0.1):
    """1 / (1 + d^2), scaled."""
    d = _distance(x, lower, upper, margin) * math.sqrt(1 / at_margin - 1)
    return 1 / (d**2 + 1)
