"""Statistics of scores: against rliable, all resamples of tiny cases, and plain loops."""

import itertools
import math
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from suites.statistics import (
    Resampling,
    band,
    bootstrap,
    difference,
    estimate,
    even,
    failures,
    improvement,
    interval,
    iqm,
    mean,
    median,
    optimality_gap,
    pool,
    profile,
    quartiles,
    resampled,
)

SHAPES = [(5, 6), (3, 1), (10, 7), (7, 3), (1, 9), (4, 4)]  # runs, tasks


@pytest.fixture(scope="module")
def rliable() -> Any:
    pytest.importorskip("rliable", reason="needs pip install rliable 'pandas<3' (extra dev)")
    from rliable import library, metrics

    return library, metrics


def table(runs, tasks, seed=0, levels=None):
    """Scores [runs, tasks] as rliable wants them; with `levels` many are alike."""
    rng = np.random.default_rng(seed)
    if levels:
        return rng.integers(levels, size=(runs, tasks)) / levels
    return rng.normal(size=(runs, tasks)) + np.arange(tasks)


def strata(scores):
    return list(scores.T)


def value(scores, statistic, **options):
    runs = pool(scores)
    return float(statistic(runs, even(runs.sizes), **options))


def ends(found):
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


# ---- the statistics themselves ----


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_are_those_of_rliable(rliable, shape, levels):
    _, metrics = rliable
    scores = table(*shape, levels=levels)
    assert value(strata(scores), iqm) == pytest.approx(metrics.aggregate_iqm(scores), abs=1e-12)
    assert value(strata(scores), mean) == pytest.approx(metrics.aggregate_mean(scores), abs=1e-12)
    expected = metrics.aggregate_median(scores)
    assert value(strata(scores), median) == pytest.approx(expected, abs=1e-12)
    for target in (1.0, 0.5):
        expected = metrics.aggregate_optimality_gap(scores, target)
        found = value(strata(scores), optimality_gap, target=target)
        assert found == pytest.approx(expected, abs=1e-12)


def test_profiles_are_those_of_rliable(rliable):
    library, _ = rliable
    scores, taus = table(5, 4, levels=5), np.arange(-2, 13) / 10  # some thresholds are scores
    found = profile(strata(scores), taus, Resampling(10))
    np.testing.assert_allclose(found.value, library.score_distributions(scores, taus), atol=1e-12)
    np.testing.assert_array_equal(found.at, taus)


@pytest.mark.parametrize("levels", [None, 3])
def test_probability_of_improvement_is_that_of_rliable(rliable, levels):
    _, metrics = rliable
    for seed, (of_x, of_y) in enumerate([(5, 5), (3, 7), (10, 4)]):
        x, y = table(of_x, 4, seed, levels), table(of_y, 4, seed + 10, levels)
        expected = metrics.probability_of_improvement(x, y)
        found = improvement(strata(x), strata(y), Resampling(10))
        assert found.value == pytest.approx(expected, abs=1e-12)
        assert found.n == 4 * (of_x + of_y)
        assert found.least == min(of_x, of_y)


def test_intervals_agree_with_rliable(rliable):
    library, metrics = rliable
    x, y = table(5, 6, 1), table(4, 6, 2)
    np.random.seed(0)  # noqa: NPY002, which is what rliable draws from
    for ours, data, of in [
        (estimate(strata(x)), x, metrics.aggregate_iqm),
        (estimate(strata(x), median), x, metrics.aggregate_median),
        (improvement(strata(x), strata(y)), (x, y), metrics.probability_of_improvement),
    ]:
        _, theirs = library.get_interval_estimates(
            {"it": data}, lambda *scores, of=of: np.array([of(*scores)]), reps=1000
        )
        low, high = ends(ours)
        # An end of 1000 normal draws has a deviation of about 0.085 of theirs, that is 0.022 of
        # the width; ours, of 2000, 0.015. A bootstrap across tasks is several times as wide.
        off = np.abs(theirs["it"][:, 0] - [low, high]) / (high - low)
        assert off.max() < 0.11


