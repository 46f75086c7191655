"""Search and learning on the truth: the learner of a planner's decisions, and its agents."""

import io
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from learning import make, make_spec, parameters
from test_run import only, rows
from test_train import comparable, flat, interrupt

from learners.distill import lambda_returns, optimistic
from learners.interface import Transitions
from planners.interface import Plan
from planners.noise import Noise
from suites.checkpoints import load_state
from suites.command import composing, from_words
from suites.evaluate import Agent
from suites.ledger import Meter
from suites.tasks.toy import ChainTask
from suites.train import Trainer
from world_models.simulator import Simulator

CPU = torch.device("cpu")
SMALL = {"width": 16, "batch": 8, "length": 4, "warmup": 20}


def discrete_spec(observation: int = 2, actions: int = 3) -> Any:
    """Facts of a task with discrete actions, of which the first is 2."""
    space = Box(-np.inf, np.inf, (observation,))
    return SimpleNamespace(
        name="small", observation_space=space, action_space=Discrete(actions, start=2)
    )


def decided(observation: np.ndarray, action: np.ndarray, **fields: Any) -> Transitions:
    """Decisions that led to nothing, but for some fields."""
    none, zero = np.zeros(len(action), bool), np.zeros(len(action))
    told = {"reward": zero, "terminated": none, "truncated": none, "next_observation": observation}
    return Transitions(observation, action, **{**told, "start": none, **fields})


