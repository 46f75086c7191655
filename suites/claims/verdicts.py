"""From what runs scored to a verdict: supported, contradicted or undecided.

Each comparison gives an effect and its interval; the rule, fixed in the claim's yaml before any
run, turns the interval into a verdict:

- `above`: supported where the whole interval is above the margin, contradicted where all is below.
- `apart`: supported where the whole interval is further than the margin from 0, on either side;
  contradicted where all of it is nearer (a test of equivalence).

All else is undecided, and so is a comparison with fewer than five runs of an arm on a task: of two
groups of four runs that don't overlap, one in 35 does so by chance, for one of the two sides.

Intervals are made for all K comparisons of a claim together: each of them has the confidence
1 - 0.05 / K (Bonferroni).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import NormalDist

import numpy as np

from suites.claims.design import Test
from suites.errors import UserError
from suites.statistics import (
    Interval,
    Resampling,
    Strata,
    difference,
    failures,
    improvement,
    mean,
    pool,
)

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
LEAST = 5  # runs of each arm on each task, without which there is no verdict
CONFIDENCE = 0.95  # of all comparisons of a claim together
RESAMPLES = 20_000
_GROUPS = 5000  # of which all pairs are looked at


@dataclass(frozen=True)
class Comparison:
    """What became of one comparison.

    Attributes:
      arms: X and Y, or one.
      effect: None where runs are missing.
      verdict: By the rule.
      seeds: That would decide it, of each arm on each task, if the effect stays as it is; None
        where it is decided, infinite where no number would do.
      towards: The verdict then.
    """

    arms: tuple[str, ...]
    effect: Interval | None
    verdict: str
    seeds: float | None
    towards: str


def compare(test: Test, arms: tuple[str, ...], strata: Sequence[Strata]) -> Comparison:
    """Decide one comparison of a test.

    Args:
      strata: For each of the arms, for each of its tasks, the score [n] of each run.
    """
    if any(len(scores) == 0 for runs in strata for scores in runs):
        return Comparison(arms, None, UNDECIDED, LEAST, UNDECIDED)
    effect = effect_of(test, strata)
    verdict = decide(test, effect)
    certain = replace(effect, low=effect.value, high=effect.value, least=LEAST)
    seeds = needed(test, effect) if verdict == UNDECIDED else None
    return Comparison(arms, effect, verdict, seeds, decide(test, certain))


def effect_of(test: Test, strata: Sequence[Strata]) -> Interval:
    """The effect, and where it would lie if all runs were made again with other seeds."""
    confidence = 1 - (1 - CONFIDENCE) / len(test.compare)
    if test.kind == "failures":
        assert test.threshold is not None
        return failures(strata[0], test.threshold, confidence)
    if test.kind == "confusion":
        return confusion(strata[0], test.group, test.by, confidence)
    x, y = strata
    how = Resampling(RESAMPLES, expanded([*map(len, x), *map(len, y)], confidence, test.paired))
    made = (
        difference(x, y, mean, how, test.paired)
        if test.kind == "difference"
        else improvement(x, y, how, test.paired)
    )
    told = f"expanded bootstrap percentile {100 * confidence:.4g}%, {RESAMPLES} resamples"
    told += ", paired by seed" * test.paired
    return made if made.low is None else replace(made, method=told)


def decide(test: Test, effect: Interval) -> str:
    """The verdict of the rule."""
    low, high, margin = effect.low, effect.high, test.margin
    if low is None or high is None or effect.least < LEAST:
        return UNDECIDED
    if test.rule == "above":
        return SUPPORTED if low > margin else CONTRADICTED if high < margin else UNDECIDED
    if low > margin or high < -margin:
        return SUPPORTED
    return CONTRADICTED if -margin < low and high < margin else UNDECIDED


def needed(test: Test, effect: Interval) -> float:
    """Runs of each arm on each task that would decide, were the effect as it is.

    An interval shrinks with the square root of the number of runs. That is a rough estimate, the
    more so as the effect is itself uncertain.
    """
    if effect.low is None or effect.high is None:
        return LEAST
    value, margin = effect.value, test.margin
    down, up = value - effect.low, effect.high - value
    if test.rule == "apart" and value < 0:
        value, down, up = -value, up, down
    # How far it is to where it would be decided, and how far the interval goes there.
    room = value - margin
    reach = down if room > 0 else max(down, up) if test.rule == "apart" else up
    if room == 0:
        return math.inf
    return max(LEAST, math.ceil(effect.least * (reach / room) ** 2))


def combined(test: Test, found: Sequence[Comparison]) -> tuple[str, float | None]:
    """The verdict of all comparisons, and the runs of each arm that it would take.

    One comparison decides against a claim that needs all, and for one that needs any.
    """
    verdicts = [one.verdict for one in found]
    decisive, otherwise = (
        (CONTRADICTED, SUPPORTED) if test.needs == "all" else (SUPPORTED, CONTRADICTED)
    )
    if decisive in verdicts:
        return decisive, None
    if all(verdict == otherwise for verdict in verdicts):
        return otherwise, None
    alone = [one.seeds for one in found if one.seeds is not None and one.towards == decisive]
    together = [one.seeds for one in found if one.seeds is not None]
    return UNDECIDED, min(alone) if alone else max(together)


# ---- intervals of few runs ----


def expanded(sizes: Sequence[int], confidence: float, paired: bool) -> float:
    """The confidence at which percentiles of a bootstrap of few runs cover as they should.

    They are too narrow, by the variance of n runs, which lacks a factor n / (n - 1), and by the
    normal distribution in the place of Student's. Hesterberg (2015), "What teachers should know
    about the bootstrap", section 4.2.2: percentiles further out make up for both.
    """
    from scipy.special import stdtrit  # here, since a list of claims needs no SciPy

    least = min(sizes)
    if least < 2:
        return confidence
    counted = sizes[: len(sizes) // 2] if paired else sizes
    quantile = stdtrit(sum(counted) - len(counted), 0.5 + confidence / 2)
    tail = NormalDist().cdf(-math.sqrt(least / (least - 1)) * float(quantile))
    return min(1 - 2 * tail, math.nextafter(1.0, 0.0))  # of two runs that differ all is uncertain


def confusion(strata: Strata, group: int, by: float, confidence: float = CONFIDENCE) -> Interval:
    """How often two groups of runs of the same method look different.

    Of all pairs of disjoint groups of a task, in which share is the better mean better by the share
    `by` of it? The interval is the jackknife's (Arvesen 1969, for such averages over groups), with
    Student's quantile.

    Raises:
      UserError: where there are not so many runs that one can be left out.
    """
    from scipy.special import stdtrit

    runs = pool(strata)
    n, least = int(runs.sizes.sum()), int(runs.sizes.min())
    if least < 2 * group + 1:
        raise UserError(
            f"two groups of {group} seeds each take at least {2 * group + 1} seeds, not {least}"
        )
    shares, variances = [], []
    for scores in strata:
        share, without = _shares_apart(np.asarray(scores, float), group, by)
        shares.append(share)
        variances.append((len(scores) - 1) * float(np.var(without)))
    share = sum(shares) / len(shares)
    error = math.sqrt(sum(variances)) / len(shares)
    half = float(stdtrit(n - len(shares), 0.5 + confidence / 2)) * error
    told = f"jackknife {100 * confidence:.4g}%, groups of {group}"
    return Interval(share, max(share - half, 0.0), min(share + half, 1.0), told, n, least)


def _shares_apart(scores: np.ndarray, group: int, by: float) -> tuple[float, np.ndarray]:
    """The share of pairs of groups that look different, and the same without each run [n]."""
    n = len(scores)
    if math.comb(n, group) > _GROUPS:
        raise UserError(f"{n} seeds have too many groups of {group}: give fewer seeds")
    members = np.array(list(combinations(range(n), group)))
    means = scores[members].mean(axis=1)
    size = np.maximum(np.abs(means[:, None]), np.abs(means))
    apart = np.abs(means[:, None] - means) > by * size
    within = np.zeros((len(members), n), bool)
    within[np.arange(len(members))[:, None], members] = True
    disjoint = ~(within.astype(np.float32) @ within.T.astype(np.float32)).astype(bool)
    apart &= disjoint

    def share(there: np.ndarray) -> float:
        return apart[np.ix_(there, there)].sum() / disjoint[np.ix_(there, there)].sum()

    without = np.array([share(~within[:, run]) for run in range(n)])
    return float(share(np.ones(len(members), bool))), without
