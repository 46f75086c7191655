"""TD-MPC2's policy and value by hand, its planner against loops, and all of it together."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from latents import SPEC, draw, fill, make, move, pay, shake
from test_run import only, rows
from test_train import comparable, flat, interrupt
from worlds import NOTHING, Slope, World, make_spec, rugged
from worlds import make as make_planner

from learners import squashed
from learners.tdmpc2 import default_discount
from planners.mpc import MPC
from planners.noise import Noise
from planners.sampling import EliteMPPI, Gaussian
from suites.checkpoints import load_state
from suites.evaluate import Agent


def test_the_discount_by_the_length_of_an_episode():
    assert default_discount(500) == pytest.approx(0.99)
    assert default_discount(50) == 0.95
    assert default_discount(1e6) == 0.995
    assert make()[1].discount == default_discount(50)  # 100 control steps, 2 in each decision
    assert make(learner={"discount": 0.5})[1].greedy.discount == 0.5


def test_targets_by_hand():
    _, learner = make(learner={"critics": 4})
    shake(learner)
    encoded, reward = torch.rand(3, 5, 16), torch.randn(3, 5)
    continuation = (torch.rand(3, 5) > 0.3).float()
    state = learner.generator.get_state()
    found = learner.target(encoded, reward, continuation)
    generator = torch.Generator()
    generator.set_state(state)
    normal = torch.randn(3, 5, 2, generator=generator)
    pair = torch.randperm(4, generator=generator)[:2].tolist()
    parts = learner.networks
    for t in range(3):
        for n in range(5):
            mean, log_std = squashed.parameters(parts.actor(encoded[t, n]), -10.0)
            action = torch.tanh(mean + log_std.exp() * normal[t, n])
            row = torch.cat([encoded[t, n], action])
            both = [learner.bins.decode(parts.targets[k](row)).item() for k in pair]
            expected = reward[t, n] + learner.discount * continuation[t, n] * min(both)
            assert found[t, n].item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-4)


def test_the_value_loss_against_a_loop(monkeypatch):
    model, learner = make(rho=0.7, learner={"critics": 3, "dropout": 0.0, "value_weight": 0.5})
    shake(model, learner)
    batch = draw(model, fill(model, 60, length=5))
    latents, encoded = torch.rand(4, 16, 16), torch.rand(3, 16, 16)
    target, asked = torch.randn(3, 16), []
    monkeypatch.setattr(learner, "target", lambda *given: (asked.append(given), target)[1])
    loss, terms = learner.shaping(latents, encoded, batch)
    assert torch.equal(asked[0][2], 1 - batch.terminated)
    assert batch.terminated.sum() > 0
    expected = 0.0
    for critic in learner.networks.critics:
        for t in range(3):
            logits = critic(torch.cat([latents[t], batch.action[t]], dim=1))
            error = learner.bins.divergence(logits, target[t]).mean().item()
            expected += 0.7**t * error / 3 / 3
    assert terms["value_loss"].item() == pytest.approx(expected, rel=1e-5)
    assert loss.item() == pytest.approx(0.5 * expected, rel=1e-5)


def test_the_policy_loss_by_hand():
    _, learner = make(learner={"entropy_weight": 0.01, "tau": 0.25})
    shake(learner)
    parts, latents = learner.networks, torch.rand(4, 16, 16)
    for critic in parts.critics:
        critic.layers[-1].weight.data.mul_(30)
    state = learner.generator.get_state()
    found, entropy = learner.policy_loss(latents)
    generator = torch.Generator()
    generator.set_state(state)
    normal = torch.randn(4, 16, 2, generator=generator)
    mean, log_std = squashed.parameters(parts.actor(latents), -10.0)
    action, log_probability = squashed.sample(mean, log_std, normal)
    pairs = torch.cat([latents, action], dim=2)
    both = torch.stack([learner.bins.decode(critic(pairs)) for critic in parts.critics])
    values = both.mean(dim=0)
    first = np.sort(values[0].detach().numpy())
    spread = np.percentile(first, 95) - np.percentile(first, 5)
    scale = 0.75 * 1 + 0.25 * max(spread, 1.0)
    assert parts.range.item() == pytest.approx(scale, rel=1e-5)
    assert spread > 1
    weights = 0.5 ** torch.arange(4) / 4
    gain = values / scale - 2 * 0.01 * log_probability  # two dimensions of the action
    assert found.item() == pytest.approx(-(gain.mean(dim=1) @ weights).item(), rel=1e-4)
    assert entropy.item() == pytest.approx(-log_probability.mean().item(), rel=1e-5)


def test_what_a_step_changes():
    """The policy's step leaves the critics alone; the targets follow them slowly."""
    model, learner = make(learner={"tau": 0.25})
    shake(model, learner)
    parts = learner.networks
    latents = torch.rand(4, 16, 16)
    critics = [p.detach().clone() for p in parts.critics.parameters()]
    targets = [p.detach().clone() for p in parts.targets.parameters()]
    actor = [p.detach().clone() for p in parts.actor.parameters()]
    learner.follow(latents)  # the critics have no gradients, and stay
    for before, now in zip(critics, parts.critics.parameters(), strict=True):
        assert torch.equal(before, now)
        assert now.grad is None
        assert now.requires_grad
    for before, critic, now in zip(targets, critics, parts.targets.parameters(), strict=True):
        torch.testing.assert_close(now, 0.75 * before + 0.25 * critic)
    assert not torch.equal(actor[0], next(parts.actor.parameters()))