def by_fractions(scores):
    """The trimmed mean of weighed runs, exactly: a run is cut where the quarter ends."""
    runs = sorted((x, Fraction(1, len(scores) * len(row))) for row in scores for x in row)
    cut = Fraction(len(runs) // 4, len(runs))
    total = below = Fraction(0)
    for x, weight in runs:
        kept = min(below + weight, 1 - cut) - max(below, cut)
        total += max(kept, Fraction(0)) * Fraction(x)
        below += weight
    return float(total / (1 - 2 * cut))


@pytest.mark.parametrize("sizes", [(3, 4), (1, 6, 2), (5, 5, 5), (12, 3), (3,)])
def test_interquartile_mean_of_unequal_tasks(sizes):
    rng = np.random.default_rng(3)
    scores = [rng.integers(9, size=size) / 2 + task for task, size in enumerate(sizes)]
    assert value(scores, iqm) == pytest.approx(by_fractions(scores), abs=1e-12)


def test_tasks_weigh_alike_however_many_runs_they_have():
    rng = np.random.default_rng(4)
    few = [rng.normal(size=4), rng.normal(2, size=4)]
    many = [few[0], np.tile(few[1], 5)]  # the same distribution, of 20 runs
    for statistic in (mean, median, optimality_gap, iqm):
        assert value(many, statistic) == pytest.approx(value(few, statistic), abs=1e-12)
    taus = np.linspace(-2, 4, 30)
    wide, narrow = profile(many, taus, Resampling(5)), profile(few, taus, Resampling(5))
    np.testing.assert_allclose(wide.value, narrow.value, atol=1e-12)
    other = [rng.normal(size=3), rng.normal(size=6)]
    for x, y in [(few, many), (other, many)]:
        expected = improvement(x, few, Resampling(5)).value
        assert improvement(x, y, Resampling(5)).value == pytest.approx(expected, abs=1e-12)
    assert failures(many, 1.0).value == pytest.approx(failures(few, 1.0).value, abs=1e-12)


def test_quartiles():
    rng = np.random.default_rng(5)
    for size in (1, 2, 3, 5, 8):
        row = rng.normal(size=size)
        expected = np.quantile(row, [0.25, 0.5, 0.75])
        np.testing.assert_allclose(quartiles([row]), expected, atol=1e-12)
        halves = [rng.normal(size=size), rng.normal(size=size)]
        expected = np.quantile(np.concatenate(halves), [0.25, 0.5, 0.75])
        np.testing.assert_allclose(quartiles(halves), expected, atol=1e-12)
    # One run against three: they are at 1/4, 7/12, 9/12, 11/12 of the weight, so at 0, 1/2, 3/4, 1.
    unequal = [np.array([0.0]), np.array([3.0, 1.0, 2.0])]
    np.testing.assert_allclose(quartiles(unequal), [0.5, 1.0, 2.0], atol=1e-12)


# ---- the bootstrap ----


def all_resamples(sizes):
    """For each way to draw the runs of each task anew, all as likely, the drawn runs by task."""
    ways = [itertools.product(range(size), repeat=size) for size in sizes]
    return list(itertools.product(*map(list, ways)))


def trimmed(rows):
    """SciPy's trim_mean in plain Python."""
    row = sorted(x for row in rows for x in row)
    cut = len(row) // 4
    row = row[cut : len(row) - cut]
    return sum(row) / len(row)


def wins(x, y):
    """P(X > Y) in plain Python."""
    shares = [
        sum((a > b) + 0.5 * (a == b) for a in one for b in other) / (len(one) * len(other))
        for one, other in zip(x, y, strict=True)
    ]
    return sum(shares) / len(shares)


def drawn_from(scores, way):
    return [[row[i] for i in chosen] for row, chosen in zip(scores, way, strict=True)]


def same_distribution(draws, exact):
    """Whether draws follow an exact list of values that are all as likely.

    The probability of each value within five standard errors.
    """
    draws, exact = np.round(draws, 9) + 0.0, np.round(exact, 9) + 0.0
    expected = Counter(exact.tolist())
    found = Counter(draws.tolist())
    assert set(found) <= set(expected)
    for x, count in expected.items():
        p = count / len(exact)
        error = 5 * math.sqrt(p * (1 - p) / len(draws)) + 1 / len(draws)
        assert found[x] / len(draws) == pytest.approx(p, abs=error)


MANY = Resampling(resamples=20_000, seed=6)


def test_draws_are_those_of_all_resamples():
    scores = [np.array([0.0, 1.0, 5.0]), np.array([2.0, 2.0, 4.0])]
    runs = pool(scores)
    ways = [drawn_from(scores, way) for way in all_resamples(runs.sizes)]
    plain = {
        iqm: trimmed,
        mean: lambda rows: sum(map(sum, rows)) / 6,
        median: lambda rows: float(np.median([sum(row) / 3 for row in rows])),
        optimality_gap: lambda rows: 1 - sum(min(x, 1) for row in rows for x in row) / 6,
    }
    for statistic, by_hand in plain.items():

        def of_runs(weights, statistic=statistic):
            return statistic(runs, weights)

        at, draws = bootstrap(of_runs, runs.sizes, how=MANY)
        assert float(at) == pytest.approx(by_hand(scores))
        exact = np.array([by_hand(way) for way in ways])
        same_distribution(draws, exact)
        # The interval is the exact one, to the neighbouring values.
        found = interval(of_runs, runs.sizes, how=MANY)
        low, high = ends(found)
        first, second = np.quantile(exact, [0.02, 0.03], method="inverted_cdf")
        assert first - 1e-9 <= low <= second + 1e-9
        first, second = np.quantile(exact, [0.97, 0.98], method="inverted_cdf")
        assert first - 1e-9 <= high <= second + 1e-9


def test_draws_of_unequal_tasks_are_those_of_all_resamples():
    scores = [np.array([0.0, 1.0]), np.array([2.0, 3.0, 7.0])]
    runs = pool(scores)
    _, draws = bootstrap(lambda weights: mean(runs, weights), runs.sizes, how=MANY)
    ways = [drawn_from(scores, way) for way in all_resamples(runs.sizes)]
    same_distribution(draws, np.array([sum(a) / 4 + sum(b) / 6 for a, b in ways]))


@pytest.mark.parametrize("paired", [False, True])
def test_draws_of_two_methods_are_those_of_all_resamples(paired):
    x, y = [np.array([0.0, 3.0, 4.0])], [np.array([1.0, 3.0, 6.0])]
    ways = all_resamples([3])
    both = [(way, way) for way in ways] if paired else list(itertools.product(ways, ways))
    pairs = [(drawn_from(x, one), drawn_from(y, other)) for one, other in both]
    for compare, by_hand in [
        (lambda how: difference(x, y, mean, how, paired), lambda a, b: (sum(a[0]) - sum(b[0])) / 3),
        (lambda how: improvement(x, y, how, paired), wins),
    ]:
        exact = np.array([by_hand(*pair) for pair in pairs])
        for confidence in (0.95, 0.5):
            tail = (1 - confidence) / 2
            found = compare(Resampling(20_000, confidence, seed=7))
            assert found.value == pytest.approx(by_hand(x, y))
            for end, q in zip(ends(found), (tail, 1 - tail), strict=True):
                around = np.quantile(exact, [q - 0.012, q + 0.012], method="inverted_cdf")
                assert around[0] - 1e-9 <= end <= around[1] + 1e-9
            assert ("paired by seed" in found.method) == paired


def test_pairing_takes_away_what_seeds_share():
    rng = np.random.default_rng(8)
    shared = [rng.normal(0, 10, 6) for _ in range(2)]
    x, y = ([row + rng.normal(shift, 0.1, 6) for row in shared] for shift in (1, 0))
    together, apart = difference(x, y, mean, paired=True), difference(x, y, mean)
    assert together.value == apart.value == pytest.approx(1, abs=0.15)
    (low, high), (wide_low, wide_high) = ends(together), ends(apart)
    assert wide_low < 0 < low < 1 < high < wide_high
    assert high - low < 0.05 * (wide_high - wide_low)
    with pytest.raises(ValueError, match="same seeds"):
        difference(x, [row[:-1] for row in y], paired=True)


def test_a_resample_stays_within_tasks_and_has_all_their_weight():
    sizes = np.array([2, 5, 3])
    weights = resampled(sizes, 500, np.random.default_rng(9))
    by_task = np.add.reduceat(weights, [0, 2, 7], axis=1)
    np.testing.assert_allclose(by_task, 1 / 3, atol=1e-12)
    counts = weights * 3 * np.repeat(sizes, sizes)
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-12)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.2)
    np.testing.assert_allclose(even(sizes), [1 / 6] * 2 + [1 / 15] * 5 + [1 / 9] * 3)


