"""Verdicts of claims: intervals against brute force, rules at their boundaries."""

import math
from itertools import combinations, product

import numpy as np
import pytest

from benchmarks import claims as benchmark
from suites.claims import design
from suites.claims.verdicts import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    Comparison,
    combined,
    compare,
    confusion,
    decide,
    effect_of,
    expanded,
    needed,
)
from suites.errors import UserError
from suites.statistics import Interval, Resampling, difference, mean


def setting(kind="difference", arms=(("x", "y"),), rule="above", margin=0.0, **more) -> design.Test:
    return design.Test(kind, tuple(arms), rule, margin, **more)


def runs(middle: float, n: int = 8, spread: float = 0.1, seed: int = 0) -> np.ndarray:
    return middle + spread * np.random.default_rng(seed).standard_normal(n)


def ends(effect: Interval) -> tuple[float, float]:
    assert effect.low is not None
    assert effect.high is not None
    return effect.low, effect.high


# ---- intervals ----


def test_a_difference_is_that_of_means_and_covers_that_of_statistics():
    x, y = [runs(1.0, 6), runs(0.5, 7, seed=1)], [runs(0.2, 6, seed=2), runs(0.1, 5, seed=3)]
    effect = effect_of(setting(), [x, y])
    assert effect.value == pytest.approx(
        (x[0].mean() + x[1].mean()) / 2 - (y[0].mean() + y[1].mean()) / 2
    )
    plain = difference(x, y, mean, Resampling(5000))
    (low, high), (plain_low, plain_high) = ends(effect), ends(plain)
    assert low < plain_low < effect.value < plain_high < high
    assert (effect.least, effect.n) == (5, 24)


def test_expanded_percentiles_cover_as_they_say():
    rng, hits, plain_hits = np.random.default_rng(0), 0, 0
    for trial in range(200):
        x, y = rng.standard_normal((2, 5))
        confidence = expanded([5, 5], 0.95, False)
        wide = difference([x], [y], mean, Resampling(4000, confidence, trial))
        plain = difference([x], [y], mean, Resampling(4000, 0.95, trial))
        hits += ends(wide)[0] <= 0 <= ends(wide)[1]
        plain_hits += ends(plain)[0] <= 0 <= ends(plain)[1]
    assert hits / 200 > 0.93 > plain_hits / 200


def test_the_benchmark_of_coverage(capsys):
    benchmark.main(["--quick"])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == 4
    for row in rows:
        plain, wide = (float(cell.strip(" %")) for cell in row.split("|")[3:5])
        assert plain <= wide


@pytest.mark.parametrize(
    ("sizes", "paired"), [([2, 2], False), ([2, 3], False), ([2, 2], True), ([3, 3], True)]
)
def test_few_runs_of_many_comparisons_have_an_interval(sizes, paired):
    confidence = expanded(sizes, 1 - 0.05 / 8, paired)
    assert 0.99 < confidence < 1
    Resampling(10, confidence)


def test_expanded_confidence_by_hand():
    # n = 5 in two groups: Student's quantile of 8 degrees of freedom is 2.306, times sqrt(5 / 4).
    tail = 0.5 * math.erfc(2.306 * math.sqrt(1.25) / math.sqrt(2))
    assert expanded([5, 5], 0.95, False) == pytest.approx(1 - 2 * tail, abs=1e-5)
    # Pairs have half the degrees of freedom: 2.776.
    tail = 0.5 * math.erfc(2.776 * math.sqrt(1.25) / math.sqrt(2))
    assert expanded([5, 5], 0.95, True) == pytest.approx(1 - 2 * tail, abs=1e-5)
    assert expanded([1000, 1000], 0.95, False) == pytest.approx(0.95, abs=1e-3)


def test_more_comparisons_make_wider_intervals():
    x, y = [runs(1.0)], [runs(0.5, seed=1)]
    one = effect_of(setting(), [x, y])
    six = effect_of(setting(arms=[("x", "y")] * 6), [x, y])
    assert ends(six)[0] < ends(one)[0] < ends(one)[1] < ends(six)[1]


def test_improvement_counts_wins():
    x, y = [np.array([1.0, 2, 3, 4, 5])], [np.array([0.0, 2, 2.5, 6, 1])]
    wins = [(a > b) + 0.5 * (a == b) for a, b in product(x[0], y[0])]
    assert effect_of(setting("improvement"), [x, y]).value == pytest.approx(np.mean(wins))


def test_failures_have_wilsons_interval():
    scores = np.array([0.0] * 3 + [0.9] * 7)
    effect = effect_of(setting("failures", [("x",)], threshold=0.1), [[scores]])
    assert (effect.value, effect.low, effect.high) == pytest.approx((0.3, 0.1078, 0.6032), abs=1e-4)


def test_confusion_is_that_of_all_pairs_of_groups():
    scores = runs(1.0, 8, 0.3)

    def share(values):
        found = []
        for first in combinations(range(len(values)), 3):
            rest = [k for k in range(len(values)) if k not in first]
            for second in combinations(rest, 3):
                a, b = values[list(first)].mean(), values[list(second)].mean()
                found.append(abs(a - b) > 0.1 * max(abs(a), abs(b)))
        return np.mean(found)

    effect = confusion([scores], 3, 0.1)
    without = np.array([share(np.delete(scores, k)) for k in range(8)])
    error = math.sqrt(7 / 8 * np.sum((without - without.mean()) ** 2))
    assert effect.value == pytest.approx(share(scores))
    assert effect.high == pytest.approx(min(effect.value + 2.3646 * error, 1), abs=1e-4)
    assert confusion([scores], 3, 0.1).value > confusion([scores], 3, 0.5).value


