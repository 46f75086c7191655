"""Ensembles, SimBa's network, and running normalisation."""

import copy

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import nn

from learners.convolutions import CentredPixels, torso
from learners.flops import Flops
from learners.networks import EnsembleLinear, Linear, RunningNorm, network, simba
from learners.products import LARGE, linear
from learners.residual import Encoder, latent_shape
from learners.shifts import shifted


@pytest.mark.parametrize(("kind", "width", "n"), [("mlp", 8, 7), ("mlp", 96, 200), ("simba", 8, 7)])
def test_an_ensemble_is_its_members(kind, width, n):
    torch.manual_seed(0)
    ensemble = network(kind, 5, width, 2, 3, members=4)
    for parameter in ensemble.parameters():  # also gains and offsets shall differ
        nn.init.normal_(parameter, std=1 if width == 8 else 0.2)
    x = torch.randn(n, 5)
    together = ensemble(x)
    assert together.shape == (4, n, 3)
    for e in range(4):
        member = network(kind, 5, width, 2, 3)
        for own, shared in zip(member.parameters(), ensemble.parameters(), strict=True):
            part = shared[e].detach()
            own.data.copy_(part.T if own.dim() == 2 else part[0])
        torch.testing.assert_close(member(x), together[e], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gaps", [False, True])
def test_large_products_and_their_gradients(gaps):
    """By oneDNN where it is there, against torch in double precision."""
    torch.manual_seed(0)
    wide = torch.randn(300, 200)
    x = (wide[:, 30:130] if gaps else wide[:, :100].contiguous()).detach().requires_grad_()
    weight, bias = torch.randn(64, 100, requires_grad=True), torch.randn(64, requires_grad=True)
    assert x.numel() * len(weight) > LARGE
    result = linear(x, weight, bias)
    result.square().sum().backward()
    exact = [part.detach().double().requires_grad_() for part in (x, weight, bias)]
    expected = nn.functional.linear(*exact)
    expected.square().sum().backward()
    torch.testing.assert_close(result.double(), expected, rtol=1e-4, atol=1e-4)
    for mine, theirs in zip((x, weight, bias), exact, strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("members", [None, 2])
def test_a_large_perceptron_and_its_gradients(members):
    """By oneDNN where it is there, against the plain layers in double precision."""
    torch.manual_seed(0)
    net = network("mlp", 9, 80, 2, 3, members)
    x = torch.randn(200, 9, requires_grad=True)
    assert len(x) * 80 * 80 > LARGE
    exact = copy.deepcopy(net).double()
    exact_x = x.detach().double().requires_grad_()
    net(x).square().sum().backward()
    exact(exact_x).square().sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad.double(), exact_x.grad, rtol=1e-3, atol=1e-4)
    for mine, theirs in zip(net.parameters(), exact.parameters(), strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=1e-3, atol=1e-3)


def test_operations_of_large_products_are_counted():
    counter, layer = Flops(), Linear(64, 128)
    x = torch.randn(256, 64)
    with counter.count("forward"):
        result = layer(x)
    assert counter.total == 2 * 256 * 64 * 128
    with counter.count("backward"):
        result.sum().backward()  # of the weights alone
    assert counter.total == 2 * 2 * 256 * 64 * 128


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


def test_centred_pixels():
    frames = torch.randint(90, 256, (50, 3, 6, 5), dtype=torch.uint8)
    centred, at_once = CentredPixels((3, 6, 5)), CentredPixels((3, 6, 5))
    torch.testing.assert_close(centred(frames), frames / 255)
    for part in frames.split(7):
        centred.observe(part)
    at_once.observe(frames)
    moved = frames.double() - frames.double().mean(dim=0)
    expected = moved / moved.square().mean().sqrt()
    torch.testing.assert_close(centred(frames).double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(centred(frames), at_once(frames), rtol=0, atol=0)
    restored = CentredPixels((3, 6, 5))
    restored.load_state_dict(centred.state_dict())
    torch.testing.assert_close(restored(frames), centred(frames), rtol=0, atol=0)


def test_centred_pixels_where_nothing_moves():
    frames = torch.full((4, 1, 6, 6), 200, dtype=torch.uint8)
    centred = CentredPixels((1, 6, 6))
    centred.observe(frames)
    torch.testing.assert_close(centred(frames + 1), torch.ones(4, 1, 6, 6))


def test_a_ball_before_a_bright_background():
    """Latents tell where it is only if the background, bright and always there, is taken away."""
    torch.manual_seed(0)
    space = Box(0, 255, (4, 84, 84), np.uint8)
    encoder = Encoder(space, latent_shape(space, 16, 0), 1)
    frames = torch.full((64, 4, 84, 84), 90, dtype=torch.uint8)
    frames[:, :, :12], frames[:, :, 72:] = 236, 236
    for n, frame in enumerate(frames):
        frame[:, 16 + n % 50, 10 + 3 * n % 64] = 236

    def apart() -> float:
        with torch.no_grad():
            latents = encoder(frames)
        return float(latents.var(dim=0).mean() / latents.var())

    before = apart()
    encoder.observe(frames)
    assert apart() > 10 * before
    given = []
    encoder.layers.register_forward_pre_hook(lambda _, x: given.append(float(x[0].square().sum())))
    encoder(frames)
    encoder(frames, 4, torch.Generator().manual_seed(0))
    assert given[1] == pytest.approx(given[0], rel=0.2)  # moving it brings back no edges


@pytest.mark.parametrize("reach", [0, 1, 3])
def test_shifted_pictures(reach):
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randint(0, 256, (1000, 2, 5, 7), dtype=torch.uint8, generator=generator)
    mean = torch.randint(0, 256, (1, 2, 5, 7), generator=generator).float()
    moved = shifted(pictures, mean, reach, torch.Generator().manual_seed(0))
    again = shifted(pictures, mean, reach, torch.Generator().manual_seed(0))
    assert torch.equal(moved, again)
    found = set()
    for before, after in zip((pictures - mean).numpy(), moved.numpy(), strict=True):
        wide = np.pad(before, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(wide, after.shape)[0]
        places = np.argwhere((windows == after).all(axis=(2, 3, 4)))
        assert len(places)
        found.add(tuple(places[0]))
    assert len(found) == (2 * reach + 1) ** 2
