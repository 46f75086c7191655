"""The sum tree against running sums."""

import numpy as np
import pytest

from learners.sum_tree import SumTree


@pytest.mark.parametrize("size", [1, 2, 5, 64, 1000])
def test_finds_what_running_sums_find(size):
    random = np.random.default_rng(size)
    tree, priorities = SumTree(size), np.zeros(size)
    for _ in range(20):
        places = random.integers(size, size=8)
        drawn = random.integers(0, 9, 8) * (random.random(8) < 0.7)  # integers: sums are exact
        drawn[0] += 1
        for place, priority in zip(places, drawn, strict=True):
            priorities[place] = priority
        tree.set(places, drawn)
        if priorities.sum() == 0:
            continue
        assert tree.total == priorities.sum()
        assert np.array_equal(tree[np.arange(size)], priorities)
        mass = random.integers(0, int(tree.total), 50) + random.choice([0.0, 0.5], 50)
        assert np.array_equal(tree.find(mass), np.searchsorted(priorities.cumsum(), mass, "right"))


def test_the_order_of_changes_does_not_matter():
    random = np.random.default_rng(0)
    places, priorities = random.permutation(37), random.random(37)
    once, bit_by_bit = SumTree(37), SumTree(37)
    once.set(places, priorities)
    bit_by_bit.set(places, random.random(37) * 1e9)
    for place, priority in zip(places, priorities, strict=True):
        bit_by_bit.set(np.array([place]), priority)
    assert once.total == bit_by_bit.total
    mass = random.random(1000) * once.total
    assert np.array_equal(once.find(mass), bit_by_bit.find(mass))


def test_never_finds_what_has_no_priority():
    """Also at the very end, where rounding could lead behind the last one."""
    random = np.random.default_rng(1)
    for _ in range(200):
        tree = SumTree(50)
        places = random.choice(50, 7, replace=False)
        tree.set(places, 10.0 ** random.uniform(-9, 9, 7))
        mass = np.array([0.0, np.nextafter(tree.total, 0), tree.total])
        assert np.isin(tree.find(mass), places).all()


def test_draws_in_proportion_and_stratified():
    tree = SumTree(6)
    tree.set(np.arange(6), np.array([1.0, 0.0, 2.0, 3.0, 0.0, 4.0]))
    drawn = tree.sample(np.random.default_rng(2).random(1000))
    counts = np.bincount(drawn, minlength=6)
    # Each thousandth gives one: a count is off by less than the two strata at its borders.
    assert np.abs(counts - [100, 0, 200, 300, 0, 400]).max() <= 2
    assert (np.diff(drawn) >= 0).all()
