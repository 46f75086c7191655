"""Curves, areas and steps to a threshold: against closed forms, SciPy and all resamples."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from suites.efficiency import (
    Times,
    aligned,
    areas,
    common_steps,
    fraction_reached,
    kaplan_meier,
    learning_curve,
    mean_steps,
    median_steps,
    steps_to,
)
from suites.statistics import Resampling, bootstrap, estimate, even, iqm, mean, resampled

ON_TENS = (np.array([0, 10, 20, 30]), np.array([0.0, 1.0, 2.0, 3.0]))
ON_ODDS = (np.array([5, 15, 40]), np.array([7.0, 8.0, 9.0]))


# ---- curves ----


def test_common_steps_are_where_all_runs_have_data():
    np.testing.assert_array_equal(common_steps([ON_TENS, ON_ODDS]), [5, 10, 15, 20, 30])
    np.testing.assert_array_equal(common_steps([ON_TENS]), ON_TENS[0])
    late = (np.array([31, 50]), np.zeros(2))
    with pytest.raises(ValueError, match="one ends at 30, one begins at 31"):
        common_steps([ON_TENS, late])
    touching = (np.array([30, 50]), np.zeros(2))
    np.testing.assert_array_equal(common_steps([ON_TENS, touching]), [30])


def test_a_score_at_a_step_is_the_last_that_was_measured():
    at = np.array([5, 9, 10, 14, 15, 29, 30])
    found = aligned([ON_TENS, ON_ODDS], at)
    np.testing.assert_array_equal(found, [[0, 0, 1, 1, 1, 2, 3], [7, 7, 7, 7, 8, 8, 8]])
    # What is learned later says nothing about it.
    later = (ON_TENS[0], np.array([0.0, 1.0, 2.0, 99.0]))
    np.testing.assert_array_equal(aligned([later], at[:-1]), found[:1, :-1])


@pytest.mark.parametrize("at", [[4.0, 10.0], [10.0, 31.0]])
def test_no_score_is_made_up_outside_of_the_data(at):
    with pytest.raises(ValueError, match="evaluated from step"):
        aligned([ON_TENS, ON_ODDS], np.array(at))
    with pytest.raises(ValueError, match="evaluated from step"):
        areas([ON_TENS, ON_ODDS], *at)


def test_areas():
    # ON_ODDS from 5 to 30: 10 steps of 7.5 on average, and 15 from 8 to 8.6.
    expected = [1.75, (10 * 7.5 + 15 * 8.3) / 25]
    np.testing.assert_allclose(areas([ON_TENS, ON_ODDS], 5, 30), expected)
    np.testing.assert_allclose(areas([ON_ODDS], 5, 30), expected[1:])  # whoever is beside it
    np.testing.assert_allclose(areas([ON_TENS], 12, 14), [1.3])
    with pytest.raises(ValueError, match="to a later one"):
        areas([ON_TENS], 10, 10)


def test_rare_evaluations_of_the_same_progress_make_the_same_area():
    often, rarely = np.arange(101.0), np.linspace(0, 100, 5)
    curves = [(often, often**2), (rarely, rarely**2)]
    dense, coarse = areas(curves, 0, 100)
    assert dense == pytest.approx(100**2 / 3, rel=1e-4)
    assert coarse == pytest.approx(dense, rel=0.04)  # the last score until the next: 34% less


def test_a_learning_curve_is_the_estimate_at_each_step():
    rng = np.random.default_rng(0)
    tasks = [
        [(np.sort(rng.choice(50, 8, replace=False)), rng.random(8)) for _ in range(runs)]
        for runs in (4, 3)
    ]
    at = common_steps(tasks[0] + tasks[1])
    assert len(at) > 10
    for statistic in (iqm, mean):
        found = learning_curve(tasks, at, statistic)
        for point, step in enumerate(at):
            scores = [aligned(curves, np.array([step]))[:, 0] for curves in tasks]
            alone = estimate(scores, statistic)
            assert found.low is not None
            assert found.high is not None
            assert (found.value[point], found.low[point], found.high[point]) == (
                alone.value,
                alone.low,
                alone.high,
            )
    two = learning_curve([tasks[0], tasks[1][:2]], at)
    assert two.low is None
    assert (two.n, two.least) == (6, 2)


@pytest.mark.parametrize(
    ("steps", "scores", "message"),
    [
        ([], [], "at least"),
        ([0, 1], [1.0], "at least"),
        ([[0, 1]], [[1.0, 2.0]], "at least"),
        ([0, 1, 1], [1.0, 2.0, 3.0], "ascend"),
        ([-1, 1], [1.0, 2.0], "ascend"),
        ([0, 1], [1.0, math.nan], "not finite"),
        ([0, math.inf], [1.0, 2.0], "not finite"),
    ],
)
def test_what_is_no_curve(steps, scores, message):
    curve = (np.array(steps, float), np.array(scores))
    for call in (
        lambda: common_steps([curve]),
        lambda: aligned([curve], np.zeros(1)),
        lambda: areas([curve], 0, 1),
        lambda: steps_to([curve], 1),
    ):
        with pytest.raises(ValueError, match=message):
            call()


# ---- steps to a threshold ----


def test_steps_to_a_threshold():
    dips = (np.array([2, 4, 6]), np.array([5.0, 1.0, 9.0]))
    found = steps_to([ON_TENS, ON_ODDS, dips], 2.5)
    np.testing.assert_array_equal(found.steps, [30, 5, 2])
    np.testing.assert_array_equal(found.reached, [True, True, True])
    found = steps_to([ON_TENS, ON_ODDS, dips], 9.0)  # to reach it is enough
    np.testing.assert_array_equal(found.steps, [30, 40, 6])
    np.testing.assert_array_equal(found.reached, [False, True, True])


# Five runs. Two reach the threshold after 20 and 40 thousand steps; one had a budget of 50 thousand
# and did not reach it; one does after 80; one had 100, and never did.
#
#   step   on the way   arrive   still on the way     have arrived
#     20            5        1   4/5                  1/5
#     40            4        1   4/5 x 3/4 = 3/5      2/5
#     50            3        -   gives up
#     80            2        1   3/5 x 1/2 = 3/10     7/10
#    100            1        -   gives up
#
# So half have arrived after 80. Without the censored runs it would be 40; with them as if they had
# arrived at their budgets, 50. The mean until 100: 20 x 1 + 20 x 4/5 + 40 x 3/5 + 20 x 3/10 = 66.
FIVE = Times(np.array([80.0, 20.0, 50.0, 40.0, 100.0]), np.array([True, True, False, True, False]))


def test_the_example_computed_by_hand():
    when, fraction = kaplan_meier(FIVE, np.ones(5) / 5)
    np.testing.assert_array_equal(when, [20, 40, 80])
    np.testing.assert_allclose(fraction, [0.2, 0.4, 0.7], atol=1e-12)
    assert median_steps(FIVE).value == 80
    assert mean_steps(FIVE, 100).value == pytest.approx(66)
    assert mean_steps(FIVE, 60).value == pytest.approx(20 + 16 + 12)
    assert mean_steps(FIVE, 10).value == pytest.approx(10)
    at = np.array([0, 19, 20, 39, 40, 50, 79, 80, 100])
    found = fraction_reached(FIVE, at)
    np.testing.assert_allclose(found.value, [0, 0, 0.2, 0.2, 0.4, 0.4, 0.4, 0.7, 0.7], atol=1e-12)
    assert (found.n, found.least) == (5, 5)


def test_fractions_of_resamples_ascend_to_at_most_one():
    times = Times(np.array([3.0, 1.0, 3.0, 2.0, 3.0]), np.ones(5, bool))
    weights = resampled(np.array([5]), 1000, np.random.default_rng(0))
    _, fraction = kaplan_meier(times, weights)
    assert (np.diff(fraction, axis=-1) >= 0).all()
    np.testing.assert_array_equal(fraction[:, -1], 1)


def test_who_gives_up_at_a_step_was_on_the_way_at_it():
    tied = Times(np.array([10.0, 10.0, 20.0]), np.array([True, False, True]))
    _, fraction = kaplan_meier(tied, np.ones(3) / 3)
    np.testing.assert_allclose(fraction, [1 / 3, 1.0], atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_fractions_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    steps, reached = rng.integers(1, 12, 15).astype(float), rng.random(15) < 0.6
    data = stats.CensoredData.right_censored(steps, ~reached)
    theirs: Any = stats.ecdf(data).cdf
    at = np.arange(0, steps.max() + 0.5, 0.5)
    found = fraction_reached(Times(steps, reached), at, Resampling(5))
    np.testing.assert_allclose(found.value, theirs.evaluate(at), atol=1e-12)


@pytest.mark.parametrize("runs", [*range(1, 12), 24, 30])  # 24: half is 0.4999999999999999
def test_without_censoring_they_are_plain_statistics(runs):
    steps = np.random.default_rng(runs).permutation(np.arange(1.0, 40.0))[:runs]
    times = Times(steps, np.ones(runs, bool))
    expected = np.quantile(steps, 0.5, method="inverted_cdf")
    assert median_steps(times, Resampling(5)).value == expected
    assert mean_steps(times, 100, Resampling(5)).value == pytest.approx(steps.mean())
    expected = np.minimum(steps, 15).mean()
    assert mean_steps(times, 15, Resampling(5)).value == pytest.approx(expected)


def by_hand(steps, reached):
    """Kaplan and Meier's estimate in plain Python: the median, and the mean until step 8."""
    way, half, area, last = 1.0, math.inf, 0.0, 0.0
    for step in sorted({s for s, r in zip(steps, reached, strict=True) if r}):
        waiting = sum(s >= step for s in steps)
        arriving = sum(r and s == step for s, r in zip(steps, reached, strict=True))
        area += way * (min(step, 8) - last)
        way, last = way * (1 - arriving / waiting), min(step, 8)
        if way < 0.5 + 1e-9 and half == math.inf:
            half = step
    return half, area + way * (8 - last)


