"""The frontier and break-even points: against searches of all pairs and all resamples."""

import itertools
import math

import numpy as np
import pytest

from suites.frontier import best_within, break_even, membership, pareto, staircase
from suites.statistics import Resampling, even, iqm, mean, pool


def searched(cost, score):
    """Whether no other point is at least as good in both and better in one."""
    points = list(zip(cost, score, strict=True))
    return [not any(a <= c and b >= s and (a, b) != (c, s) for a, b in points) for c, s in points]


@pytest.mark.parametrize("levels", [2, 3, 6, 1000])
def test_pareto_is_what_a_search_finds(levels):
    rng = np.random.default_rng(levels)
    for points in range(1, 12):
        cost = rng.integers(-levels, levels, size=(40, points)) / 2
        score = rng.integers(-levels, levels, size=(40, points)) / 2
        expected = [searched(c, s) for c, s in zip(cost.tolist(), score.tolist(), strict=True)]
        np.testing.assert_array_equal(pareto(cost, score), expected)
        np.testing.assert_array_equal(pareto(cost[0], score[0]), expected[0])


def test_pareto_ties():
    cost, score = np.array([1, 1, 1, 2, 2, 3]), np.array([5, 5, 4, 5, 6, 6])
    np.testing.assert_array_equal(pareto(cost, score), [True, True, False, False, True, False])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pareto_refuses_what_is_not_finite(bad):
    for cost, score in (([1, bad], [1, 1]), ([1, 1], [bad, 1])):
        with pytest.raises(ValueError, match="finite"):
            pareto(np.array(cost), np.array(score))


def test_staircase_and_the_best_within_a_budget():
    rng = np.random.default_rng(0)
    for levels in (4, 50):
        cost, score = rng.integers(levels, size=(2, 15)) / 4
        costs, scores = staircase(cost, score)
        assert (np.diff(costs) > 0).all()
        assert (np.diff(scores) > 0).all()
        on = {
            pair
            for pair, is_on in zip(zip(cost, score, strict=True), pareto(cost, score), strict=True)
            if is_on
        }
        assert set(zip(costs, scores, strict=True)) == on
        budgets = np.arange(-1, levels / 4 + 1, 0.125)
        expected = [max(score[cost <= budget], default=math.nan) for budget in budgets]
        np.testing.assert_array_equal(best_within(cost, score, budgets), expected)


# ---- membership ----


def middle(row):
    row, cut = sorted(row), len(row) // 4
    return sum(row[cut : len(row) - cut]) / (len(row) - 2 * cut)


@pytest.mark.parametrize("statistic", [iqm, mean])
def test_membership_is_that_of_all_resamples(statistic):
    """Two methods with four and three runs: 256 x 27 ways to draw them."""
    by_hand = middle if statistic is iqm else lambda row: sum(row) / len(row)
    costs = [np.array([1.0, 2.0, 6.0, 3.0]), np.array([2.0, 3.0, 4.0])]
    scores = [np.array([0.0, 5.0, 1.0, 7.0]), np.array([2.0, 6.0, 3.0])]
    points = []
    for cost, score in zip(costs, scores, strict=True):
        ways = itertools.product(range(len(cost)), repeat=len(cost))
        points.append(
            [(np.mean(cost[list(way)]), by_hand(score[list(way)].tolist())) for way in ways]
        )
    times = np.array(
        [searched(*zip(*pair, strict=True)) for pair in itertools.product(*points)], float
    )
    found = membership(
        [[row] for row in costs], [[row] for row in scores], statistic, Resampling(20_000)
    )
    assert found.fraction is not None
    exact = times.mean(axis=0)
    assert 0.05 < exact.min() < exact.max() < 0.95
    np.testing.assert_allclose(found.fraction, exact, atol=5 * 0.5 / math.sqrt(20_000))
    np.testing.assert_allclose(found.cost, [3.0, 3.0])
    np.testing.assert_allclose(found.score, [by_hand(row.tolist()) for row in scores])
    assert found.method == "stratified bootstrap, 20000 resamples"


