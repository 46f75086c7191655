"""TD-MPC2's world model: its parts against loops, its losses against plain computations."""

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from latents import SPEC, draw, fill, make, numbers, shake
from torch import nn
from torch.nn import functional

from learners.none import NoLearner
from learners.normed import GROUP, NormedMLP, mish, simplices
from learners.pace import Pace
from world_models.latent import Alone

CPU = torch.device("cpu")


def test_groups_of_latents_add_up_to_one():
    x = torch.randn(5, 3, 24)
    found = simplices(x)
    for row, result in zip(x.reshape(-1, 24), found.reshape(-1, 24), strict=True):
        for start in range(0, 24, GROUP):
            group = [math.exp(value) for value in row[start : start + GROUP].tolist()]
            expected = [value / sum(group) for value in group]
            assert result[start : start + GROUP].tolist() == pytest.approx(expected, rel=1e-5)


def test_mish_and_its_gradient():
    mine = torch.linspace(-90, 90, 2001, requires_grad=True)
    theirs = mine.detach().double().requires_grad_()
    weights = torch.randn(2001)
    (mish(mine) * weights).sum().backward()
    (functional.mish(theirs) * weights).sum().backward()
    torch.testing.assert_close(mish(mine).double(), functional.mish(theirs), rtol=1e-5, atol=1e-5)
    assert mine.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("simplicial", [False, True])
def test_a_normed_perceptron_is_its_layers(simplicial, half):
    torch.manual_seed(0)
    net = NormedMLP(5, 48, 48, 16, simplicial=simplicial, half=half)
    layers: list[nn.Module] = []
    for layer, norm in zip(net.layers, [*net.norms, None], strict=False):
        layers += [layer, norm, nn.Mish()] if norm is not None else [layer]
    if simplicial:
        layers[-1] = nn.Unflatten(1, (-1, GROUP))
        layers += [nn.Softmax(dim=-1), nn.Flatten()]
    plain = nn.Sequential(*layers)
    x = torch.randn(2, 600, 5)
    expected = plain(x.flatten(0, 1)).unflatten(0, (2, 600))
    rtol, atol = (0.05, 0.02) if half else (1e-4, 1e-5)
    torch.testing.assert_close(net(x), expected, rtol=rtol, atol=atol)
    assert net(x).dtype == torch.float32


def test_plans_are_worth_the_same_in_bfloat16():
    size: dict[str, Any] = {"size": 64, "encoder_width": 64, "width": 64}
    model, _ = make(**size, pretraining=200)
    model.update(fill(model, 200), NoLearner(SPEC))
    half, _ = make(**size, half=True)
    half.networks.load_state_dict(model.networks.state_dict())
    box = SPEC.action_space
    plans = np.random.default_rng(0).uniform(box.low, box.high, (1, 512, 3, 2))
    returns = [
        each.rollout(each.begin(np.array([[0.0, 1.0]]), None), plans)[0].sum(axis=2)[0]
        for each in (model, half)
    ]
    assert 0 < np.abs(returns[0] - returns[1]).max() < 0.2 * returns[0].std()
    assert np.corrcoef(*returns)[0, 1] > 0.999


def test_dropout_rests_units_of_the_first_layer_alone():
    net = NormedMLP(4, 400, 8, dropout=0.25)
    seen: list[torch.Tensor] = []
    layer_norm = functional.layer_norm

    def spy(x, *rest):
        seen.append(x)
        return layer_norm(x, *rest)

    net.get_parameter("layers.0.bias").data.fill_(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "layer_norm", spy)
        net(torch.zeros(50, 4), torch.Generator().manual_seed(0))
        net(torch.zeros(50, 4))
    resting = (seen[0] == 0).float().mean()
    assert resting == pytest.approx(0.25, abs=0.02)
    assert seen[0].max().item() == pytest.approx(1 / 0.75)
    assert (seen[1] == 1).all()


def test_pretraining_is_done_once():
    class Source:
        added = forgotten = 0

    pace, source, due = Pace(0.5, 4, 7), Source(), []
    for source.added in range(1, 10):
        due.append(pace.due(source))
    assert due == [0, 0, 0, 7, 0, 1, 0, 1, 0]


def test_the_loss_against_a_plain_computation():
    model, _ = make(rho=0.7)
    shake(model)
    batch = draw(model, fill(model, 60))
    parts, horizon = model.networks, model.horizon
    found, latents, terms = model.loss(batch, Alone())
    consistency = reward = 0.0
    with torch.no_grad():
        for n in range(model.batch):
            latent = parts.encoder(batch.observation[0, n].float())
            for t in range(horizon):
                torch.testing.assert_close(latents[t, n], latent, rtol=1e-4, atol=1e-5)
                pair = torch.cat([latent, batch.action[t, n]])
                weight = 0.7**t / horizon / model.batch
                error = model.bins.divergence(parts.reward(pair), batch.reward[t, n])
                reward += weight * error.item()
                latent = parts.dynamics(pair)
                true = parts.encoder(batch.observation[t + 1, n].float())
                consistency += weight * ((latent - true) ** 2).mean().item()
    assert terms["consistency_loss"].item() == pytest.approx(consistency, rel=1e-4)
    assert terms["reward_loss"].item() == pytest.approx(reward, rel=1e-4)
    assert found.item() == pytest.approx(20 * consistency + 0.1 * reward, rel=1e-4)


