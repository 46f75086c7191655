"""How soon learning pays: curves of several seeds, areas, and steps to a threshold.

A curve is what evaluations of one run found: steps [E], ascending, and scores [E]. Runs may have
been evaluated at different steps, and have had different budgets.

A run that never reached the threshold is censored: all that is known of its steps to the threshold
is that they are more than its budget. To leave such runs out would favour methods that often fail,
to count them as arriving at the budget those with a small one. The estimate of Kaplan and Meier
(1958) does neither; docs/statistics.md has an example.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from suites.statistics import (
    DEFAULT,
    Band,
    Interval,
    Resampling,
    Statistic,
    band,
    interval,
    iqm,
    pool,
)

Curve = tuple[np.ndarray, np.ndarray]


def common_steps(curves: Sequence[Curve]) -> np.ndarray:
    """All steps [G] with an evaluation of some run, where all runs have data.

    That is from the latest first evaluation to the earliest last one.

    Raises:
      ValueError: where there is no such step, and for what is no curve.
    """
    found = [_checked(curve) for curve in curves]
    first, last = max(steps[0] for steps, _ in found), min(steps[-1] for steps, _ in found)
    if first > last:
        raise ValueError(
            f"curves have no step in common: one ends at {last:g}, one begins at {first:g}"
        )
    steps = np.unique(np.concatenate([steps for steps, _ in found]))
    return steps[(first <= steps) & (steps <= last)]


def aligned(curves: Sequence[Curve], at: np.ndarray) -> np.ndarray:
    """Scores [n, G] of all runs at common steps [G]: those of the last evaluation until then.

    Nothing is interpolated: a score between two evaluations would hold what the run learned only
    later, from steps that are beyond those it is compared at.

    Raises:
      ValueError: for a step before a run's first evaluation, or after its last.
    """
    found = _covering(curves, at.min(), at.max())
    rows = [scores[np.searchsorted(steps, at, side="right") - 1] for steps, scores in found]
    return np.stack(rows)


def learning_curve(
    tasks: Sequence[Sequence[Curve]],
    at: np.ndarray,
    statistic: Statistic = iqm,
    how: Resampling = DEFAULT,
) -> Band:
    """A statistic of one method's runs on all tasks, at each of the common steps [G]."""
    rows = [aligned(curves, at) for curves in tasks]
    runs = [pool([row[:, step] for row in rows]) for step in range(len(at))]

    def at_each(weights: np.ndarray) -> np.ndarray:
        return np.stack([statistic(at_step, weights) for at_step in runs], axis=-1)

    return band(at, at_each, runs[0].sizes, how=how)


def areas(curves: Sequence[Curve], start: float, end: float) -> np.ndarray:
    """Mean height [n] of each curve from one step to another, by the trapezoidal rule.

    Here evaluations are joined by lines: with the last score until the next one, a curve would lag
    by half the time between evaluations, and who is evaluated rarely would seem to learn slowly.

    Raises:
      ValueError: where a run has no data from `start` to `end`.
    """
    if not start < end:
        raise ValueError(f"an area goes from one step to a later one, not from {start} to {end}")
    found = _covering(curves, start, end)
    knots = np.unique(np.concatenate([[start, end], *(steps for steps, _ in found)]))
    knots = knots[(start <= knots) & (knots <= end)]
    heights = np.stack([np.interp(knots, steps, scores) for steps, scores in found])
    return (heights[:, 1:] + heights[:, :-1]) / 2 @ np.diff(knots) / (end - start)


def _covering(curves: Sequence[Curve], start: float, end: float) -> list[Curve]:
    found = [_checked(curve) for curve in curves]
    for steps, _ in found:
        if start < steps[0] or end > steps[-1]:
            raise ValueError(
                f"a run was evaluated from step {steps[0]:g} to {steps[-1]:g} only, and its scores"
                f" from {start:g} to {end:g} are asked for"
            )
    return found


def _checked(curve: Curve) -> Curve:
    steps, scores = (np.asarray(values, float) for values in curve)
    if steps.ndim != 1 or steps.size == 0 or steps.shape != scores.shape:
        raise ValueError("a curve has steps [E] and scores [E], with one evaluation at least")
    if not (np.isfinite(steps).all() and np.isfinite(scores).all()):
        raise ValueError("a curve has a step or a score that is not finite")
    if steps[0] < 0 or (np.diff(steps) <= 0).any():
        raise ValueError("a curve's steps must ascend, from 0 or later")
    return steps, scores


# ---- steps to a threshold ----