def test_same_seed_same_interval_and_the_order_of_runs_says_nothing():
    rng = np.random.default_rng(10)
    scores = [rng.normal(size=size) for size in (4, 6, 5)]
    mixed = [rng.permutation(row) for row in scores[::-1]]
    first = estimate(scores)
    assert estimate(scores) == first
    assert estimate(scores, how=Resampling(seed=1)).low != first.low
    other = estimate(mixed, how=Resampling(20_000))
    assert other.value == pytest.approx(first.value, abs=1e-12)
    low, high = ends(first)
    assert ends(other) == pytest.approx((low, high), abs=0.08 * (high - low))


def test_less_confidence_is_narrower_and_is_said():
    scores = [np.random.default_rng(11).normal(size=8)]
    wide, narrow = estimate(scores, how=Resampling(500)), estimate(scores, how=Resampling(500, 0.5))
    assert wide.method == "stratified bootstrap percentile 95%, 500 resamples"
    assert narrow.method == "stratified bootstrap percentile 50%, 500 resamples"
    (low, high), (narrow_low, narrow_high) = ends(wide), ends(narrow)
    assert low < narrow_low < narrow.value < narrow_high < high
    assert (wide.n, wide.least) == (8, 8)


def test_intervals_cover():
    """Of 95% intervals of the mean over 3 tasks with 10 runs, 93% hold the truth.

    The deviation of the bootstrap is sqrt(9 / 10) of the right one: 1.96 becomes 1.86.
    """
    rng, hits, halves = np.random.default_rng(12), 0, 0
    for seed in range(400):
        x = [rng.normal(task, 1 + task, 10) for task in range(3)]
        low, high = ends(estimate(x, mean, Resampling(400, seed=seed)))
        hits += low <= 1 <= high
        low, high = ends(estimate(x, mean, Resampling(400, 0.5, seed=seed)))
        halves += low <= 1 <= high
    assert 0.89 < hits / 400 < 0.965
    assert 0.4 < halves / 400 < 0.56


