"""What a score costs: the Pareto frontier, how surely a method is on it, and break-even points."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from suites.statistics import (
    DEFAULT,
    ENOUGH,
    Interval,
    Resampling,
    Statistic,
    Strata,
    even,
    interval,
    iqm,
    mean,
    pool,
    resampled,
)


def pareto(cost: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Which points [..., K] are on the frontier: none costs no more, scores no less, and differs.

    Points that are alike in both are on it together. Sorted by cost, and from the highest score
    where costs are alike, a point is on it if it is as good as the best so far and costs as much.

    Raises:
      ValueError: for a cost or a score that is not finite.
    """
    cost, score = np.broadcast_arrays(np.asarray(cost, float), np.asarray(score, float))
    if not (np.isfinite(cost).all() and np.isfinite(score).all()):
        raise ValueError("a frontier needs costs and scores that are finite")
    order = np.lexsort((-score, cost), axis=-1)
    cost, score = (np.take_along_axis(values, order, axis=-1) for values in (cost, score))
    best = np.maximum.accumulate(score, axis=-1)
    better = np.ones(score.shape, bool)
    better[..., 1:] = score[..., 1:] > best[..., :-1]
    price = np.maximum.accumulate(np.where(better, cost, -np.inf), axis=-1)  # of the best so far
    on = np.empty(score.shape, bool)
    np.put_along_axis(on, order, (score == best) & (cost == price), axis=-1)
    return on


def staircase(cost: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frontier's corners, costs [F] and scores [F], both strictly ascending.

    To be drawn as a step function: the best score within a budget stays until the next cost.
    """
    on = pareto(cost, score)
    corners = np.unique(np.stack([np.asarray(cost)[on], np.asarray(score)[on]]), axis=-1)
    return corners[0], corners[1]


def best_within(cost: np.ndarray, score: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """The best score at a cost of at most each budget [...]; NaN where nothing is that cheap."""
    costs, scores = staircase(cost, score)
    return np.append(scores, np.nan)[np.searchsorted(costs, budgets, side="right") - 1]


@dataclass(frozen=True)
class Membership:
    """How surely each of K methods is on the frontier.

    Attributes:
      cost, score: Of each method [K].
      on: Whether it is on the frontier [K].
      fraction: Of resamples in which it is [K]; None with fewer than three runs of a task.
      method: How the fraction was made, or why there is none.
    """

    cost: np.ndarray
    score: np.ndarray
    on: np.ndarray
    fraction: np.ndarray | None
    method: str


def membership(
    costs: Sequence[Strata],
    scores: Sequence[Strata],
    statistic: Statistic = iqm,
    how: Resampling = DEFAULT,
    runs: Sequence[Hashable] | None = None,
) -> Membership:
    """The frontier of K methods, and that of each of many resamples of their runs.

    A run is drawn with its cost and its score; methods are drawn independently, but for those that
    are evaluations of the same runs: these are drawn once for all of them. The cost of a
    method is the mean over its runs, since costs add up, whatever the statistic of the scores.

    Args:
      costs, scores: For each method strata with the same runs.
      statistic: Of scores: `iqm`, `mean`, `median`.
      how: Of the bootstrap.
      runs: What names the runs of each method; None: each has its own.

    Raises:
      ValueError: where costs and scores are not of the same runs.
    """
    rng = np.random.default_rng(how.seed)
    plain, drawn, least = [], [], []
    weights: dict[Hashable, np.ndarray] = {}
    names = range(len(costs)) if runs is None else runs
    for name, cost, score in zip(names, map(pool, costs), map(pool, scores), strict=True):
        if not np.array_equal(cost.sizes, score.sizes):
            raise ValueError("each run needs a cost and a score")
        if name not in weights:
            weights[name] = resampled(cost.sizes, how.resamples, rng)
        for weight, found in ((even(cost.sizes), plain), (weights[name], drawn)):
            found.append((mean(cost, weight), statistic(score, weight)))
        least.append(cost.sizes.min())
    cost, score = np.array(plain).T
    on = pareto(_nine_digits(cost), _nine_digits(score))
    if min(least) < ENOUGH:
        method = f"no fraction: a method has {min(least)} seeds of a task, and it takes {ENOUGH}"
        return Membership(cost, score, on, None, method)
    cost_drawn, score_drawn = _nine_digits(np.array(drawn)).transpose(1, 2, 0)  # [R, K]
    fraction = pareto(cost_drawn, score_drawn).mean(axis=0)
    return Membership(cost, score, on, fraction, f"stratified bootstrap, {how.resamples} resamples")


def _nine_digits(values: np.ndarray) -> np.ndarray:
    """Rounded, so that means that differ only by the order of a sum are alike: ties matter here."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.rint(np.ldexp(mantissa, 30)), exponent - 30)


def break_even(
    training: Strata, acting: Strata, planning: Strata, how: Resampling = DEFAULT
) -> Interval:
    """The number of episodes from which on learning is no dearer than planning.

    Learning costs its training once, then `acting` per episode; planning costs `planning` per
    episode: n = training / (planning - acting), of means over runs and then tasks, all in the same
    unit. `inf` stands for never: acting is as dear as planning, or dearer. Without any cost of
    training it is 0 unless acting is dearer. An interval up to `inf` says that there may be no
    such number, and its method in what share of the resamples there was none.

    Args:
      training, acting: Costs of the learner's runs; the same runs in both.
      planning: Costs of the planner's runs on the same tasks.
      how: Of the bootstrap.
    """
    learner, price, planner = pool(training), pool(acting), pool(planning)
    if not np.array_equal(learner.sizes, price.sizes):
        raise ValueError("each of the learner's runs needs a cost of training and one of acting")
    if len(planner.sizes) != len(price.sizes):
        raise ValueError("planning and learning are compared on the same tasks")
    if min(runs.scores.min() for runs in (learner, price, planner)) < 0:
        raise ValueError("a cost can't be negative")

    def episodes(of_learner: np.ndarray, of_planner: np.ndarray) -> np.ndarray:
        spent = mean(learner, of_learner)
        dear, cheap = mean(planner, of_planner), mean(price, of_learner)
        saved = np.where(np.isclose(dear, cheap, rtol=1e-12, atol=0), 0.0, dear - cheap)
        number = np.divide(spent, saved, out=np.full(saved.shape, np.inf), where=saved > 0)
        return np.where((spent == 0) & (saved == 0), 0.0, number)

    return interval(episodes, learner.sizes, planner.sizes, how=how)
