"""The corridor: its closed form, its snapshots, and rollouts that agree with steps."""

from types import SimpleNamespace

import numpy as np
from gymnasium.spaces import Discrete

from learners.none import NoLearner
from planners.noise import Noise
from suites.tasks import registry
from suites.tasks.toy import CELLS, DISTRACTION, GOAL_REWARD, HORIZON, ChainTask

RIGHT, LEFT = 1, 0


def test_walk_to_the_goal():
    task = registry.make("toy-chain", num_envs=5)
    assert isinstance(task.facts.action_space, Discrete)
    observations, _ = task.reset(seed=0)
    start = observations.argmax(axis=1)
    assert (start < CELLS // 2).all()
    assert len(set(start)) > 1
    alive, totals = np.ones(5, bool), np.zeros(5)
    for t in range(CELLS):
        _, rewards, terminated, truncated, infos = task.step(np.full(5, RIGHT))
        totals += alive * rewards
        assert not truncated.any()
        arrived = alive & (t == CELLS - 2 - start)
        assert (terminated & alive == arrived).all()
        if arrived.any():
            assert (infos["final_obs"][arrived].argmax(axis=1) == CELLS - 1).all()
        alive &= ~terminated
    assert (totals == GOAL_REWARD).all()


def test_the_distraction_and_the_time_limit():
    task = ChainTask(1)
    observations, _ = task.reset(seed=1)
    start, total = int(observations.argmax()), 0.0
    for t in range(HORIZON):
        _, rewards, terminated, truncated, _ = task.step(np.array([LEFT]))
        total += float(rewards[0])
        assert not terminated[0]
        assert truncated[0] == (t == HORIZON - 1)
    assert np.isclose(total, DISTRACTION * (HORIZON - max(start, 1) + 1))


def test_snapshot_goes_back_through_a_reset():
    task = ChainTask(3)
    task.reset(seed=2)
    actions = np.random.default_rng(0).integers(0, 2, (90, 3))
    for t in range(10):
        task.step(actions[t])
    before = task.snapshot()
    first = [task.step(actions[t]) for t in range(10, 90)]
    task.restore(before)
    second = [task.step(actions[t]) for t in range(10, 90)]
    assert any(step[3].any() for step in first)
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a[:4], b[:4], strict=True):
            assert np.array_equal(x, y)


def test_rollout_agrees_with_steps():
    task = ChainTask(2)
    task.reset(seed=3)
    simulation = task.planning_simulation(1)
    roots = task.simulation.read()
    plans = np.random.default_rng(1).integers(0, 2, (6, 12))
    plans[5] = RIGHT
    root_of = np.array([0, 0, 0, 1, 1, 1])
    rewards, continuation, last = simulation.rollout(roots, root_of, plans)
    assert continuation[5, -1] == 0.0
    before = task.snapshot()
    for n, root in enumerate(root_of):
        task.restore(before)
        alive, seen = 1.0, np.empty(0)
        for h in range(12):
            observations, reward, terminated, _, infos = task.step(np.full(2, plans[n, h]))
            seen = infos.get("final_obs", observations)[root]
            assert rewards[n, h] == alive * reward[root]
            alive *= 1.0 - terminated[root]
            assert continuation[n, h] == alive
            if alive == 0.0:
                assert (rewards[n, h + 1 :] == 0.0).all()
                break
        assert seen.argmax() == last[n, 0]
        assert np.array_equal(
            simulation.observe(last[n : n + 1])[0], np.eye(CELLS)[int(last[n, 0])]
        )


def test_the_broad_prior_draws_every_discrete_action():
    prior, features = (
        NoLearner(SimpleNamespace(action_space=Discrete(3, start=5))),
        np.zeros((4, CELLS)),
    )
    drawn = np.stack([prior.sample(features, Noise(0, range(4), k)) for k in range(60)])
    assert drawn.shape == (60, 4)
    assert drawn.dtype.kind == "i"
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [5, 6, 7]
    assert counts.min() > 50  # of 80 on average