def test_the_prior_of_a_planner():
    _, learner = make(learner={"critics": 3})
    shake(learner)
    latents = np.random.default_rng(0).random((300, 16)).astype(np.float32)
    noise = Noise.together(300, 0, 0)
    actions = learner.sample(latents, noise)
    assert (actions >= SPEC.action_space.low).all()
    assert (actions <= SPEC.action_space.high).all()
    best = learner.greedy.sample(latents, noise)
    with torch.no_grad():
        rows_ = torch.from_numpy(latents)
        mean = torch.tanh(learner.networks.actor(rows_)[:, :2])
        pairs = torch.cat([rows_, mean], dim=1)
        both = [learner.bins.decode(learner.networks.critics[k](pairs)) for k in range(2)]
    np.testing.assert_allclose(best, np.array([1, 0.5]) + mean.numpy() * [2, 0.5], rtol=1e-4)
    expected = (both[0] + both[1]).numpy() / 2
    np.testing.assert_allclose(learner.value(latents), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(learner.greedy.value(latents), learner.value(latents))


def test_the_elites_refit_against_a_loop():
    random = np.random.default_rng(0)
    candidates, scores = random.normal(size=(2, 16, 3, 2)), 3 * random.normal(size=(2, 16))
    scores[0, 3] = -np.inf
    unit = np.array([1.0, 20.0])
    old = Gaussian(np.zeros((2, 3, 2)), np.ones((2, 3, 2)), unit=unit)
    new = EliteMPPI(elites=0.25, temperature=0.7, floor=0.05).refit(old, candidates, scores)
    for b in range(2):
        elites = sorted(range(16), key=lambda k: -scores[b, k])[:4]
        weights = [np.exp(0.7 * (scores[b, k] - scores[b, elites[0]])) for k in elites]
        for t in range(3):
            for a in range(2):
                values = [candidates[b, k, t, a] for k in elites]
                mean = np.dot(weights, values) / sum(weights)
                variance = np.dot(weights, (values - mean) ** 2) / sum(weights)
                assert new.mean[b, t, a] == pytest.approx(mean)
                assert new.std[b, t, a] == pytest.approx(max(np.sqrt(variance), 0.05 * unit[a]))
    assert (new.std[:, :, 1] == 1.0).any()  # the floor


class Bold(Slope):
    """Acts by what it sees, and by the noise."""

    def sample(self, features, noise):
        return np.tanh(features[:, :1] + noise.normal(1)) * np.ones(3)


def test_guides_are_plans_of_the_policy():
    """In every iteration, after the mean: rolled out in the model, step by step."""
    planner = make_planner("elite_mppi", budget=600, iterations=3, guides=4)
    prior, state = Bold(1.0), np.array([[0.3], [-2.0]])
    world = World(rugged)
    planner.plan(world, prior, state, planner.init(2), Noise(0, [5, 6], 7))
    assert len(world.rolled) == 3
    rows_, noise = np.repeat(state, 4, axis=0), Noise(0, [5, 6], 7).rows(np.repeat([0, 1], 4))
    for h in range(planner.horizon):
        action = prior.sample(rows_, noise)
        for plans in world.rolled:
            np.testing.assert_array_equal(plans[:, 1:5, h].reshape(8, 3), action)
        rows_ = rugged(rows_, action)[0]


def test_exploration_is_for_training():
    """Actions of the last Gaussian; in evaluation its mean."""
    planner = MPC(make_spec(3), "elite_mppi", budget=600, horizon=0.5, floor=0.2)
    state, carry = np.zeros((1, 1)), planner.init(1)
    greedy = Agent(planner, None, NOTHING).greedy.planner

    def act(planner, decision):
        plan, _ = planner.plan(World(rugged), NOTHING, state, carry, Noise(0, [0], decision))
        assert np.array_equal(plan.action, plan.actions[:, 0])
        return plan.action[0]

    drawn = np.array([act(planner, k) - act(greedy, k) for k in range(200)])
    assert (drawn != 0).any(axis=1).all()
    assert 0.1 < drawn.std() < 0.6
    for name in ("mppi", "icem", "cem", "predictive_sampling"):
        other = MPC(make_spec(3), name, budget=600, horizon=0.5)
        np.testing.assert_array_equal(act(other, 0), act(other.greedy, 0))


def test_the_discount_is_the_learners():
    rewards, last = np.array([[[1.0, 2.0]]]), np.array([[[3.0]]])
    prior = Slope(10.0)
    prior.discount = 0.5
    world, alive = World(rugged), np.ones((1, 1, 2))
    by_prior = make_planner("elite_mppi", discount=None)
    assert by_prior.returns(world, prior, rewards, alive, last) == 1 + 0.5 * 2 + 0.25 * 30
    own = make_planner("elite_mppi", discount=0.1)
    assert own.returns(world, prior, rewards, alive, last) == pytest.approx(1 + 0.2 + 0.01 * 30)


def test_it_learns_a_point_task():
    """From random decisions alone: the plan goes to where it is paid, and so does the policy."""
    model, learner = make(
        batch=64,
        warmup=200,
        pretraining=250,
        learning_rate=2e-3,
        learner={"learning_rate": 2e-3, "tau": 0.05},
    )
    said = model.update(fill(model, 400), learner)
    assert all(np.isfinite(value) for value in said.values())
    planner = MPC(
        SPEC, "elite_mppi", budget=1536, horizon=0.3, iterations=4, guides=8, discount=None
    ).greedy
    alone = SimpleNamespace(
        plan=lambda model, prior, state, carry, noise: (
            SimpleNamespace(action=prior.sample(model.features(state), noise)),
            None,
        ),
        init=lambda batch: None,
    )
    for decider in (planner, alone):
        x, paid, carry = -1.0, [], decider.init(1)
        for t in range(20):
            state = model.begin(np.array([[x, 1.0]]), None)
            plan, carry = decider.plan(model, learner.greedy, state, carry, Noise(0, [0], t))
            x = move(x, plan.action[0, 0])
            paid.append(pay(x))
        assert np.mean(paid[8:]) > 0.85  # a policy at random: about 0.4


SMALL = (
    *("agent=tdmpc2", "task=pole", "threads=1", "evaluation.episodes=1"),
    *("world_model.size=16", "world_model.width=16", "world_model.encoder_width=16"),
    *("world_model.batch=8", "world_model.warmup=10", "world_model.pretraining=5"),
    *("planner.budget=96", "planner.iterations=2", "planner.guides=4"),
    *("budget.env_steps=160", "evaluation.every=160"),
)


@pytest.fixture
def pole(tmp_path):
    """Words that choose the task of `tests/pole.py`."""
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "task" / "pole.yaml").write_text("_target_: pole.make\nreward: upright\n")
    return "--config-dir", str(tmp_path / "conf")


