"""Motion as splines through a few knots: fewer numbers to search over, and smoother."""

import numpy as np

KINDS = ("zero", "linear", "cubic")


def weights(steps: int, knots: int, kind: str) -> np.ndarray:
    """The matrix [T, P] that carries P knots to T control steps.

    With linear and cubic splines the first and the last knot lie at the ends; with zero-order hold
    each lasts `steps / knots` control steps. Cubic is Catmull-Rom, with one-sided end slopes.
    """
    if knots == 1:
        return np.ones((steps, 1))
    if kind == "zero":
        return np.eye(knots)[np.arange(steps) * knots // steps]
    position = np.linspace(0, knots - 1, steps)
    left = np.minimum(position.astype(int), knots - 2)
    t = (position - left)[:, None]
    identity = np.eye(knots)
    p0, p1 = identity[left], identity[left + 1]
    if kind == "linear":
        return (1 - t) * p0 + t * p1
    slopes = np.gradient(identity, axis=0)
    m0, m1 = slopes[left], slopes[left + 1]
    return (
        (2 * t**3 - 3 * t**2 + 1) * p0
        + (t**3 - 2 * t**2 + t) * m0
        + (3 * t**2 - 2 * t**3) * p1
        + (t**3 - t**2) * m1
    )