def test_value_targets_are_those_of_the_definition():
    """Sutton and Barto's mixture of n-step returns, from lists of episodes."""
    random = np.random.default_rng(0)
    learner = make("distill", policy=False, **{**SMALL, "trace": 0.8}, members=3, num_envs=2)
    learner.pace.warmup = 10_000  # no steps yet
    source, episodes = learner.make_source(2, Path()), [[[]], [[]]]
    seen = random.normal(size=(2, 2))
    for _ in range(150):
        following, reward = random.normal(size=(2, 2)), random.normal(size=2)
        terminated, truncated = random.random((2, 2)) < 0.15
        held = int(random.integers(1, 4))
        told = {"reward": reward, "terminated": terminated, "truncated": truncated, "held": held}
        source.add(decided(seen, np.zeros((2, 1)), **told, next_observation=following))
        learner.update(source)
        for b in range(2):
            episodes[b][-1].append((seen[b], reward[b], held, terminated[b], following[b]))
            if terminated[b] or truncated[b]:
                episodes[b].append([])
        ended = terminated | truncated
        seen = np.where(ended[:, None], random.normal(size=(2, 2)), following)
    parts, scale = learner.networks, float(learner.networks.returns.scale)
    where = {
        step[0].astype(np.float32).tobytes(): (episode, t)
        for env in episodes
        for episode in env
        for t, step in enumerate(episode)
    }

    def values(network: Any, observation: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            x = parts.see(torch.from_numpy(observation)[None])
            return (network(x)[..., 0] + parts.fixed(x))[:, 0].numpy().astype(float)

    drawn = source.sample(64, 4, torch.Generator().manual_seed(1), CPU, whole=False)
    errors, ends = [], set()
    for n in range(64):
        episode, first = where[drawn.observation[0, n].numpy().tobytes()]
        run = episode[first : first + 4]
        ends.add((len(run), bool(run[-1][3])))
        for t, step in enumerate(run):
            sums, total, factor = [], 0.0, 1.0
            for _, reward, held, terminated, following in run[t:]:
                total = total + factor * reward * scale
                factor = 0.0 if terminated else factor * learner.discount**held
                sums.append(total + factor * values(parts.target, following))
            target = 0.8 ** (len(sums) - 1) * sums[-1]
            for k, value in enumerate(sums[:-1]):
                target = target + 0.2 * 0.8**k * value
            errors.append(((values(parts.critic, step[0]) - target) ** 2).sum())
    assert {(4, False), (4, True), (2, True), (2, False)} <= ends
    states = parts.see(drawn.observation.flatten(0, 1)).unflatten(0, (5, 64))
    loss, _ = learner._value_loss(states, drawn)
    assert loss.item() == pytest.approx(np.mean(errors), rel=1e-4)


def test_without_a_trace_one_step_and_with_a_full_one_all():
    random = torch.Generator().manual_seed(0)
    reward, following = (torch.rand(*s, generator=random) for s in ((5, 3), (2, 5, 3)))
    ones = torch.ones(5, 3)
    one = lambda_returns(reward, 0.9 * ones, ones, following, 0.0)
    torch.testing.assert_close(one, reward + 0.9 * following)
    whole = lambda_returns(reward, 0.9 * ones, ones, following, 1.0)[:, 0]
    expected = sum(0.9**t * reward[t] for t in range(5)) + 0.9**5 * following[:, -1]
    torch.testing.assert_close(whole, expected)


def test_optimism_is_the_logarithm_of_a_mean():
    values = np.random.default_rng(0).normal(size=(5, 7))
    for kappa in (0.1, 1.0, 30.0):
        expected = [math.log(sum(math.exp(kappa * v) for v in c) / 5) / kappa for c in values.T]
        found = optimistic(torch.from_numpy(values), kappa)
        np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(optimistic(torch.from_numpy(values), 0.0), values.mean(axis=0))
    near = optimistic(torch.from_numpy(values), 1e4)
    np.testing.assert_allclose(near, values.max(axis=0), atol=1e-3)


def test_only_training_is_optimistic():
    learner = make("distill", optimism=20.0, prior_scale=3.0, **SMALL)
    features = np.random.default_rng(0).normal(size=(9, 2))
    assert (learner.value(features) > learner.greedy.value(features)).all()


def test_the_value_of_a_ring():
    """Five cells in a ring, the third of which may end the episode; cut off now and then."""
    cells, random = 5, np.random.default_rng(0)
    rewards, chance, discount = np.array([1.0, -2.0, 0.5, 3.0, 0.0]), 0.3, 0.9
    goes_on = np.where(np.arange(cells) == 3, 1 - chance, 1.0)
    after = np.roll(np.eye(cells), 1, axis=1)
    expected = np.linalg.solve(np.eye(cells) - discount * goes_on[:, None] * after, rewards)
    learner = make(
        *("distill", make_spec(cells)),
        **{**SMALL, "width": 32, "batch": 16},
        num_envs=4,
        policy=False,
        discount=discount,
        tau=0.05,
        ratio=0.25,
    )
    source, at, eye = learner.make_source(4, Path()), np.zeros(4, int), np.eye(cells)
    for _ in range(1200):
        terminated = (at == 3) & (random.random(4) < chance)
        truncated = random.random(4) < 0.1
        told = {"reward": rewards[at], "terminated": terminated, "truncated": truncated}
        following = (at + 1) % cells
        source.add(decided(eye[at], np.zeros((4, 1)), **told, next_observation=eye[following]))
        learner.update(source)
        at = np.where(terminated | truncated, random.integers(cells, size=4), following)
    assert learner.has_value
    np.testing.assert_allclose(learner.greedy.value(eye), expected, atol=0.35)
    assert np.ptp(expected) > 2


def test_a_continuous_expert_is_learned():
    random, gain = np.random.default_rng(0), np.array([[0.5, -0.3], [0.2, 0.6]])
    spec = make_spec(2, 2, low=-2, high=1)
    expert = lambda x: np.clip(x @ gain.T, -2, 1)  # noqa: E731
    changes = {"batch": 64, "length": 1, "width": 32, "warmup": 50, "learning_rate": 4e-3}
    learner = make("distill", spec, value=False, **changes)
    source, said = learner.make_source(1, Path()), {}
    for _ in range(800):
        x = random.normal(size=(1, 2))
        noise = 0.1 * random.normal(size=(1, 2))
        source.add(decided(x, random.uniform(-1, 1, (1, 2)), label=expert(x) + noise))
        said = learner.update(source)
    x = random.normal(size=(500, 2))
    assert np.abs(learner.mode(x) - expert(x)).mean() < 0.06
    assert set(said) == {"policy_loss"}
    drawn = learner.sample(np.repeat(x[:1], 4000, axis=0), Noise(0, range(4000), 0))
    assert (drawn >= -2).all()
    assert (drawn <= 1).all()
    # The expert's noise of 0.1 is less than the least deviation, 0.1 of half of the range.
    assert drawn.std(axis=0) == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize("told", ["policy", "action"])
def test_a_discrete_expert_is_learned(told):
    random = np.random.default_rng(0)
    weights = random.normal(size=(3, 2))
    learner = make("distill", discrete_spec(), value=False, batch=64, length=1, warmup=50)
    source = learner.make_source(1, Path())

    def expert(x: np.ndarray) -> np.ndarray:
        chances = np.exp(x @ weights.T)
        return chances / chances.sum(axis=1, keepdims=True)

    for k in range(800):
        x = random.normal(size=(1, 2))
        label = 2 + (np.log(expert(x)) + Noise(0, [0], k).gumbel(3)).argmax(axis=1)
        policy = expert(x) if told == "policy" else None
        source.add(decided(x, np.full(1, 2), label=label, policy=policy))
        learner.update(source)
    x = random.normal(size=(300, 2))
    chances = np.exp(learner.logits(x))
    chances /= chances.sum(axis=1, keepdims=True)
    assert np.abs(chances - expert(x)).mean() < (0.03 if told == "policy" else 0.1)
    assert (learner.mode(x) == 2 + learner.logits(x).argmax(axis=1)).all()


def test_before_it_learns_it_knows_nothing():
    learner = make("distill", **SMALL)
    source = learner.make_source(1, Path())
    for k in range(20):
        assert not learner.has_value
        assert not learner.greedy.has_value
        source.add(decided(np.full((1, 2), k), np.zeros((1, 1))))
        assert learner.update(source) == {}
    assert learner.has_value
    assert not make("distill", value=False, **{**SMALL, "warmup": 4}).has_value


def test_the_mixture_is_what_beta_says():
    learner = make("distill", half_life=100.0, **SMALL)
    features, planned = np.zeros((4000, 2)), np.full((4000, 1), 7.0)
    for seen, beta in ((0, 1.0), (20, 1.0), (120, 0.5), (320, 0.125)):
        learner.pace.seen = seen
        assert learner.beta == beta
        mixed = learner.mix(features, planned, Noise(0, range(4000), seen))
        assert ((mixed == planned) | (mixed == learner.mode(features))).all()
        assert np.mean(mixed == planned) == pytest.approx(beta, abs=0.03)
    assert make("distill", half_life=math.inf, **SMALL).beta == 1.0


class Right:
    """Always steps to the right."""

    plan_every, late = 1, False

    def init(self, batch: int) -> None:
        pass

    def plan(self, model: Any, prior: Any, state: Any, carry: None, noise: Noise) -> Any:
        action = np.ones(len(state), np.int64)
        return Plan(action, action[:, None], np.zeros(len(state))), None


def test_dagger_executes_the_mixture_and_learns_the_label(tmp_path, monkeypatch):
    task = ChainTask(4)
    changes = {**SMALL, "num_envs": 4, "half_life": 1.0, "ratio": 0.01}
    learner = make("distill", task.facts, **changes)
    agent = Agent(Right(), Simulator(ChainTask(1)), learner)
    monkeypatch.setattr(learner, "mode", lambda features: np.zeros(len(features), np.int64))
    trainer = Trainer(agent, task, 0, tmp_path, Meter())
    added, executed = [], []
    add, step = trainer.sources["learner"].add, task.step
    monkeypatch.setattr(trainer.sources["learner"], "add", lambda t: (added.append(t), add(t)))
    monkeypatch.setattr(task, "step", lambda a: (executed.append(a), step(a))[1])
    trainer.run(400, lambda _: None)
    assert np.array_equal([t.action for t in added], executed)
    assert all((t.label == 1).all() for t in added)
    own = np.mean(executed, axis=1) < 1
    assert not own[:6].any()  # 20 decisions of warmup, 4 at once
    assert own[20:].all()  # beta is below 1e-9
    stored = trainer.sources["learner"].sample(30, 1, torch.Generator().manual_seed(0), CPU)
    assert (stored.action == 1).all()
    assert (stored.policy[0] == torch.tensor([0.0, 1.0])).all()
    assert type(agent.greedy.planner).__name__ == "NoPlanner"
    assert agent.greedy.every == agent.every


@pytest.mark.parametrize("spec", [make_spec(), discrete_spec()])
def test_a_checkpoint_is_the_learner(spec, tmp_path):
    def decide(learner: Any, source: Any, steps: range) -> list[dict[str, float]]:
        said = []
        for k in steps:
            random = np.random.default_rng(k)
            discrete = hasattr(spec.action_space, "n")
            action = random.integers(2, 5, 2) if discrete else random.uniform(-1, 1, (2, 1))
            ends = random.random((2, 2)) < 0.1
            told = {"reward": random.normal(size=2), "terminated": ends[0], "truncated": ends[1]}
            source.add(decided(random.normal(size=(2, 2)), action, **told))
            said.append(learner.update(source))
        return said

    def fresh() -> Any:
        return make("distill", spec, num_envs=2, half_life=50.0, **SMALL)

    one, two = fresh(), fresh()
    first, second = one.make_source(2, tmp_path), two.make_source(2, tmp_path)
    decide(one, first, range(40))
    content = io.BytesIO()
    torch.save(one.state(), content)
    content.seek(0)
    two.load(torch.load(content, weights_only=False))
    second.load({name: np.array(value) for name, value in first.state().items()})
    assert decide(one, first, range(40, 60)) == decide(two, second, range(40, 60))
    assert torch.equal(parameters(one), parameters(two))
    assert (one.updates, one.flops, one.beta) == (two.updates, two.flops, two.beta)


END_TO_END = {
    "polo": ("agent=polo", "planner.budget=60"),
    "alphazero": ("agent=alphazero", "planner.budget=20"),
    "distill": ("agent=distill", "planner.budget=240", "learner.half_life=50"),
}
FEW = (
    *("task=toy-chain", "threads=1", "evaluation.episodes=2", "evaluation.every=70"),
    *("budget.env_steps=200", "learner.warmup=30", "learner.width=16", "learner.batch=8"),
)


@pytest.mark.parametrize("agent", END_TO_END)
def test_an_interrupted_run_ends_as_if_it_had_not_been(agent, command, tmp_path, monkeypatch):
    words = (*END_TO_END[agent], *FEW)
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert command(*words, f"runs_dir={whole}")[0] == 0
    for at in (63, 111, 199):
        with monkeypatch.context() as patch:
            interrupt(patch, at)
            assert command(*words, f"runs_dir={torn}")[0] == 130
    assert command(*words, f"runs_dir={torn}")[0] == 0
    paths = [only(torn), only(whole)]
    for name in ("evaluations.jsonl", "metrics.jsonl"):
        mine, theirs = (comparable(rows(path / name)) for path in paths)
        assert mine == theirs
    agents = [load_state(path / "checkpoint" / "agent.pt") for path in paths]
    for agent_of in agents:  # a checkpoint is made before the evaluation, which counts
        del agent_of["learner"]["counter"]
    for mine, theirs in zip(*(flat(agent) for agent in agents), strict=True):
        assert np.array_equal(mine, theirs)
    last = rows(paths[1] / "evaluations.jsonl")[-1]
    assert last["updates"] == 170
    assert last["sim_steps"] > 0
    assert (last["evaluation_sim_steps"] == 0) == (agent == "distill")
    assert last["score"] >= 1  # the goal, in each episode


@pytest.mark.parametrize("planner", ["mpc", "mcts"])
def test_the_planner_discounts_as_the_learner_does(planner):
    with composing():
        said = from_words([f"planner={planner}", "learner=distill", "learner.discount=0.97"])
    assert said.config.planner.discount == 0.97


@pytest.mark.parametrize("proposal", ["levels", "prior"])
def test_alphazero_with_continuous_actions(proposal, command, tmp_path):
    words = ("agent=alphazero", "task=pendulum", "planner.budget=40", "evaluation.episodes=1")
    few = ("budget.env_steps=120", "evaluation.every=999", "learner.warmup=40", "learner.width=16")
    assert command(*words, *few, f"planner.proposal={proposal}")[0] == 0
    (_, last) = rows(only(tmp_path) / "evaluations.jsonl")
    assert last["updates"] == last["decisions"] - 40 > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("learner=distill",), "learns from what a planner decides"),
        (("planner=mpc", "planner.discount=1.0", "learner=distill"), "give planner.discount=0.99"),
        (("agent=polo", "learner.warmup=5"), "learner.warmup is 5"),
        (("agent=polo", "learner.value=false"), "nothing to learn"),
        (("agent=polo", "learner.trace=2"), "learner.trace is 2"),
        (("agent=polo", "learner.optimism=-1"), "learner.optimism is -1"),
        (("agent=distill", "learner.least_deviation=0"), "learner.least_deviation is 0"),
        (("agent=polo", "learner.members=0"), "learner.members is 0"),
        (("agent=distill", "learner.half_life=0"), "learner.half_life is 0"),
    ],
)
def test_one_line_for_bad_input(words, said, command):
    code, _, err = command("task=pendulum", *words)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
