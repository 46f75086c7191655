"""What scores over seeds and tasks say, and how surely.

Scores come as strata: for each task an array of the score of each run (seed) of one method. Tasks
may have different numbers of runs, and still weigh alike: each of a task's n runs weighs 1 / n.

A resample of the bootstrap (Efron 1979) draws the runs of each task anew, with replacement. A run
drawn twice counts twice: so a resample is a weight for each run, and each statistic a function of
weights. That holds of the trimmed mean and of the Kaplan-Meier estimate as of the mean, and all
resamples are the rows of one matrix.

The statistics follow Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the
Statistical Precipice"; docs/statistics.md says when to use which. Bad input raises a ValueError of
one line. Curves and steps to a threshold: `suites.efficiency`. Costs: `suites.frontier`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np

Strata = Sequence[np.ndarray]
ENOUGH = 3  # runs of a task; with fewer there is no interval


@dataclass(frozen=True)
class Interval:
    """A number, and where it would lie if all runs were made again with other seeds.

    Attributes:
      value: The statistic of the runs; `inf` where it is beyond all bounds.
      low, high: The interval, which may hold `inf`; None with fewer than three runs of a task.
      method: How the interval was made, or why there is none.
      n: Runs, of all tasks and methods.
      least: Runs of the task that has the fewest.
    """

    value: float
    low: float | None
    high: float | None
    method: str
    n: int
    least: int


@dataclass(frozen=True)
class Band:
    """An `Interval` at each of several points.

    Attributes:
      at: The points [G].
      value, low, high: [G]. The band holds at each point by itself, not at all of them together.
    """

    at: np.ndarray
    value: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    method: str
    n: int
    least: int


@dataclass(frozen=True)
class Runs:
    """Strata in one row: `scores` [N], task after task, and the number of runs of each [T]."""

    scores: np.ndarray
    sizes: np.ndarray


def even(sizes: np.ndarray) -> np.ndarray:
    """Weights [N] with sum 1 for tasks with these numbers of runs [T]: all tasks weigh alike."""
    return np.repeat(1 / (len(sizes) * sizes), sizes)


def pool(strata: Strata) -> Runs:
    """The strata in one row.

    Raises:
      ValueError: for no task, a task without runs, and for scores that are not finite.
    """
    rows = [np.asarray(scores, float) for scores in strata]
    if not rows or any(row.ndim != 1 or row.size == 0 for row in rows):
        raise ValueError("scores: give for each task an array [runs], with one run at least")
    for task, row in enumerate(rows):
        if not np.isfinite(row).all():
            run = int(np.flatnonzero(~np.isfinite(row))[0])
            raise ValueError(
                f"run {run} of task {task} has {row[run]}: scores and costs must be finite, and a"
                " run that failed has the score of a failure"
            )
    return Runs(np.concatenate(rows), np.array([row.size for row in rows]))


# ---- statistics: of runs and weights [..., N] with sum 1, they make [...] ----

Statistic = Callable[[Runs, np.ndarray], np.ndarray]


def mean(runs: Runs, weights: np.ndarray) -> np.ndarray:
    """Mean over tasks of the mean over runs."""
    return weights @ runs.scores


def median(runs: Runs, weights: np.ndarray) -> np.ndarray:
    """Median over tasks of the mean over runs: with one task it is the mean (see `quartiles`)."""
    tasks, starts = len(runs.sizes), np.cumsum(runs.sizes) - runs.sizes
    means = np.add.reduceat(weights * runs.scores, starts, axis=-1) * tasks
    return np.median(means, axis=-1)


def iqm(runs: Runs, weights: np.ndarray) -> np.ndarray:
    """Interquartile mean: the mean of what is left without the lowest and highest quarter.

    A quarter of N runs is rounded down to whole runs, as in SciPy's `trim_mean` and in rliable.
    Where weights differ, that share of the weight is cut off; a run at the cut counts in part.
    """
    order = np.argsort(runs.scores, kind="stable")
    cut = (order.size // 4) / order.size
    below = np.cumsum(weights[..., order], axis=-1)
    kept = np.diff(np.clip(below, cut, 1 - cut), axis=-1, prepend=cut)
    return kept @ runs.scores[order] / (1 - 2 * cut)


def optimality_gap(runs: Runs, weights: np.ndarray, target: float = 1.0) -> np.ndarray:
    """How far runs are below the target on average; what is above makes up for nothing."""
    return target - weights @ np.minimum(runs.scores, target)


def quartiles(strata: Strata) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of all runs, as `np.quantile` interpolates.

    Each run is at the middle of its weight, the lowest at 0 and the highest at 1.
    """
    runs = pool(strata)
    order = np.argsort(runs.scores, kind="stable")
    weights = even(runs.sizes)[order]
    middle = np.cumsum(weights) - weights / 2
    rank = (middle - middle[0]) / max(middle[-1] - middle[0], np.finfo(float).tiny)
    low, half, high = np.interp([0.25, 0.5, 0.75], rank, runs.scores[order])
    return float(low), float(half), float(high)


