"""Soft actor-critic with discrete actions: against soft value iteration."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from small_tasks import PICTURES, START, Story, Tables, keys_of, make_learner

from learners.discrete_sac import DiscreteSAC
from learners.sac import SAC
from learners.soft import make_learner as make_soft
from planners.noise import Noise

DISCOUNT = 0.7
SMALL: dict[str, Any] = {
    "actor_width": 32,
    "actor_depth": 1,
    "critic_width": 32,
    "critic_depth": 1,
    "learning_rate": 5e-3,
    "batch": 64,
    "capacity": 4000,
    "warmup": 0,
    "discount": DISCOUNT,
    "tau": 0.05,
    "temperature": 0.2,
}


def trained(tables: Tables, updates: int, cut: float = 0.0, **options: Any) -> Any:
    """A learner after so many gradient steps on 2000 decisions at random, and what it said."""
    options = {**SMALL, "ratio": updates / 2000, **options}
    learner = make_learner("sac", tables.space, **options)
    said = learner.update(tables.fill(learner, 500, cut))
    assert learner.updates == updates
    return learner, said


def softmax(logits: np.ndarray) -> np.ndarray:
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return chances / chances.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize("twin", [True, False])
def test_converges_to_what_soft_value_iteration_says(twin, scale):
    """For the temperature at which the entropy is what it should be."""
    tables = Tables.random(1)
    learner, _ = trained(tables, 1200, twin=twin, reward_scale=scale)
    temperature = learner.networks.log_temperature.exp().item() / scale
    expected = tables.values(DISCOUNT, temperature=temperature)
    values = learner.networks.critic(torch.eye(5)).detach().numpy() / scale
    assert len(values) == (2 if twin else 1)
    for each in values:
        np.testing.assert_allclose(each, expected, atol=0.06)
    policy = softmax(expected / temperature)
    np.testing.assert_allclose(softmax(learner.logits(np.eye(5))), policy, atol=0.08)
    value = (policy * expected).sum(axis=1)
    np.testing.assert_allclose(learner.value(np.eye(5)), value, atol=0.06)
    # Soft values are others than hard ones, by more than the tolerance.
    assert np.abs(expected - tables.values(DISCOUNT)).max() > 0.1


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_the_temperature_holds_the_entropy_at_its_target(share):
    tables = Tables.random(3)
    learner, _ = trained(tables, 1200, target_entropy=share)
    source = tables.fill(learner, 500)
    states = source.sample(1000, torch.Generator().manual_seed(0), torch.device("cpu"))
    policy = softmax(learner.logits(states.observations[:1000].numpy()))
    entropy = -(policy * np.log(policy)).sum(axis=1).mean()
    np.testing.assert_allclose(entropy, share * np.log(3), atol=0.1)


@pytest.mark.parametrize("terminates", [False, True])
def test_truncation_bootstraps_and_termination_does_not(terminates):
    """One state that pays 1, in episodes of a single decision; soft values add the entropy."""
    shape = (1, 3)
    tables = Tables(np.ones(shape), np.zeros(shape, int), np.full(shape, terminates))
    learner, _ = trained(tables, 900, cut=1.0, target_entropy=1.0)
    temperature = learner.networks.log_temperature.exp().item()
    value = (1 + DISCOUNT * temperature * np.log(3)) / (1 - DISCOUNT)
    expected = 1.0 if terminates else value
    np.testing.assert_allclose(learner.value(np.eye(1)), expected, rtol=0.05)


def test_exploration_and_evaluation():
    """Uniform at first, then by the policy; evaluation takes the likeliest action."""
    learner, _ = trained(Tables.random(1), 200)
    features = np.tile(np.eye(5)[2], (20_000, 1))
    policy = softmax(learner.logits(features[:1]))[0]
    assert policy.max() > 0.5
    for warmup, expected in ((10_000, np.full(3, 1 / 3)), (0, policy)):
        learner.pace.warmup = warmup
        drawn = learner.sample(features, Noise(0, range(20_000), 0)) - START
        np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 20_000, expected, atol=0.015)
    best = learner.greedy.sample(features[:3], Noise(0, range(3), 0)) - START
    assert (best == policy.argmax()).all()


STORY: dict[str, Any] = {
    "actor_width": 16,
    "actor_depth": 1,
    "critic_width": 16,
    "critic_depth": 1,
    "batch": 4,
    "capacity": 60,
    "warmup": 6,
    "ratio": 0.5,
    "num_envs": 2,
    "learning_rate": 1e-3,
    "reward_clip": 1.0,
}
CHANGES: dict[str, Any] = {
    "seed": 1,
    "num_envs": 3,
    "torso": "efficient",
    "actor_width": 17,
    "actor_depth": 2,
    "critic_width": 17,
    "critic_depth": 2,
    "learning_rate": 1e-4,
    "weight_decay": 0.1,
    "batch": 5,
    "capacity": 40,
    "warmup": 8,
    "ratio": 0.6,
    "discount": 0.9,
    "tau": 0.1,
    "temperature": 0.5,
    "target_entropy": 0.9,
    "twin": False,
    "reward_scale": 2.0,
    "reward_clip": None,
}


def story(**options: Any) -> Story:
    return Story(make_learner("sac", PICTURES, **{**STORY, **options}))


@pytest.fixture(scope="module")
def usual():
    return story().go_on(40).told()


@pytest.mark.parametrize("key", CHANGES)
def test_every_key_matters(usual, key):
    assert story(**{key: CHANGES[key]}).go_on(40).told() != usual


def test_no_key_is_forgotten():
    assert keys_of("sac").keys() - {"_target_", "device", "network"} == CHANGES.keys()


def test_goes_on_after_a_checkpoint_as_if_nothing_had_been(usual, tmp_path):
    half, rest = story(), story()
    half.go_on(17).copy_to(rest, tmp_path)
    assert rest.go_on(23).told() == usual


def test_the_actor_does_not_teach_the_torso():
    """Else its gradient would be there after a step, and be added to the next one's."""
    told = story().go_on(10)
    assert told.learner.updates > 0
    assert all(p.grad is None for p in told.learner.networks.parameters())


def test_the_form_follows_the_actions():
    options = {key: value for key, value in keys_of("sac").items() if key != "_target_"}
    space = Box(0.0, 1.0, (4,), np.float64)
    continuous = SimpleNamespace(
        name="walk", observation_space=space, action_space=Box(-1.0, 1.0, (2,))
    )
    learner = make_soft(continuous, **options)
    assert isinstance(learner, SAC)
    assert (learner.batch, learner.target_entropy) == (256, -2.0)
    learner = make_learner("sac", space)
    assert isinstance(learner, DiscreteSAC)
    assert learner.batch == 64
    np.testing.assert_allclose(learner.target_entropy, 0.5 * np.log(3))
    with pytest.raises(ValueError, match=r"learner\.torso: with walk's continuous actions"):
        make_soft(continuous, **{**options, "torso": "nature"})
    with pytest.raises(ValueError, match=r"learner\.network: with small's discrete actions"):
        make_learner("sac", space, network="simba")