def test_membership_of_many_tasks_of_unequal_size():
    rng = np.random.default_rng(1)
    sizes = (3, 5, 4)
    cheap = [np.full(size, 1.0) + task for task, size in enumerate(sizes)]
    dear = [row + 1 for row in cheap]
    good = [rng.normal(10, 1, size) for size in sizes]
    bad = [rng.normal(-10, 1, size) for size in sizes]
    found = membership([cheap, dear, dear], [bad, good, bad])
    np.testing.assert_allclose(found.cost, [2, 3, 3])
    np.testing.assert_array_equal(found.on, [True, True, False])
    np.testing.assert_array_equal(found.fraction, [1, 1, 0])


def test_equal_costs_are_equal_in_all_resamples():
    """0.1 on average of any drawn runs is 0.1, whatever the last digit of the sum."""
    rng = np.random.default_rng(2)
    cost, same = ([np.full(runs, 0.1), np.full(runs, 0.7)] for runs in (11, 5))
    assert mean(pool(cost), even(np.array([11, 11]))) != mean(pool(same), even(np.array([5, 5])))
    for order in (1, -1):  # whichever of the two has the greater sum
        many, few = (rng.normal(order * side, 0.1, (2, runs)) for side, runs in ((1, 11), (-1, 5)))
        found = membership([cost, same], [list(many), list(few)])
        np.testing.assert_array_equal(found.on, [True, False][::order])
        np.testing.assert_array_equal(found.fraction, [1, 0][::order])
    dear = [row * 2 for row in cost]  # equal scores are equal, too
    np.testing.assert_array_equal(membership([same, dear], [same, cost]).fraction, [1, 0])
    found = membership([cost, same], [cost, same])
    np.testing.assert_array_equal(found.on, [True, True])
    np.testing.assert_array_equal(found.fraction, [1, 1])


def test_evaluations_of_the_same_runs_are_drawn_together():
    """The later one is better by the same in each run: whichever are drawn, it is ahead."""
    rng = np.random.default_rng(4)
    cost, early = [np.full(5, 1.0)], [rng.normal(0, 1, 5)]
    late = [early[0] + 0.2]
    apart = membership([cost, cost], [early, late]).fraction
    assert apart is not None
    assert 0.2 < apart[0] < 0.8
    together = membership([cost, cost], [early, late], runs=["sac", "sac"])
    np.testing.assert_array_equal(together.fraction, [0, 1])
    own = membership([cost, cost], [early, late], runs=["sac", "ppo"])
    np.testing.assert_array_equal(own.fraction, apart)


def test_methods_are_drawn_independently():
    """Two that are alike are each ahead half of the time; drawn together they always tie."""
    row = [np.random.default_rng(5).random(12)]
    found = membership([[np.ones(12)]] * 2, [row, row], mean)
    assert found.fraction == pytest.approx([0.5, 0.5], abs=0.06)


def test_membership_needs_three_seeds_and_a_cost_for_each():
    fine, few = [np.arange(3.0), np.arange(4.0)], [np.arange(3.0), np.arange(2.0)]
    found = membership([fine, few], [fine, few])
    assert found.fraction is None
    assert found.method == "no fraction: a method has 2 seeds of a task, and it takes 3"
    np.testing.assert_array_equal(found.on, pareto(found.cost, found.score))
    with pytest.raises(ValueError, match="a cost and a score"):
        membership([fine], [few])
    assert membership([fine], [fine]).fraction == pytest.approx([1.0])


def test_membership_is_the_same_for_the_same_seed():
    rng = np.random.default_rng(3)
    costs, scores = ([[rng.random(4)] for _ in range(5)] for _ in range(2))
    first, again = membership(costs, scores), membership(costs, scores)
    np.testing.assert_array_equal(first.fraction, again.fraction)
    other = membership(costs, scores, how=Resampling(seed=1))
    assert first.fraction is not None
    assert other.fraction is not None
    assert (other.fraction != first.fraction).any()
    np.testing.assert_allclose(other.fraction, first.fraction, atol=0.08)