def test_confusion_takes_enough_seeds_and_not_too_many():
    with pytest.raises(UserError, match="take at least 7 seeds, not 6"):
        confusion([np.ones(6)], 3, 0.1)
    with pytest.raises(UserError, match="too many groups"):
        confusion([np.ones(40)], 3, 0.1)


# ---- verdicts ----


@pytest.mark.parametrize(
    ("rule", "margin", "low", "high", "verdict"),
    [
        ("above", 0.0, 0.01, 0.5, SUPPORTED),
        ("above", 0.0, 0.0, 0.5, UNDECIDED),  # at the margin is not above it
        ("above", 0.0, -0.5, -0.01, CONTRADICTED),
        ("above", 0.0, -0.5, 0.0, UNDECIDED),
        ("above", 0.2, 0.1, 0.19, CONTRADICTED),
        ("above", -0.05, -0.04, 0.3, SUPPORTED),
        ("apart", 0.05, 0.06, 0.5, SUPPORTED),
        ("apart", 0.05, -0.5, -0.06, SUPPORTED),
        ("apart", 0.05, -0.04, 0.04, CONTRADICTED),
        ("apart", 0.05, -0.05, 0.04, UNDECIDED),
        ("apart", 0.05, -0.04, 0.05, UNDECIDED),
        ("apart", 0.05, -0.1, 0.1, UNDECIDED),
    ],
)
def test_rules_at_their_boundaries(rule, margin, low, high, verdict):
    test = setting(rule=rule, margin=margin)
    assert decide(test, Interval((low + high) / 2, low, high, "", 10, 5)) == verdict
    assert decide(test, Interval((low + high) / 2, low, high, "", 8, 4)) == UNDECIDED
    assert decide(test, Interval((low + high) / 2, None, None, "", 4, 2)) == UNDECIDED


@pytest.mark.parametrize(
    ("kind", "more"),
    [("difference", {}), ("difference", {"paired": True}), ("improvement", {"margin": 0.5})],
)
def test_verdicts_flip_with_the_data(kind, more):
    test, high, low = setting(kind, **more), [runs(1.0)], [runs(0.5, seed=1)]
    assert compare(test, ("x", "y"), [high, low]).verdict == SUPPORTED
    assert compare(test, ("x", "y"), [low, high]).verdict == CONTRADICTED
    assert compare(test, ("x", "y"), [high, high]).verdict == UNDECIDED


def test_verdicts_of_one_arm_flip_with_the_data():
    test = setting("failures", [("x",)], margin=0.1, threshold=0.5)
    assert compare(test, ("x",), [[runs(0.1)]]).verdict == SUPPORTED
    assert compare(test, ("x",), [[runs(0.9, 60)]]).verdict == CONTRADICTED
    test = setting("confusion", [("x",)], margin=0.05)
    assert compare(test, ("x",), [[runs(1.0, 12, 0.5)]]).verdict == SUPPORTED
    assert compare(test, ("x",), [[runs(1.0, 12, 0.02)]]).verdict == CONTRADICTED


def test_pairs_need_what_they_share():
    """What runs of a seed have in common is no noise for pairs."""
    shared = runs(0.5, 8, 1.0)
    x, y = [shared + 0.1 + runs(0, 8, 0.01, 1)], [shared]
    assert compare(setting(paired=True), ("x", "y"), [x, y]).verdict == SUPPORTED
    assert compare(setting(), ("x", "y"), [x, y]).verdict == UNDECIDED


@pytest.mark.parametrize("rule", ["above", "apart"])
@pytest.mark.parametrize("value", [0.3, 0.08, 0.03, -0.03, -0.2])
def test_seeds_that_would_decide(rule, value):
    test = setting(rule=rule, margin=0.05)

    def interval(n):
        half = 3 / math.sqrt(n)
        return Interval(value, value - half, value + half, "", 2 * n, n)

    assert decide(test, interval(6)) == UNDECIDED
    seeds = int(needed(test, interval(6)))
    assert decide(test, interval(seeds + 1)) != UNDECIDED
    assert decide(test, interval(seeds - 2)) == UNDECIDED


def test_no_number_of_seeds_decides_what_is_at_the_margin():
    assert needed(setting(), Interval(0.0, -0.1, 0.1, "", 12, 6)) == math.inf


def test_all_and_any():
    yes, no, open_ = SUPPORTED, CONTRADICTED, UNDECIDED

    def verdict(needs, *verdicts, towards=(yes, yes, yes)):
        found = [
            Comparison(("x", "y"), None, v, 9.0 + k if v == open_ else None, towards[k])
            for k, v in enumerate(verdicts)
        ]
        return combined(setting(needs=needs), found)

    assert verdict("all", yes, yes) == (yes, None)
    assert verdict("all", yes, no, open_) == (no, None)
    assert verdict("all", open_, yes, open_) == (open_, 11)  # it takes both
    assert verdict("all", open_, yes, open_, towards=(no, yes, yes)) == (open_, 9)  # one refutes it
    assert verdict("any", no, yes, open_) == (yes, None)
    assert verdict("any", no, no) == (no, None)
    assert verdict("any", open_, no, open_) == (open_, 9)
    assert verdict("any", open_, no, open_, towards=(no, no, yes)) == (open_, 11)
    assert verdict("any", open_, no, open_, towards=(no, no, no)) == (open_, 11)


def test_a_comparison_says_where_it_leans():
    test = setting(rule="apart", margin=0.05)
    far, near = [runs(0.6, 6, 0.3)], [runs(0.5, 6, 0.3, 1)]
    found = compare(test, ("x", "y"), [far, near])
    value = found.effect.value if found.effect else 0.0
    assert found.verdict == UNDECIDED
    assert found.towards == (SUPPORTED if abs(value) > 0.05 else CONTRADICTED)
    assert compare(test, ("x", "y"), [near, near]).towards == CONTRADICTED