def test_resamples_are_all_resamples():
    """Each of the 256 ways to draw four runs, as often as it should be."""
    steps, reached = np.array([2.0, 5.0, 3.0, 9.0]), np.array([True, True, False, False])
    times, size = Times(steps, reached), np.array([4])
    ways = [list(way) for way in itertools.product(range(4), repeat=4)]
    exact = [by_hand(steps[way], reached[way]) for way in ways]
    for which, ours in enumerate((median_steps, lambda *a, **k: mean_steps(*a, until=8, **k))):
        plain = np.array([pair[which] for pair in exact])
        for confidence in (0.9, 0.5, 0.2):
            found = ours(times, how=Resampling(20_000, confidence))
            assert found.value == pytest.approx(by_hand(steps, reached)[which])
            for end, q in ((found.low, 0.5 - confidence / 2), (found.high, 0.5 + confidence / 2)):
                around = np.quantile(plain, [q - 0.012, q + 0.012], method="inverted_cdf")
                assert around[0] - 1e-9 <= end <= around[1] + 1e-9
    _, draws = bootstrap(lambda weights: kaplan_meier(times, weights)[1][..., 0], size)
    at_two = np.mean([np.mean(np.array(way) == 0) for way in ways])  # nobody gives up before 2
    assert draws.mean() == pytest.approx(at_two, abs=0.02)


