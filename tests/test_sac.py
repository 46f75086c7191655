"""Soft actor-critic and TD3: their parts by hand, small worlds with known values."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from learning import make, make_spec, options, parameters, random_transitions, transitions

from learners import squashed
from learners.flops import Flops
from planners.noise import Noise
from planners.searches import make_planner

SMALL = {
    "sac": {"actor_width": 16, "critic_width": 16, "batch": 16, "warmup": 4, "capacity": 1000},
    "simba": {"actor_width": 8, "critic_width": 8, "batch": 16, "warmup": 4, "capacity": 1000},
    "td3": {"width": 16, "batch": 16, "warmup": 4, "capacity": 1000},
}


def trained(name: str, tmp_path, steps: int = 5, spec=None, **changes):
    """A learner after some transitions of noise, and its memory."""
    rng = np.random.default_rng(0)
    learner = make(name, spec, **{**SMALL[name], **changes})
    source = learner.make_source(1, tmp_path)
    source.add(random_transitions(rng, 4))
    for _ in range(steps):
        source.add(random_transitions(rng, 1))
        learner.update(source)
    return learner, source


def test_the_density_of_squashed_actions():
    """Against the derivative of the distribution function, by numerical integration."""
    mean, log_std = torch.tensor([[0.4]]).double(), torch.tensor([[-0.3]]).double()
    normal = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)[:, None]
    action, log_probability = squashed.sample(mean, log_std, normal)
    h = 1e-6

    def distribution(a: torch.Tensor) -> torch.Tensor:
        z = (torch.atanh(a) - mean) / log_std.exp()
        return 0.5 * (1 + torch.erf(z / math.sqrt(2)))

    density = (distribution(action + h) - distribution(action - h)) / (2 * h)
    torch.testing.assert_close(log_probability.exp(), density[:, 0], rtol=1e-6, atol=1e-9)


def test_the_density_far_out_is_finite():
    _, log_probability = squashed.sample(
        torch.full((1, 2), 30.0), torch.zeros(1, 2), torch.zeros(1, 2)
    )
    assert torch.isfinite(log_probability).all()


@pytest.mark.parametrize("name", ["sac", "td3"])
def test_an_action_without_a_choice_is_refused(name):
    spec = make_spec(2, 2)
    spec.action_space = Box(np.array([-1.0, 0.5]), np.array([1.0, 0.5]), dtype=np.float64)
    with pytest.raises(ValueError, match=r"action 1 can only be 0\.5: leave it out of"):
        make(name, spec, **SMALL[name])


def test_deviations_are_bounded():
    _, log_std = squashed.parameters(torch.tensor([[0.0, 0.0, -1e3, 1e3]]))
    assert log_std.tolist() == [[squashed.LOG_STD_MIN, squashed.LOG_STD_MAX]]


def test_actions_of_a_box(tmp_path):
    spec = make_spec(2, 1, low=-3, high=5)
    for name in SMALL:
        learner = make(name, spec, **SMALL[name])
        noise = Noise.together(500, 0, 0)
        actions = learner.sample(np.zeros((500, 2)), noise)  # warming up: uniform
        assert actions.shape == (500, 1)
        assert -3 <= actions.min() < -2.8 < 4.8 < actions.max() <= 5
        greedy = learner.greedy.sample(np.zeros((2, 2)), None)
        assert greedy.shape == (2, 1)
        assert greedy[0] == greedy[1]


@pytest.mark.parametrize("name", SMALL)
def test_a_search_that_is_evaluated_draws_different_actions(name, tmp_path):
    """Of the policy, whose most probable action would be the only one."""
    spec = make_spec(2, 1)
    spec.control_dt, spec.budget_per_step = 0.1, 1
    learner, _ = trained(name, tmp_path, steps=40, spec=spec)
    model = SimpleNamespace(
        step=lambda state, action: (state + action, -np.abs(state[:, 0]), np.ones(len(state))),
        features=lambda state: state,
    )
    planner: Any = make_planner(spec, "uct", 20, depth=0, repeat=1, proposal="prior")
    begin = planner.init(1)
    _, carry = planner.plan(model, learner.greedy, np.zeros((1, 2)), begin, Noise(0, [0], 0))
    assert len(np.unique(carry.tree.actions[0, 0], axis=0)) == planner.width


@pytest.mark.parametrize("name", SMALL)
def test_exploration_follows_the_warm_up(name, tmp_path):
    learner, _ = trained(name, tmp_path)
    observations = np.tile([0.3, -0.2], (2000, 1))
    actions = learner.sample(observations, Noise.together(2000, 0, 1))
    mean = learner.greedy.sample(observations[:1], None)
    assert actions.std() > 0.05
    if name == "td3":
        expected = np.clip(mean + 0.1 * Noise.together(2000, 0, 1).normal(1), -1, 1)
        np.testing.assert_allclose(actions, expected, atol=1e-6)


def one_state(learner, tmp_path, ending: str):
    """Train on a world of one state that pays 1 - a^2 and ends after each step as told."""
    rng, n = np.random.default_rng(0), 256
    source = learner.make_source(1, tmp_path)
    action = rng.uniform(-1, 1, (n, 1))
    ended = np.ones(n, bool)
    kinds = {"terminated": {"terminated": ended}, "truncated": {"truncated": ended}, "never": {}}
    here = np.tile([1.0, 0.0], (n, 1))
    source.add(transitions(here, action, 1 - action[:, 0] ** 2, here, **kinds[ending]))
    return learner.update(source)


SOLVING = {
    "sac": {"temperature": 1e-4, "target_entropy": -30.0, "learning_rate": 3e-3},
    "simba": {"temperature": 1e-4, "target_entropy": -30.0, "learning_rate": 3e-3},
    "td3": {"learning_rate": 3e-3, "smoothing": 0.02},
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("ending", "value"), [("terminated", 1), ("truncated", 5), ("never", 5)])
def test_a_known_value(name, ending, value, tmp_path):
    """Doing nothing pays 1 a step, and 1 / (1 - 0.8) in all unless the first step is the last."""
    settings = {**SMALL[name], **SOLVING[name], "batch": 32, "discount": 0.8, "tau": 0.05}
    settings |= {"warmup": 0, "ratio": 2.0 if ending == "terminated" else 5.0}
    learner = make(name, **settings)
    one_state(learner, tmp_path, ending)
    here = np.array([[1.0, 0.0]])
    assert learner.greedy.sample(here, None)[0, 0] == pytest.approx(0, abs=0.15)
    assert learner.value(here)[0] == pytest.approx(value, rel=0.04)


def test_the_value_of_a_soft_policy(tmp_path):
    """With temperature t and one step, the policy is the density that goes as exp(r / t)."""
    settings = {**SMALL["sac"], "batch": 64, "warmup": 0, "ratio": 8.0, "learning_rate": 3e-3}
    # The temperature stays, since its target is the entropy that the policy then has.
    grid = np.linspace(-1, 1, 20001)[1:-1]
    weights = np.exp((1 - grid**2) / 0.5)
    density = weights / (weights.sum() * (grid[1] - grid[0]))
    entropy = -(density * np.log(density)).sum() * (grid[1] - grid[0])
    learner = make("sac", **settings, temperature=0.5, target_entropy=float(entropy))
    said = one_state(learner, tmp_path, "terminated")
    assert said["temperature"] == pytest.approx(0.5, rel=0.2)
    actions = learner.sample(np.tile([1.0, 0.0], (4000, 1)), Noise.together(4000, 0, 3))
    expected = (density * grid**2).sum() * (grid[1] - grid[0])
    assert np.mean(actions**2) == pytest.approx(expected, rel=0.15)


def test_rewards_are_scaled(tmp_path):
    settings = {**SMALL["td3"], **SOLVING["td3"], "batch": 64, "warmup": 0, "ratio": 3.0}
    for scale in (0.3, 3.0):
        learner = make("td3", **settings, reward_scale=scale)
        one_state(learner, tmp_path, "terminated")
        assert learner.value(np.array([[1.0, 0.0]]))[0] == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("name", SMALL)
def test_interrupted_is_as_uninterrupted(name, tmp_path):
    whole, source = trained(name, tmp_path, 5)
    first, memory = trained(name, tmp_path, 5)
    second = make(name, **SMALL[name], seed=7)  # other weights, until it loads
    second.load(first.state())
    copy = second.make_source(1, tmp_path)
    copy.load({key: np.array(value) for key, value in memory.state().items()})
    rng = np.random.default_rng(3)
    for _ in range(6):
        new = random_transitions(rng, 1)
        source.add(new)
        copy.add(new)
        assert whole.update(source) == second.update(copy)
    assert torch.equal(parameters(whole), parameters(second))
    assert (whole.updates, whole.flops) == (second.updates, second.flops)


@pytest.mark.parametrize("name", SMALL)
def test_ratio_of_steps_to_decisions(name, tmp_path):
    learner, _ = trained(name, tmp_path, 9, ratio=0.5)
    assert learner.updates == 4
    learner, _ = trained(name, tmp_path, 9, ratio=3.0)
    assert learner.updates == 27


OTHER = {
    "seed": 1,
    "network": "simba",
    "actor_width": 12,
    "actor_depth": 1,
    "critic_width": 12,
    "critic_depth": 1,
    "width": 12,
    "depth": 1,
    "learning_rate": 1e-2,
    "weight_decay": 0.3,
    "batch": 8,
    "capacity": 5,
    "warmup": 6,
    "ratio": 2.0,
    "discount": 0.5,
    "tau": 0.5,
    "temperature": 0.5,
    "target_entropy": 1.0,
    "twin": False,
    "reward_scale": 3.0,
    "smoothing": 0.6,
    "smoothing_clip": 0.05,
    "delay": 1,
    "exploration": 0.5,
}
NOT_HERE = ("_target_", "device", "num_envs", "exploration", "torso", "reward_clip")


@pytest.mark.parametrize(
    ("name", "key"),
    [(n, key) for n in ("sac", "td3") for key in options(n) if key not in NOT_HERE],
)
def test_every_option_matters(name, key, tmp_path):
    usual = parameters(trained(name, tmp_path)[0])
    other = parameters(trained(name, tmp_path, **{key: OTHER[key]})[0])
    assert usual.shape != other.shape or not torch.equal(usual, other)


def test_exploration_matters(tmp_path):
    quiet, loud = (
        trained("td3", tmp_path, exploration=e)[0].sample(np.zeros((9, 2)), Noise.together(9, 0, 0))
        for e in (0.1, 0.5)
    )
    assert not np.array_equal(quiet, loud)


def test_one_line_for_a_bad_option():
    with pytest.raises(ValueError, match=r"learner.delay is 0"):
        make("td3", delay=0)
    with pytest.raises(ValueError, match=r"learner.network is 'deep'"):
        make("sac", network="deep")


def test_operations_are_counted_once_and_multiplied():
    counter, x = Flops(), torch.zeros(3, 4)
    for _ in range(5):
        with counter.count("product"):
            torch.mm(x, torch.zeros(4, 7))
    assert counter.total == 5 * 2 * 3 * 4 * 7
