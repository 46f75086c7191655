"""Ensembles, SimBa's network, and running normalisation."""

import numpy as np
import pytest
import torch
from torch import nn

from learners.convolutions import torso
from learners.networks import KINDS, EnsembleLinear, RunningNorm, network, simba


@pytest.mark.parametrize("kind", KINDS)
def test_an_ensemble_is_its_members(kind):
    torch.manual_seed(0)
    ensemble = network(kind, 5, 8, 2, 3, members=4)
    for parameter in ensemble.parameters():  # also gains and offsets shall differ
        nn.init.normal_(parameter)
    x = torch.randn(7, 5)
    together = ensemble(x)
    assert together.shape == (4, 7, 3)
    for e in range(4):
        member = network(kind, 5, 8, 2, 3)
        for own, shared in zip(member.parameters(), ensemble.parameters(), strict=True):
            part = shared[e].detach()
            own.data.copy_(part.T if own.dim() == 2 else part[0])
        torch.testing.assert_close(member(x), together[e], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("out", [1, 3])
def test_gradients_of_an_ensemble(out):
    layer = EnsembleLinear(2, 4, out).double()
    x = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_simba_by_hand():
    torch.manual_seed(0)
    net = simba(3, 6, 1, 2)
    embed, first, second, head = (m.weight for m in net.modules() if isinstance(m, nn.Linear))
    for parameter in net.parameters():
        if parameter.dim() == 1:
            assert parameter.unique().numel() == 1  # gains 1, offsets 0
    x = torch.randn(4, 3)
    hidden = x @ embed.T

    def normal(h: torch.Tensor) -> torch.Tensor:
        variance = h.var(1, keepdim=True, unbiased=False)
        return (h - h.mean(1, keepdim=True)) / (variance + 1e-5).sqrt()

    hidden = hidden + torch.relu(normal(hidden) @ first.T) @ second.T
    torch.testing.assert_close(net(x), normal(hidden) @ head.T)
    assert first.shape == (24, 6)
    torch.testing.assert_close(embed.T @ embed, torch.eye(3))  # orthogonal


def test_an_unknown_network():
    with pytest.raises(ValueError, match=r"learner.network is 'conv'"):
        network("conv", 3, 8, 1, 1)


def test_running_norm_is_numpys():
    rng = np.random.default_rng(0)
    data = rng.normal(3, 5, (100, 4))
    norm = RunningNorm(4)
    for part in np.split(data, [1, 2, 40]):
        norm.observe(torch.from_numpy(part))
    np.testing.assert_allclose(norm.mean, data.mean(axis=0), rtol=1e-12)
    expected = (data - data.mean(axis=0)) / np.sqrt(data.var(axis=0) + 1e-5)
    np.testing.assert_allclose(norm(torch.from_numpy(data).float()), expected, atol=1e-5)


@pytest.mark.parametrize(("kind", "size"), [("nature", 3136), ("efficient", 576)])
def test_torsos(kind, size):
    stack, said = torso(kind, 4)
    frames = torch.randint(256, (2, 4, 84, 84), dtype=torch.uint8)
    assert stack(frames).shape == (2, said) == (2, size)
    assert not torch.equal(stack(frames)[0], stack(frames)[1])
    with pytest.raises(ValueError, match=r"learner.torso"):
        torso("deep", 4)
