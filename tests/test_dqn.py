"""Deep Q-learning: values of small tasks by value iteration, its parts by brute force."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from small_tasks import PICTURES, START, Story, Tables, keys_of, make_learner, pictures

from learners.q_network import NoisyLinear, QNetwork, project
from planners.noise import Noise

DISCOUNT = 0.7
SMALL: dict[str, Any] = {
    "width": 32,
    "depth": 1,
    "learning_rate": 4e-3,
    "adam_epsilon": 1e-8,
    "batch": 64,
    "capacity": 9000,
    "warmup": 0,
    "discount": DISCOUNT,
    "target_period": 20,
    "value_min": -2.0,
    "value_max": 2.0,
    "beta_decisions": 1,
    "noise_sigma": 0.1,
}


def trained(tables: Tables, name: str, updates: int, cut: float = 0.0, **options: Any) -> Any:
    """A learner after so many gradient steps on 8000 decisions at random."""
    learner = make_learner(name, tables.space, **{**SMALL, "ratio": updates / 8000, **options})
    said = learner.update(tables.fill(learner, 2000, cut))
    assert learner.updates == updates
    assert np.isfinite(list(said.values())).all()
    return learner


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dqn", {}),
        ("dqn", {"double": True, "dueling": True}),
        ("dqn", {"prioritised": True}),
        ("dqn", {"distributional": True}),
        ("dqn", {"n_step": 3}),
        ("dqn", {"reward_scale": 3.0, "noisy": True}),
        ("rainbow", {}),
    ],
)
def test_converges_to_what_value_iteration_says(name, options):
    tables = Tables.random(1)
    n = {**keys_of(name), **options}["n_step"]
    expected = tables.values(DISCOUNT, n)
    learner = trained(tables, name, 1000, **options)
    error = 0.05 if n == 1 else 0.1  # the rewards of random actions are noise
    np.testing.assert_allclose(learner.logits(np.eye(5)), expected, atol=error)
    np.testing.assert_allclose(learner.value(np.eye(5)), expected.max(axis=1), atol=error)
    chosen = learner.greedy.sample(np.eye(5), Noise(0, range(5), 0)) - START
    assert (expected[np.arange(5), chosen] > expected.max(axis=1) - 0.1).all()
    # As different as n = 1 and 3 are: else the test could not tell them apart.
    assert np.abs(tables.values(DISCOUNT, 1) - tables.values(DISCOUNT, 3)).max() > 0.2


@pytest.mark.parametrize("terminates", [False, True])
def test_truncation_bootstraps_and_termination_does_not(terminates):
    """One state that pays 1, in episodes of a single decision."""
    shape = (1, 3)
    tables = Tables(np.ones(shape), np.zeros(shape, int), np.full(shape, terminates))
    learner = trained(tables, "dqn", 600, cut=1.0, n_step=3, learning_rate=1e-2)
    expected = 1.0 if terminates else 1 / (1 - DISCOUNT)
    np.testing.assert_allclose(learner.logits(np.eye(1)), expected, rtol=0.03)


@pytest.mark.parametrize("double", [False, True])
def test_the_loss_by_hand(double):
    """Of networks that disagree about the best action."""
    tables = Tables.random(2)
    learner = trained(tables, "dqn", 5, target_period=1000, double=double)
    source = tables.fill(learner, 20)
    drawn = source.sample(64, torch.Generator().manual_seed(5), torch.device("cpu"))
    now, following = drawn.observations.chunk(2)
    with torch.no_grad():
        for parameter in learner.target.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=learner.generator))
        said, future = learner.network(now)[..., 0], learner.target(following)[..., 0]
        choice = learner.network(following)[..., 0].argmax(1)
    assert (choice != future.argmax(1)).any()
    losses, expected = [], []
    for i in range(64):
        value = future[i, choice[i]] if double else future[i].max()
        error = said[i, drawn.action[i]] - drawn.reward[i] - drawn.discount[i] * value
        expected.append(abs(float(error)))
        losses.append(float(0.5 * error**2 if abs(error) < 1 else abs(error) - 0.5))
    metrics, errors = learner._step(drawn)
    np.testing.assert_allclose(metrics[0], np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(errors, expected, rtol=1e-4, atol=1e-6)


def test_projection_by_the_loops_of_the_paper():
    """Bellemare et al. (2017), algorithm 1."""
    random = np.random.default_rng(0)
    atoms, (n, k) = np.linspace(-2, 3, 11), (40, 11)
    chances = random.dirichlet(np.ones(k), n)
    reward, discount = random.normal(size=n), random.choice([0.0, 0.5, 1.0], n)
    reward[:20] = random.integers(-5, 6, 20) / 2  # on atoms, and outside of them
    expected = np.zeros((n, k))
    for i in range(n):
        for j in range(k):
            moved = min(max(reward[i] + discount[i] * atoms[j], -2.0), 3.0)
            b = (moved + 2) / 0.5
            low, high = int(np.floor(b)), int(np.ceil(b))
            if low == high:
                expected[i, low] += chances[i, j]
            else:
                expected[i, low] += chances[i, j] * (high - b)
                expected[i, high] += chances[i, j] * (b - low)
    tensors = (torch.from_numpy(x) for x in (chances, reward, discount, atoms))
    np.testing.assert_allclose(project(*tensors), expected, atol=1e-12)


def test_noise_is_that_of_the_weights():
    """Fortunato et al. (2018), equations 9 to 11, for each row its own."""
    torch.manual_seed(0)
    layer = NoisyLinear(4, 3, 0.5)
    assert (layer.weight_sigma == 0.5 / 2).all()
    torch.nn.init.normal_(layer.weight_sigma)
    x, normals = torch.randn(2, 4), torch.randn(2, 7)
    layer.normals = normals
    said = layer(x)
    for row in range(2):
        f = [float(np.sign(e) * np.sqrt(abs(e))) for e in normals[row].tolist()]
        for j in range(3):
            expected = layer.bias[j] + layer.bias_sigma[j] * f[4 + j]
            for i in range(4):
                weight = layer.weight[j, i] + layer.weight_sigma[j, i] * f[i] * f[4 + j]
                expected = expected + weight * x[row, i]
            torch.testing.assert_close(said[row, j], expected)
    layer.normals = None
    torch.testing.assert_close(layer(x), x @ layer.weight.T + layer.bias)


def test_dueling_streams_add_up():
    torch.manual_seed(0)
    network = QNetwork(Box(0, 1, (6,)), 4, "nature", 8, 2, True, 5, 0.0, False)
    x = torch.randn(7, 6)
    values = network(x)
    assert values.shape == (7, 4, 5)
    assert network.value is not None
    torch.testing.assert_close(values.mean(dim=1), network.value(network.trunk(x)))


def test_exploration():
    """Uniform at first, then as epsilon says; noise from what was given."""
    tables = Tables.random(0)
    options = {"warmup": 10, "epsilon_start": 0.8, "epsilon_end": 0.2, "epsilon_decisions": 100}
    learner = make_learner("dqn", tables.space, **{**SMALL, **options})
    features = np.tile(np.eye(5)[:1], (6000, 1))
    best = learner.greedy.sample(features[:1], Noise(0, [0], 0))[0]
    for seen, epsilon in ((0, 1.0), (9, 1.0), (10, 0.8), (60, 0.5), (110, 0.2), (500, 0.2)):
        learner.pace.seen = seen
        drawn = learner.sample(features, Noise(0, range(6000), seen))
        shares = np.bincount(drawn - START, minlength=3) / 6000
        expected = np.full(3, epsilon / 3)
        expected[best - START] += 1 - epsilon
        np.testing.assert_allclose(shares, expected, atol=0.025)
    noisy = make_learner("rainbow", tables.space, **{**SMALL, "noise_sigma": 5.0})
    drawn = noisy.sample(features[:200], Noise(0, range(200), 0))
    assert len(np.unique(drawn)) > 1
    assert np.array_equal(drawn[5:7], noisy.sample(features[:2], Noise(0, [5, 6], 0)))
    assert len(np.unique(noisy.greedy.sample(features, Noise(0, range(6000), 0)))) == 1


# A learner with every extension, but also with epsilon, in which each key plays a part.
STORY: dict[str, Any] = {
    "width": 16,
    "batch": 4,
    "capacity": 60,
    "warmup": 6,
    "ratio": 0.5,
    "num_envs": 2,
    "n_step": 2,
    "target_period": 3,
    "learning_rate": 1e-3,
    "gradient_norm": 0.5,
    "epsilon_start": 0.8,
    "epsilon_end": 0.1,
    "epsilon_decisions": 60,
    "evaluation_epsilon": 0.1,
    "beta_decisions": 100,
    "atoms": 11,
    "value_min": -5.0,
    "value_max": 5.0,
}
CHANGES: dict[str, Any] = {
    "seed": 1,
    "num_envs": 3,
    "torso": "efficient",
    "width": 17,
    "depth": 2,
    "batch_norm": True,
    "double": False,
    "dueling": False,
    "prioritised": False,
    "n_step": 1,
    "distributional": False,
    "noisy": False,
    "learning_rate": 1e-4,
    "adam_epsilon": 1e-8,
    "gradient_norm": None,
    "batch": 5,
    "capacity": 40,
    "warmup": 8,
    "ratio": 0.6,
    "discount": 0.9,
    "target_period": 4,
    "reward_clip": None,
    "reward_scale": 2.0,
    "epsilon_start": 0.3,
    "epsilon_end": 0.5,
    "epsilon_decisions": 20,
    "evaluation_epsilon": 0.5,
    "priority_exponent": 0.9,
    "beta": 0.8,
    "beta_decisions": 10,
    "atoms": 12,
    "value_min": -6.0,
    "value_max": 6.0,
    "noise_sigma": 0.1,
}


def story(**options: Any) -> Story:
    return Story(make_learner("rainbow", PICTURES, **{**STORY, **options}))


@pytest.fixture(scope="module")
def usual():
    return story().go_on(40).told()


def test_the_same_seed_tells_the_same_story(usual):
    assert usual["updates"] == 37
    assert story().go_on(40).told() == usual


@pytest.mark.parametrize("key", CHANGES)
def test_every_key_matters(usual, key):
    assert story(**{key: CHANGES[key]}).go_on(40).told() != usual


def test_no_key_is_forgotten():
    assert keys_of("dqn").keys() - {"_target_", "device"} == CHANGES.keys()
    assert keys_of("rainbow").keys() == keys_of("der").keys() == keys_of("dqn").keys()


@pytest.mark.parametrize("name", ["dqn", "rainbow"])
def test_goes_on_after_a_checkpoint_as_if_nothing_had_been(name, tmp_path):
    options = {**STORY, "batch_norm": True}
    whole, half, rest = (Story(make_learner(name, PICTURES, **options)) for _ in range(3))
    half.go_on(17).copy_to(rest, tmp_path)
    assert rest.go_on(23).told() == whole.go_on(40).told()


def test_evaluation_leaves_the_learner_alone():
    told = story().go_on(10)
    before = {name: value.clone() for name, value in told.learner.network.state_dict().items()}
    generator = told.learner.generator.get_state()
    prior = told.learner.greedy
    first = prior.sample(pictures(2), Noise(0, range(2), 0))
    assert np.array_equal(first, prior.sample(pictures(2), Noise(0, range(2), 0)))
    assert torch.equal(generator, told.learner.generator.get_state())
    for name, value in told.learner.network.state_dict().items():
        assert torch.equal(value, before[name])


def test_what_it_refuses():
    space = Box(0.0, 1.0, (5,), np.float64)
    for option, word in (
        ({"n_step": 0}, "n_step is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"atoms": 1, "distributional": True}, "atoms is 1"),
        ({"value_min": 30.0, "distributional": True}, "value_min 30"),
        ({"capacity": 3}, "capacity is 3"),
    ):
        with pytest.raises(ValueError, match=word):
            make_learner("dqn", space, **option).make_source(1, Path())
    with pytest.raises(ValueError, match="torso is 'none'"):
        make_learner("dqn", PICTURES, torso="none")
    with pytest.raises(ValueError, match=r"pictures \(3, 210, 160\)"):
        make_learner("dqn", Box(0, 255, (3, 210, 160), np.uint8))
    from learners.dqn import DQN

    spec = SimpleNamespace(name="walk", observation_space=space, action_space=Box(-1, 1, (2,)))
    options = {k: v for k, v in keys_of("dqn").items() if k != "_target_"}
    with pytest.raises(ValueError, match=r"discrete actions, and task walk has Box.*learner=sac"):
        DQN(spec, **options)


@pytest.mark.parametrize("name", ["dqn", "rainbow", "der"])
def test_what_the_command_line_says(name, command):
    words = f"learner={name}", "budget.env_steps=100"
    code, _, err = command(*words, "task=toy-chain", "learner.capacity=3")
    assert (code, err[:28]) == (2, "error: learner.capacity is 3")
    code, _, err = command(*words, "task=pendulum")
    assert code == 2
    assert "needs discrete actions, and task pendulum-swingup has Box" in err