def test_ends_of_an_interval_are_draws_and_may_be_infinite():
    def some(weights):  # of 3 draws none is the first run in (2 / 3)^3 of cases
        return np.where(weights[..., 0] > 0, 1.0, np.inf)

    found = interval(some, np.array([3]))
    assert (found.value, found.low, found.high) == (1.0, 1.0, np.inf)
    assert found.method.endswith("% of them")
    share = float(found.method.split("infinite in ")[1].split("%")[0]) / 100
    assert share == pytest.approx(8 / 27, abs=0.05)


def test_a_band_is_an_interval_at_each_point():
    scores = [np.random.default_rng(13).normal(size=5) for _ in range(2)]
    runs, taus = pool(scores), np.array([-1.0, 0.0, 0.5])
    found = profile(scores, taus)
    for point, tau in enumerate(taus):
        alone = interval(lambda weights, tau=tau: weights @ (runs.scores > tau), runs.sizes)
        low, high = ends(found)
        assert (found.value[point], low[point], high[point]) == (alone.value, *ends(alone))
    assert (found.n, found.least) == (10, 5)


# ---- failures ----


@pytest.mark.parametrize(("failed", "runs"), [(0, 5), (3, 10), (9, 9), (1, 3), (17, 60)])
def test_interval_of_failures_are_the_fractions_that_a_score_test_keeps(failed, runs):
    scores = np.array([0.0] * failed + [1.0] * (runs - failed))
    found = failures([scores], 0.5)
    assert found.value == pytest.approx(failed / runs)
    for end in ends(found):
        if failed in (0, runs) and abs(end - failed / runs) < 0.1:
            assert end == failed / runs  # and not below 0 or above 1 by a rounding
            continue
        away = (failed / runs - end) ** 2  # z^2 p (1 - p) / n at both ends
        assert away == pytest.approx(1.959964**2 * end * (1 - end) / runs, rel=1e-5)
    assert found.method == "Wilson 95%"


