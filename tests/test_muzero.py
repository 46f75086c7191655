"""MuZero: its scales, its targets, its gradients, and whether it learns."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from lock import DialTask, LockTask, go_on, make_agent, make_trainer
from test_sequences import fill
from test_train import flat

from learners.muzero import returns
from learners.residual import latent_shape
from planners.noise import Noise
from suites.evaluate import evaluate
from suites.ledger import Meter
from suites.tasks.catch import CatchTask

CPU = torch.device("cpu")
SMALL = (
    *("agent=muzero", "world_model.width=32", "world_model.hidden=32", "learner.hidden=32"),
    *("world_model.warmup=100", "world_model.projection=16", "world_model.ratio=0.5"),
)


@pytest.mark.parametrize(("n", "unroll"), [(1, 3), (4, 2), (3, 5)])
def test_targets_by_brute_force(n, unroll):
    memory, told = fill(1000, 2, 80)
    generator = torch.Generator().manual_seed(1)
    batch = memory.sample(400, unroll + n, generator, CPU, whole=False)
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    value = torch.cos(batch.observation.double() @ weights)
    found, kinds = returns(batch, value, n, 0.9), set()
    assert found.shape == (unroll + 1, 400)
    for m in range(400):
        b, e, begin = (int(x) for x in batch.observation[0, m])
        episode = told[b][e]
        for k in range(unroll + 1):
            if begin + k >= len(episode):
                assert batch.valid[k, m] == 0
                continue
            expected, power, t = 0.0, 1.0, begin + k
            while t < min(begin + k + n, len(episode)) and power:
                _, reward, terminated, _ = episode[t]
                expected += power * reward
                power *= 0.9 * (not terminated)
                t += 1
            kinds.add("goes on" if t < len(episode) else "cut off" if power else "terminated")
            expected += power * np.cos(b + 2 * e + 3 * t)
            assert found[k, m] == pytest.approx(expected, abs=1e-5)
    assert kinds == {"goes on", "cut off", "terminated"}


def pictures_spec() -> SimpleNamespace:
    return SimpleNamespace(
        facts=SimpleNamespace(
            name="small",
            observation_space=Box(0, 255, (2, 40, 24), np.uint8),
            action_space=Discrete(3),
            control_dt=1.0,
            budget_per_step=1,
        )
    )


@pytest.mark.parametrize("kind", ["vectors", "pictures"])
def test_latent_gradients_are_halved_at_each_step(kind):
    """Against a loop that carries the gradients of latents backward by hand."""
    task = LockTask() if kind == "vectors" else pictures_spec()
    model = make_agent(task, *SMALL, "world_model.channels=8", "world_model.shift=0").model
    space, unroll = task.facts.observation_space, model.unroll
    rng = np.random.default_rng(0)
    seen = rng.integers(0, 256, (unroll + 3, 3, *space.shape)).astype(space.dtype)
    seen = torch.from_numpy(seen if kind == "pictures" else seen.astype(np.float32) / 256)
    action = torch.from_numpy(rng.integers(0, 3, (unroll, 3)))
    networks = model.networks
    latents, encoded = model.unrolled(SimpleNamespace(observation=seen, action=action))
    model.shift = 3
    moved, _ = model.unrolled(SimpleNamespace(observation=seen, action=action))
    assert torch.equal(moved, latents) == (kind == "vectors")
    weights = torch.from_numpy(rng.normal(size=latents.shape).astype(np.float32))
    (weights * latents).sum().backward()
    names = [n for n, p in networks.named_parameters() if p.grad is not None]
    assert {name.split(".")[0] for name in names} == {"encoder", "dynamics"}
    got = {n: p.grad.clone() for n, p in networks.named_parameters() if p.grad is not None}
    networks.zero_grad()

    parts = [networks["encoder"](seen[0])]
    pairs = []
    for k in range(unroll):
        leaf = parts[-1].detach().requires_grad_()
        following = networks["dynamics"](leaf, action[k])
        pairs.append((leaf, following))
        parts.append(following)
    np.testing.assert_allclose(latents.detach(), torch.stack(parts).detach(), atol=1e-6)
    later = networks["encoder"](seen[1:].flatten(0, 1)).detach()
    np.testing.assert_allclose(encoded.flatten(0, 1), later, atol=1e-5)
    gradient = weights[unroll]
    for k in reversed(range(unroll)):
        leaf, following = pairs[k]
        following.backward(gradient)
        gradient = weights[k] + leaf.grad / 2
    parts[0].backward(gradient)
    for name, parameter in networks.named_parameters():
        if name in got:
            scale = float(parameter.grad.abs().max())
            np.testing.assert_allclose(got[name], parameter.grad, atol=1e-4 * scale + 1e-7)


def test_values_aim_at_what_todays_networks_say(tmp_path):
    trainer = go_on(make_trainer(tmp_path, *SMALL, "learner.n_step=1"), 60)
    model, learner = trainer.agent.model, trainer.agent.prior
    source, generator = trainer.sources["world_model"], torch.Generator().manual_seed(0)
    drawn = source.sample(32, model.unroll + learner.ahead, generator, CPU, whole=False)
    torch.nn.init.normal_(learner.networks["value"][-1].weight)  # else all values are near 0
    with torch.no_grad():
        latents, encoded = model.unrolled(drawn)
        _, named = learner.shaping(latents, encoded, drawn)
    told = learner.value(model.begin(drawn.observation.flatten(0, 1).numpy(), None))
    assert told.std() > 0.1
    value = torch.from_numpy(told).float().unflatten(0, (-1, 32))
    aim = returns(drawn, value, learner.n_step, learner.discount)
    with torch.no_grad():
        logits = learner.networks["value"](latents.flatten(0, 1))
    error = learner.values.divergence(logits, aim.flatten())
    error = error.view(aim.shape) * drawn.valid[: len(aim)]
    expected = (error[0].sum() + error[1:].sum() / model.unroll) / 32
    assert named["value_loss"] == pytest.approx(float(expected), rel=1e-4)


def test_latents_are_rows_from_0_to_1():
    model = make_agent(pictures_spec(), *SMALL, "world_model.channels=8").model
    seen = np.random.default_rng(0).integers(0, 256, (5, 2, 40, 24), np.uint8)
    state = model.begin(seen, None)
    size = int(np.prod(latent_shape(model.spec.observation_space, 8, 32)))
    assert state.shape == (5, size) == (5, 8 * 3 * 2)
    following, reward, goes_on = model.step(state, np.array([0, 1, 2, 0, 1]))
    for rows in (state, following):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows.min(axis=1), 0, atol=1e-7)
        np.testing.assert_allclose(rows.max(axis=1), 1, atol=1e-3)
    assert model.model_steps == 5
    plans = np.random.default_rng(1).integers(0, 3, (5, 4, 3))
    rewards, continuation, last = model.rollout(state, plans)
    alive, at = np.ones(5), state
    for h in range(3):
        at, reward, goes_on = model.step(at, plans[:, 2, h])
        np.testing.assert_allclose(rewards[:, 2, h], alive * reward, atol=1e-5)
        alive = alive * goes_on
        np.testing.assert_allclose(continuation[:, 2, h], alive, atol=1e-5)
    np.testing.assert_allclose(last[:, 2], at, atol=1e-5)
    assert model.model_steps == 5 + 60 + 15


def test_it_opens_the_lock(tmp_path):
    words = (
        "world_model.width=64",
        "world_model.unroll=3",
        "learner.n_step=3",
        "world_model.ratio=1",
    )
    agent = go_on(make_trainer(tmp_path, *SMALL, *words), 130).agent
    episodes = list(evaluate(agent.greedy, LockTask(), 0, 0, range(3), Meter()))
    assert [episode.score for episode in episodes] == [1.0, 1.0, 1.0]
    latents = agent.model.begin(np.eye(4)[:3], None)
    assert (agent.prior.logits(latents).argmax(axis=1) == LockTask.digits).all()
    state, told, reward = latents[:1], [], np.zeros(1)
    for digit in LockTask.digits:
        each = [agent.model.step(state, np.array([other])) for other in range(3)]
        told.append([float(goes_on[0]) for _, _, goes_on in each])
        state, reward, _ = each[digit]
    assert reward[0] > 0.5
    for goes_on, digit in zip(told[:2], LockTask.digits, strict=False):
        assert min(goes_on[digit], 1 - max(np.delete(goes_on, digit))) > 0.5


def test_it_turns_the_dial(tmp_path):
    words = "world_model.unroll=3", "learner.n_step=3", "world_model.ratio=1"
    words = *SMALL, *words, "world_model.width=64", "world_model.repeat=1"
    agent = go_on(make_trainer(tmp_path, *words, task=DialTask), 150).agent
    episodes = list(evaluate(agent.greedy, DialTask(), 0, 0, range(3), Meter()))
    assert [episode.score for episode in episodes] == [1.0, 1.0, 1.0]
    turned = agent.prior.mode(agent.model.begin(np.eye(4)[:3], None))
    assert np.minimum(np.floor(turned[:, 0]), 2).tolist() == list(LockTask.digits)


@pytest.mark.parametrize("task", [LockTask, DialTask, CatchTask])
def test_training_goes_on_as_if_never_interrupted(task, tmp_path):
    words = (*SMALL, "world_model.warmup=80", "learner.reanalysis=2")
    words = *words, "world_model.channels=4", "world_model.batch=8"
    whole = go_on(make_trainer(tmp_path, *words, task=task), 50)
    torn = go_on(make_trainer(tmp_path, *words, task=task), 31)
    content = io.BytesIO()
    torch.save({"all": torn.state(), "source": torn.memory()}, content)
    content.seek(0)
    stored = torch.load(content, weights_only=False)
    fresh = make_trainer(tmp_path, *words, task=task)
    fresh.load(stored["all"], stored["source"])
    go_on(fresh, 19)
    assert whole.agent.count("updates") > 100
    if task is CatchTask:
        encoder = whole.agent.model.networks["encoder"]
        assert encoder.centred.count == 8 * whole.agent.count("updates")
    for mine, theirs in zip(flat(whole.agent.state()), flat(fresh.agent.state()), strict=True):
        assert np.array_equal(mine, theirs)
    mine, theirs = whole.sources["world_model"].state(), fresh.sources["world_model"].state()
    for state in (mine, theirs):
        state["observation"] = state["observation"][state["episode"] >= 0]  # else nothing is there
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    assert whole.said.keys() == fresh.said.keys()
    one, two = whole.take_costs(), fresh.take_costs()
    for name in ("updates", "flops", "model_steps", "env_steps", "decisions"):
        assert getattr(one, name) == getattr(two, name) > 0


def test_noise_at_the_root_is_for_training():
    agent = make_agent(LockTask(), *SMALL)
    state = agent.model.begin(np.eye(4)[[0] * 64], None)

    def actions(agent, key: int) -> np.ndarray:
        carry = agent.planner.init(64)
        noise = Noise(key, range(64), 0)
        return agent.planner.plan(agent.model, agent.prior, state, carry, noise)[0].action

    assert len(set(actions(agent, 0))) == 3
    assert len(set(actions(agent.greedy, 0))) == 1
    assert np.array_equal(actions(agent.greedy, 0), actions(agent.greedy, 1))
    assert agent.planner.search.gumbel_scale == 1  # its own is as it was
    alone = make_agent(LockTask(), "planner=mcts", "planner.search=gumbel", "world_model=muzero")
    alone.model.trains = False
    assert alone.greedy.planner is alone.planner


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("task=pendulum", "world_model.grid=1"), "world_model.grid is 1"),
        (("task=pendulum", "learner.exploration=2"), "learner.exploration is 2"),
        (("task=catch", "world_model.unroll=0"), "world_model.unroll is 0"),
        (("task=catch", "world_model.shift=-1"), "world_model.shift is -1"),
        (("task=catch", "world_model.bins=1"), "world_model.bins is 1"),
        (("task=catch", "learner.n_step=0"), "learner.n_step is 0"),
        (("task=catch", "learner.reanalysis=-1"), "learner.reanalysis is -1"),
        (("task=catch", "world_model.capacity=80"), "world_model.capacity is 80: give at least 88"),
        (("task=catch", "learner=dqn"), "learns from observations"),
        (("task=catch", "world_model=simulator"), "choose world_model=muzero"),
    ],
)
def test_one_line_for_bad_input(words, said, command):
    code, _, err = command("agent=muzero", *words, "evaluation.episodes=1")
    assert code == 2
    assert said in err.splitlines()[-1]