@dataclass(frozen=True)
class Times:
    """Steps [n] at which runs of one task reached a threshold, or else gave up.

    Attributes:
      steps: To the first evaluation with such a score; where there is none, to the last one.
      reached: Whether there is one; if not, the run is censored at `steps`.
    """

    steps: np.ndarray
    reached: np.ndarray

    def __post_init__(self):
        steps = self.steps
        if steps.ndim != 1 or steps.size == 0 or steps.shape != self.reached.shape:
            raise ValueError(
                "give for each run its steps to the threshold, and whether it was reached"
            )
        if not (np.isfinite(steps) & (steps >= 0)).all():
            raise ValueError(
                "steps to a threshold must be finite and 0 or more; censored runs have"
                " those of their budget"
            )


def steps_to(curves: Sequence[Curve], threshold: float) -> Times:
    """When each run was first seen at or above a threshold: up to an evaluation interval late."""
    steps, reached = [], []
    for at, scores in map(_checked, curves):
        there = scores >= threshold
        reached.append(bool(there.any()))
        steps.append(at[there.argmax()] if there.any() else at[-1])
    return Times(np.array(steps), np.array(reached))


def kaplan_meier(times: Times, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steps [D] at which runs arrived, and the fraction that had by then [..., D].

    Of those still on the way at a step, some arrive at it; the fraction on the way shrinks by that
    share. A run that gives up at a step was on the way at it. After the last step of a resample
    the fraction stays as it is.

    Args:
      times: Of n runs.
      weights: Of runs [..., n]; only their ratios matter.
    """
    at = np.unique(times.steps[times.reached])
    waiting = weights @ (times.steps[:, None] >= at)
    arriving = weights @ ((times.steps[:, None] == at) & times.reached[:, None])
    staying = 1 - np.divide(arriving, waiting, out=np.zeros_like(arriving), where=waiting > 0)
    return at, 1 - np.cumprod(staying, axis=-1)


def fraction_reached(times: Times, at: np.ndarray, how: Resampling = DEFAULT) -> Band:
    """The fraction of runs that have reached the threshold by each step [G].

    Where no run or every run has, the band has no width, which does not make it certain.

    Raises:
      ValueError: for steps after the last of all runs, if that one never arrived.
    """
    at = np.asarray(at, float)
    _watched(times, float(at.max()))

    def reached(weights: np.ndarray) -> np.ndarray:
        when, fraction = kaplan_meier(times, weights)
        fraction = np.concatenate([np.zeros((*fraction.shape[:-1], 1)), fraction], axis=-1)
        return fraction[..., np.searchsorted(when, at, side="right")]

    return band(at, reached, _size(times), how=how)


def median_steps(times: Times, how: Resampling = DEFAULT) -> Interval:
    """The first step by which half of the runs have reached the threshold.

    `inf` stands for beyond the budget: half of the runs never did. So may the interval's ends.
    """

    def half(weights: np.ndarray) -> np.ndarray:
        when, fraction = kaplan_meier(times, weights)
        there = fraction >= 0.5 - 1e-9  # a product of rounded fractions
        when, none = np.append(when, math.inf), np.ones((*there.shape[:-1], 1), bool)
        return when[np.concatenate([there, none], axis=-1).argmax(axis=-1)]

    return interval(half, _size(times), how=how)


def mean_steps(times: Times, until: float, how: Resampling = DEFAULT) -> Interval:
    """Restricted mean of the steps to the threshold: of min(steps, until).

    It is the area above the fraction that has arrived, up to a step `until` (Irwin 1949). Methods
    can be compared with the same one.

    Raises:
      ValueError: for an `until` after the last step of all runs, if that one never arrived.
    """
    if until <= 0:
        raise ValueError(f"until is {until}: give a number of steps above 0")
    _watched(times, until)

    def area(weights: np.ndarray) -> np.ndarray:
        when, fraction = kaplan_meier(times, weights)
        knots = np.concatenate([[0.0], np.minimum(when, until), [until]])
        waiting = np.concatenate([np.ones((*fraction.shape[:-1], 1)), 1 - fraction], axis=-1)
        return waiting @ np.diff(knots)

    return interval(area, _size(times), how=how)


def _size(times: Times) -> np.ndarray:
    return np.array([len(times.steps)])


def _watched(times: Times, until: float) -> None:
    last = times.steps.max()
    if until > last and not times.reached[times.steps == last].all():
        raise ValueError(
            f"no run was watched until step {until:g}: what runs without the threshold would have"
            f" done after step {last:g} is not known"
        )
