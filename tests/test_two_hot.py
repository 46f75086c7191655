"""Numbers as distributions over bins, against loops and closed forms."""

import math

import numpy as np
import pytest
import torch

from learners.two_hot import ROOT, SLOPE, SYMLOG, Bins, squash, symexp, symlog, unsquash

CPU = torch.device("cpu")
NAMES = ("learner.bins", "learner.limit")
SCALES = pytest.mark.parametrize("scale", [SYMLOG, ROOT], ids=["symlog", "root"])


def test_symlog_and_its_inverse():
    x = torch.linspace(-900, 900, 2001, dtype=torch.float64)
    expected = [math.copysign(math.log1p(abs(value)), value) for value in x.tolist()]
    np.testing.assert_allclose(symlog(x), expected, rtol=1e-12)
    np.testing.assert_allclose(symexp(symlog(x)), x, atol=1e-9)
    single = torch.tensor([0.0, 0.3, -0.3, 1.0, -7.0, 100.0])
    torch.testing.assert_close(symexp(symlog(single)), single)


def test_the_root_and_its_inverse():
    x = torch.linspace(-900, 900, 2001, dtype=torch.float64)
    signs = np.sign(x.numpy())
    expected = signs * (np.sqrt(np.abs(x.numpy()) + 1) - 1) + SLOPE * x.numpy()
    np.testing.assert_allclose(squash(x), expected, rtol=1e-12)
    np.testing.assert_allclose(unsquash(squash(x)), x, atol=1e-9)
    np.testing.assert_allclose(unsquash(squash(x.float())), x, rtol=1e-4, atol=1e-4)


def test_what_is_no_number_has_no_bin_and_a_loss_that_is_none():
    bins = Bins(21, 5.0, ROOT, CPU, NAMES)
    x = torch.tensor([0.5, torch.nan])
    found = bins.divergence(torch.zeros(2, 21), x)
    assert found.isnan().tolist() == [False, True]


@SCALES
@pytest.mark.parametrize(("count", "limit"), [(21, 5.0), (61, 30.0), (2, 5.0), (13, 30.0)])
def test_two_hot_goes_there_and_back(scale, count, limit):
    bins = Bins(count, limit, scale, CPU, NAMES)
    last = scale.back(torch.tensor(limit)).item()
    x = torch.tensor(
        [0.0, 0.3, -0.3, 1.0, 5.0, -7.0, -7.77, 33.0, 100.0, last, -last, 2 * last, -2 * last]
    )
    lower, weight = bins.two_hot(x)
    centres = np.linspace(-limit, limit, count)
    probabilities = torch.zeros(len(x), count)
    for k, number in enumerate(x):
        assert 0 <= weight[k] <= 1
        below, above, w = int(lower[k]), int(lower[k]) + 1, float(weight[k])
        place = float(scale.to(number).clamp(-limit, limit))
        assert (1 - w) * centres[below] + w * centres[above] == pytest.approx(place, abs=1e-5)
        probabilities[k, below], probabilities[k, above] = 1 - w, w
    inside = x.clamp(-last, last)
    torch.testing.assert_close(bins.decode(probabilities.log()), inside, rtol=1e-4, atol=1e-5)
    assert probabilities[-2, -1] == 1
    assert probabilities[-1, 0] == 1


@SCALES
def test_divergence_against_a_loop(scale):
    bins = Bins(11, 3.0, scale, CPU, NAMES)
    x = torch.tensor([0.1, -2.0, 50.0, scale.back(torch.tensor(0.6)).item()])
    logits = torch.randn(2, len(x), 11)
    found = bins.divergence(logits, x)
    centres = np.linspace(-3, 3, 11)
    for member in range(2):
        for n in range(len(x)):
            place = min(max(scale.to(x[n]).item(), -3.0), 3.0)
            logarithms = logits[member, n].double().log_softmax(dim=0).tolist()
            hats = [max(0.0, 1 - abs(place - centre) / 0.6) for centre in centres]
            expected = sum(
                hat * (math.log(hat) - log)
                for hat, log in zip(hats, logarithms, strict=True)
                if hat > 1e-9
            )
            assert found[member, n].item() == pytest.approx(expected, rel=1e-5)


@SCALES
def test_divergence_of_what_is_right(scale):
    """It is 0, and finite at and beyond the outermost bins, where rounding is nearest to harm."""
    for count, limit in ((11, 3.0), (101, 10.0), (601, 300.0), (7, 0.7), (11, 0.3)):
        bins = Bins(count, limit, scale, CPU, NAMES)
        last = scale.back(torch.tensor(limit))
        x = torch.cat([torch.linspace(-2, 2, 41), torch.stack([last, -last, 2 * last])])
        lower, weight = bins.two_hot(x)
        logits = torch.full((len(x), count), -50.0)
        rows = torch.arange(len(x))
        logits[rows, lower] = (1 - weight).log().clamp(min=-50)
        logits[rows, lower + 1] = weight.log().clamp(min=-50)
        torch.testing.assert_close(
            bins.divergence(logits, x), torch.zeros(len(x)), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(("count", "limit"), [(1, 5.0), (11, 0.0)])
def test_bad_bins(count, limit):
    with pytest.raises(
        ValueError, match=rf"learner\.bins is {count} and learner\.limit is {limit}: give"
    ):
        Bins(count, limit, SYMLOG, CPU, NAMES)
