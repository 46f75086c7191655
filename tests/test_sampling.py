"""Splines, coloured noise and the refits of the sampling optimizers."""

import numpy as np
import pytest

from planners.noise import Noise, coloured
from planners.sampling import (
    CEM,
    SAMPLING,
    Gaussian,
    PredictiveSampling,
    elite_gaussian,
    ranking,
    take,
)
from planners.splines import KINDS, weights


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("steps", "knots"), [(1, 1), (7, 1), (7, 2), (13, 5), (20, 7), (9, 9)])
def test_splines_are_partitions_of_unity(kind, steps, knots):
    matrix = weights(steps, knots, kind)
    assert matrix.shape == (steps, knots)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    if knots == steps:
        np.testing.assert_allclose(matrix, np.eye(steps), atol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_splines_pass_through_their_knots(kind):
    knots = np.array([0.3, -1.0, 2.0, 0.5])
    path = weights(13, 4, kind) @ knots  # a knot every 4 control steps
    np.testing.assert_allclose(path[::4], knots, atol=1e-12)
    ramp = weights(13, 4, kind) @ np.arange(4)
    np.testing.assert_allclose(ramp, np.linspace(0, 3, 13), atol=1e-12)


def test_linear_splines_are_straight_between_knots_and_cubic_ones_smooth():
    knots = np.array([0.3, -1.0, 2.0, 0.5])
    linear, cubic = (weights(301, 4, kind) @ knots for kind in ("linear", "cubic"))
    kinks = np.abs(np.diff(linear, 2))
    assert set(np.flatnonzero(kinks > 1e-9) + 1) == {100, 200}
    assert np.abs(np.diff(cubic, 2)).max() < 0.05 * kinks.max()


def test_zero_order_splines_hold():
    knots = np.array([0.3, -1.0, 2.0])
    assert (weights(6, 3, "zero") @ knots).tolist() == [0.3, 0.3, -1.0, -1.0, 2.0, 2.0]
    counts = weights(20, 6, "zero").sum(axis=0)  # where it does not divide: 3 or 4 each
    assert set(counts) == {3, 4}


@pytest.mark.parametrize("length", [1, 2, 15, 64])
def test_coloured_noise_has_variance_one(length):
    betas = np.array([0.0, 1.0, 2.0])
    noise = coloured(Noise(0, range(200), 0), betas, 100, length)
    assert noise.shape == (200, 3, 100, length)
    # Samples of red noise agree over their length: as few as there are series, 20000.
    np.testing.assert_allclose((noise**2).mean(axis=(0, 2, 3)), 1, atol=0.05)
    np.testing.assert_allclose(noise.mean(axis=(0, 2, 3)), 0, atol=0.03)


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("length", [128, 129])
def test_the_power_of_coloured_noise_falls_with_its_colour(beta, length):
    noise = coloured(Noise(1, range(40), 0), np.array([beta]), 25, length)
    power = (np.abs(np.fft.rfft(noise)) ** 2).mean(axis=(0, 1, 2))[1:]  # of 1000 series
    frequency = np.fft.rfftfreq(length)[1:]
    slope = np.polyfit(np.log(frequency), np.log(power), 1)[0]
    assert slope == pytest.approx(-beta, abs=0.05)


def test_colours_do_not_mix():
    """Each sample's colour is its own: the first is the whitest one, the last has beta."""
    gaussian = Gaussian(np.full((30, 60, 20), 5.0), np.full((30, 60, 20), 0.1), whitest=1.0)
    samples = PredictiveSampling(beta=3.0).sample(gaussian, Noise(0, range(30), 0), 3, np.eye(60))
    deviation = (samples - 5) / 0.1
    np.testing.assert_allclose((deviation**2).mean(axis=(0, 2, 3)), 1, atol=0.1)
    power = (np.abs(np.fft.rfft(deviation, axis=2)) ** 2).mean(axis=(0, 3))[:, 1:]
    frequency = np.log(np.fft.rfftfreq(60)[1:])
    slopes = [np.polyfit(frequency, np.log(row), 1)[0] for row in power]
    np.testing.assert_allclose(slopes, [-1, -2, -3], atol=0.15)


def test_noise_is_a_function_of_seed_episode_and_decision():
    def draw(seed, episodes, decision):
        noise = Noise(seed, episodes, decision)
        return np.concatenate([noise.normal(4), noise.uniform(4)], axis=1)

    both = draw(0, [3, 8], 2)
    np.testing.assert_array_equal(both[1:], draw(0, [8], 2))
    for other in (draw(1, [8], 2), draw(0, [9], 2), draw(0, [8], 3)):
        assert not np.isin(other, both).any()
    noise = Noise(0, [3, 8], 2)
    part = noise.rows(np.array([1]))  # the same streams, further on with each draw
    np.testing.assert_array_equal(part.normal(4), both[1:, :4])
    np.testing.assert_array_equal(noise.uniform(4)[1], both[1, 4:])


def candidates_and_scores(n=8):
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, n, 3, 2)), rng.normal(size=(2, n))