def test_a_median_beyond_the_budget_is_infinite():
    steps = np.array([10.0, 100.0, 100.0, 100.0, 100.0])
    found = median_steps(Times(steps, steps < 100))
    assert (found.value, found.low, found.high) == (math.inf, 10.0, math.inf)
    assert "infinite in" in found.method
    never = median_steps(Times(steps, np.zeros(5, bool)))
    assert (never.value, never.low, never.high) == (math.inf, math.inf, math.inf)
    assert mean_steps(Times(steps, np.zeros(5, bool)), 90).value == 90
    at = fraction_reached(Times(steps, np.zeros(5, bool)), np.array([0, 100]))
    np.testing.assert_array_equal(at.value, [0, 0])


def test_nothing_is_said_of_steps_that_nobody_was_watched_for():
    with pytest.raises(ValueError, match="watched until step 101"):
        mean_steps(FIVE, 101)
    with pytest.raises(ValueError, match="watched until step 101"):
        fraction_reached(FIVE, np.array([50, 101]))
    with pytest.raises(ValueError, match="above 0"):
        mean_steps(FIVE, 0)
    all_there = Times(FIVE.steps, np.ones(5, bool))
    assert mean_steps(all_there, 1000).value == pytest.approx(FIVE.steps.mean())
    tied = Times(np.array([1.0, 100.0, 100.0]), np.array([True, True, False]))
    with pytest.raises(ValueError, match="watched until step 101"):
        mean_steps(tied, 101)


def test_two_runs_have_no_interval_and_the_order_of_runs_says_nothing():
    two = Times(FIVE.steps[:2], FIVE.reached[:2])
    assert median_steps(two).low is None
    assert mean_steps(two, 50).high is None
    turned = Times(FIVE.steps[::-1], FIVE.reached[::-1])
    assert median_steps(turned).value == median_steps(FIVE).value
    np.testing.assert_allclose(
        kaplan_meier(turned, even(np.array([5])))[1], kaplan_meier(FIVE, np.full(5, 0.2))[1]
    )
    assert mean_steps(FIVE, 100) == mean_steps(FIVE, 100)


def test_what_are_no_times():
    for steps, reached in (([], []), ([1.0], [True, False]), ([[1.0]], [[True]])):
        with pytest.raises(ValueError, match="for each run"):
            Times(np.array(steps), np.array(reached, bool))
    for step in (math.nan, math.inf, -1.0):
        with pytest.raises(ValueError, match="those of their budget"):
            Times(np.array([1.0, step]), np.array([True, False]))