def test_a_score_at_the_threshold_is_no_failure():
    assert failures([np.array([0.4, 0.5, 0.6, 0.7])], 0.5).value == 0.25


def test_failures_of_unequal_tasks_are_as_sure_as_their_variance_says():
    # Shares 1 / 3 and 2 / 6 have the variance p (1 - p) (1 / 3 + 1 / 6) / 4, that of 8 runs.
    unequal = failures([np.array([0, 1, 1]), np.array([0, 0, 1, 1, 1, 1])], 0.5)
    z, p, n = 1.959964, 1 / 3, 8
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    low, high = ends(unequal)
    assert high - low == pytest.approx(2 * half, rel=1e-5)
    assert (unequal.n, unequal.least) == (9, 3)


# ---- what is refused ----


def test_no_interval_of_fewer_than_three_seeds():
    fine, few, one = np.arange(5.0), np.arange(2.0), np.arange(1.0)
    for found in (
        estimate([fine, few]),
        failures([fine, few], 1),
        difference([fine, fine], [fine, few]),
        improvement([fine, few], [fine, fine]),
        band(np.zeros(1), lambda weights: weights @ np.ones((7, 1)), np.array([5, 2])),
    ):
        assert found.low is None
        assert found.high is None
        assert found.method == "no interval: a task has 2 seeds, and it takes 3"
        assert found.least == 2
    assert estimate([fine, few]).value == value([fine, few], iqm)
    assert estimate([one]).method == "no interval: a task has 1 seed, and it takes 3"
    assert estimate([np.arange(3.0)]).low is not None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_an_error(bad):
    fine, broken = np.arange(3.0), np.array([0.0, bad, 1.0])
    for call in (
        lambda: estimate([fine, broken]),
        lambda: quartiles([fine, broken]),
        lambda: failures([fine, broken], 0.5),
        lambda: profile([fine, broken], np.zeros(1)),
        lambda: difference([fine, fine], [fine, broken]),
        lambda: improvement([fine, broken], [fine, fine]),
    ):
        with pytest.raises(ValueError, match=r"^run 1 of task 1 has (nan|inf|-inf): ") as error:
            call()
        assert "\n" not in str(error.value)


def test_other_errors():
    fine = np.arange(3.0)
    for scores in ([], [fine, np.empty(0)], [fine[None]]):
        with pytest.raises(ValueError, match="each task an array"):
            estimate(scores)
    with pytest.raises(ValueError, match="on the same tasks, not on 1 and 2"):
        difference([fine], [fine, fine])
    for resamples, confidence in ((0, 0.95), (10, 1.0), (10, 0.0)):
        with pytest.raises(ValueError, match="resamples must be"):
            Resampling(resamples, confidence)