def test_ranking_is_best_first_and_stable_with_the_infinite_last():
    scores = np.array([[1.0, -np.inf, 3.0, 1.0, -np.inf, 3.0]])
    assert ranking(scores).tolist() == [[2, 5, 0, 3, 1, 4]]
    candidates, _ = candidates_and_scores(6)
    best = take(candidates, np.repeat(ranking(scores), 2, axis=0)[:, :2])
    np.testing.assert_array_equal(best, candidates[:, [2, 5]])


def test_elites_that_are_not_finite_do_not_count():
    candidates, scores = candidates_and_scores()
    scores[0] = -np.inf
    scores[0, [2, 5]] = 1.0
    old = Gaussian(np.zeros((2, 3, 2)), np.ones((2, 3, 2)))
    new = elite_gaussian(old, candidates, scores, 4)
    for b, which in enumerate([[2, 5], ranking(scores)[1, :4]]):
        np.testing.assert_allclose(new.mean[b], candidates[b, which].mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(new.std[b], candidates[b, which].std(axis=0), atol=1e-12)


@pytest.mark.parametrize("name", SAMPLING)
def test_a_refit_ignores_what_is_not_finite(name):
    """Wherever those candidates lie; and where none is finite, nothing changes."""
    candidates, scores = candidates_and_scores()
    scores[0, [1, 4]] = -np.inf
    scores[1] = -np.inf
    old = Gaussian(np.full((2, 3, 2), 0.3), np.full((2, 3, 2), 0.7))
    new = SAMPLING[name]().refit(old, candidates, scores)
    elsewhere = candidates.copy()
    elsewhere[0, [1, 4]] = 1e6
    again = SAMPLING[name]().refit(old, elsewhere, scores)
    np.testing.assert_array_equal(new.mean, again.mean)
    np.testing.assert_array_equal(new.std, again.std)
    assert not np.array_equal(new.mean[0], old.mean[0])
    np.testing.assert_allclose(new.mean[1], old.mean[1], rtol=1e-15)
    np.testing.assert_allclose(new.std[1], old.std[1], rtol=1e-15)


def test_refits_by_hand():
    candidates, scores = candidates_and_scores()
    old = Gaussian(np.full((2, 3, 2), 0.3), np.full((2, 3, 2), 0.7))
    best = np.stack([candidates[b, np.argmax(scores[b])] for b in range(2)])
    mean = SAMPLING["predictive_sampling"]().refit(old, candidates, scores).mean
    np.testing.assert_array_equal(mean, best)

    new = CEM(elites=0.5, momentum=0.2).refit(old, candidates, scores)
    top = take(candidates, ranking(scores)[:, :4])
    np.testing.assert_allclose(new.mean, 0.2 * 0.3 + 0.8 * top.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(new.std, 0.2 * 0.7 + 0.8 * top.std(axis=1), atol=1e-12)

    mean = SAMPLING["mppi"]().refit(old, candidates, scores).mean
    weight = np.exp(scores / (0.3 * scores.std(axis=1, keepdims=True)))
    weight /= weight.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(mean, (weight[..., None, None] * candidates).sum(axis=1), atol=1e-12)
    # Neither the units of the score nor its origin matter.
    other = SAMPLING["mppi"]().refit(old, candidates, 1000 * scores - 7)
    np.testing.assert_allclose(other.mean, mean, atol=1e-9)