def test_an_interrupted_training_ends_as_if_it_had_not_been(command, tmp_path, pole, monkeypatch):
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert command(*pole, *SMALL, f"runs_dir={whole}")[0] == 0
    words = (*pole, *SMALL, f"runs_dir={torn}", "checkpoint.seconds=0")
    with monkeypatch.context() as patch:
        interrupt(patch, 100)
        assert command(*words)[0] == 130
    assert command(*words)[0] == 0
    finished, path = only(whole), only(torn)
    evaluations = rows(finished / "evaluations.jsonl")
    assert [row["updates"] for row in evaluations] == [0, 75]
    assert evaluations[-1]["model_steps"] > 0
    for name in ("evaluations.jsonl", "metrics.jsonl"):
        assert comparable(rows(path / name)) == comparable(rows(finished / name))
    agents = [load_state(p / "checkpoint" / "agent.pt") for p in (path, finished)]
    for mine, theirs in zip(*(flat(agent) for agent in agents), strict=True):
        assert np.array_equal(mine, theirs)
    log = [row for row in rows(path / "metrics.jsonl") if "value_loss" in row]
    assert {"consistency_loss", "reward_loss", "policy_loss", "gradient_norm"} <= set(log[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("learner=tdmpc2",), "learner.repeat is that of world_model.repeat"),
        (("agent=tdmpc2", "learner=sac"), "this world model has latents"),
        (("agent=tdmpc2", "task=toy-chain"), "needs continuous actions"),
        (("planner=mpc", "planner.optimizer=cem", "planner.floor=0.1"), "no such option"),
    ],
)
def test_one_line_for_bad_input(words, said, command):
    code, _, err = command("task=pendulum", *words)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