# ---- the bootstrap ----


@dataclass(frozen=True)
class Resampling:
    """How intervals are made; the same seed makes the same interval."""

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self):
        if self.resamples < 1 or not 0 < self.confidence < 1:
            raise ValueError("resamples must be at least 1, and confidence between 0 and 1")


DEFAULT = Resampling()


def resampled(sizes: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Weights [resamples, N] of runs drawn anew within each task; each row has sum 1."""
    total, size = int(sizes.sum()), np.repeat(sizes, sizes)
    drawn = rng.integers(size, size=(resamples, total)) + np.repeat(np.cumsum(sizes) - sizes, sizes)
    drawn += total * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * total).reshape(resamples, total)
    return counts / (len(sizes) * size)


def bootstrap(
    statistic: Callable[..., np.ndarray],
    *sizes: np.ndarray,
    how: Resampling = DEFAULT,
    paired: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """A statistic [...] of the runs, and of resamples of them [resamples, ...].

    Args:
      statistic: Of the weights [..., N] of each group of runs.
      sizes: For each group the number of runs of each task [T]. Groups are drawn independently.
      paired: Groups have the same tasks and seeds, which are drawn once for all groups.
    """
    rng = np.random.default_rng(how.seed)
    if paired:
        if any(not np.array_equal(size, sizes[0]) for size in sizes):
            raise ValueError("methods can be paired only where they have the same seeds")
        weights = [resampled(sizes[0], how.resamples, rng)] * len(sizes)
    else:
        weights = [resampled(size, how.resamples, rng) for size in sizes]
    return statistic(*map(even, sizes)), statistic(*weights)


def _bounds(
    draws: np.ndarray, sizes: Sequence[np.ndarray], how: Resampling, paired: bool = False
) -> tuple[np.ndarray | None, np.ndarray | None, str, int, int]:
    """Of draws [R, ...] what an `Interval` and a `Band` end with: low, high, method, n, least.

    The ends are draws, the next ones outwards, and not between two: one of them may be infinite.
    """
    n, least = sum(int(size.sum()) for size in sizes), min(int(size.min()) for size in sizes)
    if least < ENOUGH:
        return None, None, _too_few(least), n, least
    draws, last, tail = np.sort(draws, axis=0), len(draws) - 1, (1 - how.confidence) / 2
    low, high = draws[math.floor(tail * last)], draws[math.ceil((1 - tail) * last)]
    method = f"stratified bootstrap percentile {_percent(how.confidence)}"
    method += f", {how.resamples} resamples" + ", paired by seed" * paired
    if np.isinf(draws).any():
        method += f", infinite in {_percent(np.isinf(draws).mean())} of them"
    return low, high, method, n, least


def _too_few(least: int) -> str:
    return f"no interval: a task has {least} seed{'s' * (least != 1)}, and it takes {ENOUGH}"


def _percent(share: float | np.floating) -> str:
    return f"{100 * share:.4g}%"


def interval(
    statistic: Callable[..., np.ndarray],
    *sizes: np.ndarray,
    how: Resampling = DEFAULT,
    paired: bool = False,
) -> Interval:
    """`bootstrap` of a statistic that is a number."""
    value, draws = bootstrap(statistic, *sizes, how=how, paired=paired)
    low, high, method, n, least = _bounds(draws, sizes, how, paired)
    if low is None or high is None:
        return Interval(float(value), None, None, method, n, least)
    return Interval(float(value), float(low), float(high), method, n, least)


def band(
    at: np.ndarray,
    statistic: Callable[..., np.ndarray],
    *sizes: np.ndarray,
    how: Resampling = DEFAULT,
) -> Band:
    """`bootstrap` of a statistic that is an array [..., G], one number for each of `at` [G]."""
    value, draws = bootstrap(statistic, *sizes, how=how)
    return Band(at, value, *_bounds(draws, sizes, how))


# ---- one method ----


def estimate(strata: Strata, statistic: Statistic = iqm, how: Resampling = DEFAULT) -> Interval:
    """A statistic of one method's runs: `iqm`, `mean`, `median`, `optimality_gap`."""
    runs = pool(strata)
    return interval(partial(statistic, runs), runs.sizes, how=how)


def failures(strata: Strata, threshold: float, confidence: float = 0.95) -> Interval:
    """The fraction of runs with a score below the threshold, with Wilson's interval (1927).

    Where tasks have different numbers of runs, it is that of as many runs as would make the
    fraction as uncertain. Tasks of unequal difficulty make the interval wider than it need be.
    """
    runs = pool(strata)
    share = float(even(runs.sizes) @ (runs.scores < threshold))
    n, least = int(runs.sizes.sum()), int(runs.sizes.min())
    if least < ENOUGH:
        return Interval(share, None, None, _too_few(least), n, least)
    alike = 1 / float(np.sum(even(runs.sizes) ** 2))
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (share + z * z / (2 * alike)) / (1 + z * z / alike)
    half = z / (1 + z * z / alike) * math.sqrt(share * (1 - share) / alike + (z / (2 * alike)) ** 2)
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    return Interval(share, low, high, f"Wilson {_percent(confidence)}", n, least)


def profile(strata: Strata, thresholds: np.ndarray, how: Resampling = DEFAULT) -> Band:
    """Performance profile: the fraction of runs with a score above each threshold [G].

    Agarwal et al. 2021, section 4 ("run-score distribution").
    """
    runs, thresholds = pool(strata), np.asarray(thresholds, float)
    above = (runs.scores[:, None] > thresholds).astype(float)
    return band(thresholds, lambda weights: weights @ above, runs.sizes, how=how)


# ---- two methods ----


def difference(
    x: Strata,
    y: Strata,
    statistic: Statistic = iqm,
    how: Resampling = DEFAULT,
    paired: bool = False,
) -> Interval:
    """The statistic of X less that of Y.

    Args:
      x, y: Strata of the same tasks, in the same order.
      statistic: As in `estimate`.
      how: Of the bootstrap.
      paired: Run k of a task had the same seed in both methods, hence the same first states: they
        are drawn together, which makes the interval as narrow as they are alike. Otherwise the
        methods are drawn independently.
    """
    first, second = pool(x), _other(x, y)

    def less(of_x: np.ndarray, of_y: np.ndarray) -> np.ndarray:
        return statistic(first, of_x) - statistic(second, of_y)

    return interval(less, first.sizes, second.sizes, how=how, paired=paired)


def improvement(x: Strata, y: Strata, how: Resampling = DEFAULT, paired: bool = False) -> Interval:
    """P(X > Y): how probably a run of X is better than one of Y, on average over tasks.

    Ties count half (Mann and Whitney 1947); Agarwal et al. 2021, section 4. The arguments are
    those of `difference`.
    """
    first, second = pool(x), _other(x, y)
    mine, theirs = first.scores[:, None], second.scores
    wins = (mine > theirs) + 0.5 * (mine == theirs)
    task, task_of_other = (np.repeat(np.arange(len(x)), runs.sizes) for runs in (first, second))
    wins *= len(x) * (task[:, None] == task_of_other)  # only runs of the same task meet

    def share(of_x: np.ndarray, of_y: np.ndarray) -> np.ndarray:
        return np.sum((of_x @ wins) * of_y, axis=-1)

    return interval(share, first.sizes, second.sizes, how=how, paired=paired)


def _other(x: Strata, y: Strata) -> Runs:
    if len(x) != len(y):
        raise ValueError(f"methods are compared on the same tasks, not on {len(x)} and {len(y)}")
    return pool(y)