def test_the_joint_gradient_is_the_sum_of_the_losses_own():
    model, learner = make(learner={"dropout": 0.0})
    shake(model, learner)
    batch = draw(model, fill(model, 60))
    everything = [*model.networks.parameters(), *learner.joint]
    state = learner.generator.get_state()
    total, _, _ = model.loss(batch, learner)
    together = torch.autograd.grad(total, everything)
    learner.generator.set_state(state)  # the same critics and actions in the target
    _, _, terms = model.loss(batch, learner)
    weights = {"consistency_loss": 20.0, "reward_loss": 0.1, "value_loss": 0.1}
    apart: list[Any] = [0.0] * len(everything)
    for name, weight in weights.items():
        gradients = torch.autograd.grad(
            weight * terms[name], everything, retain_graph=True, allow_unused=True
        )
        apart = [
            old + (0.0 if new is None else new) for old, new in zip(apart, gradients, strict=True)
        ]
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    value_alone = torch.autograd.grad(terms["value_loss"], model.networks.encoder.parameters())
    assert any(gradient.abs().max() > 0 for gradient in value_alone)  # it shapes the latents


def test_gradients_of_model_and_learner_are_shortened_together():
    model, learner = make(gradient_norm=1e-3)
    shake(model, learner)
    batch = draw(model, fill(model, 60))
    squares: list[torch.Tensor] = []

    def note(optimiser, parameters):
        step = optimiser.step

        def noted():
            squares.append(sum((p.grad**2).sum() for p in parameters))  # pyright: ignore
            return step()

        optimiser.step = noted

    note(model.optimiser, list(model.networks.parameters()))
    note(learner.critic_optimiser, learner.joint)
    said = model._learn(batch, learner)
    assert said["gradient_norm"] > 1e-3
    assert len(squares) == 2
    assert min(squares) > 0
    assert math.sqrt(sum(squares)) == pytest.approx(1e-3, rel=1e-3)
    assert all(p.grad is None for p in [*model.networks.parameters(), *learner.joint])


def test_it_learns_without_a_learner_too():
    model, _ = make()
    before = numbers(model)
    said = model.update(fill(model, 20), NoLearner(SPEC))
    assert set(said) == {"consistency_loss", "reward_loss", "gradient_norm"}
    assert not torch.equal(numbers(model), before)


def test_the_encoder_learns_slower():
    model, _ = make(learning_rate=1e-3, encoder_rate=0.3)
    encoder, others = model.optimiser.param_groups
    assert (encoder["lr"], others["lr"]) == (pytest.approx(3e-4), 1e-3)
    assert {id(p) for p in encoder["params"]} == {
        id(p) for p in model.networks.encoder.parameters()
    }


def test_a_rollout_is_its_steps():
    model, _ = make()
    shake(model)
    state = model.begin(np.random.default_rng(0).normal(size=(2, 2)), None)
    plans = np.random.default_rng(1).uniform(0, 1, (2, 5, 3, 2))
    rewards, continuation, last = model.rollout(state, plans)
    assert (rewards.shape, continuation.shape, last.shape) == ((2, 5, 3), (2, 5, 3), (2, 5, 16))
    for b in range(2):
        for k in range(5):
            row = state[b : b + 1]
            for h in range(3):
                row, reward, goes_on = model.step(row, plans[b, k, h][None])
                assert reward[0] == pytest.approx(rewards[b, k, h], rel=1e-4, abs=1e-5)
                assert goes_on[0] == continuation[b, k, h] == 1
            np.testing.assert_allclose(row[0], last[b, k], rtol=1e-4, atol=1e-6)
    assert model.model_steps == 2 * 30
    assert model.flops > 0


def test_a_stored_agent_goes_on_with_the_same_bits():
    def go_on(model, learner, source, steps):
        for t in range(steps):
            source.add(next_transition(t))
            model.update(source, learner)
        return numbers(model, learner)

    def next_transition(t):
        from learners.interface import Transitions

        random = np.random.default_rng(1000 + t)
        no, seen = np.array([False]), random.normal(size=(2, 1, 2))
        return Transitions(
            seen[0], random.uniform(0, 1, (1, 2)), random.normal(size=1), no, no, seen[1], no, 2
        )

    model, learner = make()
    source = fill(model, 60)
    go_on(model, learner, source, 3)
    content = io.BytesIO()
    torch.save([part.state() for part in (model, learner, source)], content)
    whole = go_on(model, learner, source, 3)
    content.seek(0)
    again, other = make(seed=1, learner={"seed": 2})
    memory = again.make_source(1, None)
    states = torch.load(content, weights_only=False)
    for part, state in zip((again, other, memory), states, strict=True):
        part.load(state)
    assert torch.equal(go_on(again, other, memory, 3), whole)
    assert again.updates == model.updates
    assert (again.flops, other.flops) == (model.flops, learner.flops)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": 20}, "world_model.size is 20: give a multiple of 8"),
        ({"repeat": 0}, "world_model.repeat is 0"),
        ({"warmup": 3}, "world_model.warmup is 3: give more than world_model.horizon, 3"),
        ({"bins": 1}, "world_model.bins is 1"),
        ({"learner": {"critics": 1}}, "learner.critics is 1: give a whole number of at least 2"),
    ],
)
def test_bad_parameters_are_a_line(changes, said):
    with pytest.raises(ValueError, match=said):
        make(**changes)