# ---- break-even ----


def test_break_even():
    # 300 to train, 2 an episode, against 5 an episode: 300 + 2 n = 5 n.
    found = break_even([np.array([200.0, 400.0, 300.0])], [np.full(3, 2.0)], [np.full(4, 5.0)])
    assert found.value == pytest.approx(100)
    assert found.low is not None
    assert found.high is not None
    assert 200 / 3 <= found.low < 100 < found.high <= 400 / 3
    assert (found.n, found.least) == (7, 3)
    # Means over tasks: (300 + 100) / 2 to train, and 4.5 saved.
    two = break_even(
        [np.full(3, 300.0), np.full(5, 100.0)],
        [np.full(3, 2.0), np.full(5, 1.0)],
        [np.full(4, 5.0), np.full(3, 7.0)],
    )
    assert two.value == pytest.approx(200 / 4.5)


@pytest.mark.parametrize(
    ("training", "acting", "planning", "expected"),
    [
        (10.0, 0.1, 0.1, math.inf),  # never cheaper
        (10.0, 0.3, 0.1, math.inf),
        (0.0, 0.1, 0.3, 0.0),  # nothing to pay back
        (0.0, 0.1, 0.1, 0.0),  # no dearer
        (0.0, 0.3, 0.1, math.inf),
    ],
)
def test_never_and_at_once(training, acting, planning, expected):
    """The same in all resamples, whatever the last digits of means of equal costs."""
    found = break_even([np.full(7, training)], [np.full(7, acting)], [np.full(5, planning)])
    assert (found.value, found.low, found.high) == (expected, expected, expected)
    assert ("infinite in 100% of them" in found.method) == (expected == math.inf)


def test_break_even_is_that_of_all_resamples():
    """Training and acting are drawn together; where acting is dearer, there is no such number."""
    training, acting = np.array([90.0, 10.0, 50.0]), np.array([1.0, 4.0, 3.0])
    planning = np.array([2.0, 4.0, 6.0])
    ways = [list(way) for way in itertools.product(range(3), repeat=3)]
    exact = []
    for one, other in itertools.product(ways, ways):
        saved = sum(planning[other]) - sum(acting[one])
        exact.append(sum(training[one]) / saved if saved > 0 else math.inf)
    share = np.isinf(exact).mean()
    assert 0.05 < share < 0.5
    for confidence in (0.95, 0.5, 0.3):
        how = Resampling(20_000, confidence)
        found = break_even([training], [acting], [planning], how)
        assert found.value == pytest.approx(150 / 4)
        for end, q in ((found.low, 0.5 - confidence / 2), (found.high, 0.5 + confidence / 2)):
            around = np.quantile(exact, [q - 0.012, q + 0.012], method="inverted_cdf")
            assert end is not None
            assert around[0] - 1e-9 <= end <= around[1] + 1e-9
        said = float(found.method.split("infinite in ")[1].split("%")[0]) / 100
        assert said == pytest.approx(share, abs=0.015)


def test_break_even_is_in_no_unit_and_refuses_what_is_no_cost():
    rng = np.random.default_rng(4)
    training, acting = [rng.random(5) * 100], [rng.random(5)]
    planning = [rng.random(5) + 1]
    first = break_even(training, acting, planning)
    assert break_even([training[0] * 8], [acting[0] * 8], [planning[0] * 8]) == first
    with pytest.raises(ValueError, match="negative"):
        break_even([-training[0]], acting, planning)
    with pytest.raises(ValueError, match="one of acting"):
        break_even(training, [acting[0][:4]], planning)
    with pytest.raises(ValueError, match="same tasks"):
        break_even(training, acting, planning * 2)
    assert break_even(training, acting, [planning[0][:2]]).low is None
