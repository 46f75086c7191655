"""Action sequences as splines through a few knots: fewer numbers to search over, smoother motion."""

import numpy as np

KINDS = ("zero", "linear", "cubic")


def weights(times: np.ndarray, knots: int, horizon: int, kind: str) -> np.ndarray:
    """The matrix [T, P] that turns P knots into actions at `times` (in steps, 0 to horizon - 1).

    Knots are spread evenly over the horizon: with linear and cubic splines the first and the last
    lie at its ends; with zero-order hold each lasts `horizon / knots` steps. Cubic is Catmull-Rom
    with one-sided slopes at the ends. Times beyond the ends are held there.
    """
    if knots == 1:
        return np.ones((len(times), 1))
    if kind == "zero":
        piece = np.clip((times * knots / horizon + 1e-9).astype(int), 0, knots - 1)
        return np.eye(knots)[piece]
    position = np.clip(times / max(horizon - 1, 1), 0, 1) * (knots - 1)
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
