"""Catch: its rules, its pictures, its snapshots, rollouts that agree with steps, plans on it."""

import itertools

import numpy as np
import pytest
from test_run import only, read

from suites.tasks import registry
from suites.tasks.catch import BALL, CELL, HORIZON, MIDDLE, PADDLE, ROW, SIDE, CatchTask, advance
from world_models.simulator import Simulator

LEFT, STAY, RIGHT = range(3)


def seen(picture: np.ndarray) -> tuple[int, int, int]:
    """The ball's row and column and the paddle's column, of a picture [1, 84, 84]."""
    cells = picture[0, ::CELL, ::CELL]
    assert (picture[0] == cells.repeat(CELL, axis=0).repeat(CELL, axis=1)).all()
    ((row, ball),) = np.argwhere(cells == 255)
    paddle = np.argwhere(cells == 128)
    return int(row), int(ball), int(paddle[0, 1]) if len(paddle) else int(ball)


def test_games_by_hand():
    task = registry.make("catch", num_envs=20)
    pictures, _ = task.reset(seed=0)
    assert pictures.shape == (20, 1, 84, 84)
    assert pictures.dtype == np.uint8
    balls = [seen(picture)[1] for picture in pictures]
    assert len(set(balls)) > 3
    paddle, reward = np.full(20, MIDDLE), np.zeros(20)
    for t in range(HORIZON):
        action = np.where(np.arange(20) < 10, np.sign(balls - paddle) + 1, LEFT)
        pictures, reward, terminated, truncated, infos = task.step(action)
        paddle = np.clip(paddle + action - 1, 0, SIDE - 1)
        last = infos.get("final_obs", pictures)
        assert [seen(p) for p in last] == [
            (t + 1, b, p) for b, p in zip(balls, paddle, strict=True)
        ]
        assert terminated.all() == terminated.any() == (t == HORIZON - 1)
        assert not truncated.any()
        if t < HORIZON - 1:
            assert (reward == 0).all()
    assert (reward[:10] == 1).all()  # the best there is: every ball can be caught
    assert (reward[10:] == np.where(np.array(balls[10:]) == 0, 1, -1)).all()
    assert all(seen(picture)[0] == 0 for picture in pictures)  # a new game


def test_the_random_score_is_that_of_all_games():
    actions = np.array(list(itertools.product(range(3), repeat=HORIZON)))
    simulation, scores = CatchTask().planning_simulation(1), []
    for ball in range(SIDE):
        root = np.array([[0.0, ball, MIDDLE]])
        rewards, _, _ = simulation.rollout(root, np.zeros(len(actions), int), actions)
        scores.append(rewards.sum(axis=1).mean())
    assert registry.make("catch").facts.reference["random"] == pytest.approx(np.mean(scores))


def test_snapshot_goes_back_through_a_reset():
    task = CatchTask(3)
    task.reset(seed=2)
    actions = np.random.default_rng(0).integers(0, 3, (40, 3))
    for t in range(10):
        task.step(actions[t])
    before = task.snapshot()
    first = [task.step(actions[t]) for t in range(10, 40)]
    there = task.restore(before)
    assert (there[:, 0, ::CELL, ::CELL].reshape(3, -1) == 255).sum() == 3
    second = [task.step(actions[t]) for t in range(10, 40)]
    assert any(step[2].any() for step in first)
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a[:4], b[:4], strict=True):
            assert np.array_equal(x, y)


def test_rollouts_agree_with_steps():
    task = CatchTask(4)
    task.reset(seed=3)
    for _ in range(4):
        task.step(np.array([LEFT, STAY, RIGHT, RIGHT]))
    roots = task.simulation.read()
    plans = np.random.default_rng(1).integers(0, 3, (4, HORIZON))
    rewards, continuation, last = task.planning_simulation(1).rollout(roots, np.arange(4), plans)
    states, alive = roots, 1.0
    for h in range(HORIZON):
        if alive:
            states, reward, ended = advance(states, plans[:, h])
            assert (rewards[:, h] == reward).all()
            alive = 1.0 - ended[0]
        else:
            assert (rewards[:, h] == 0).all()
        assert (continuation[:, h] == alive).all()
    assert alive == 0
    assert (last == states).all()
    assert (last[:, ROW] == SIDE - 1).all()
    assert (rewards.sum(axis=1) == np.where(last[:, BALL] == last[:, PADDLE], 1, -1)).all()


def test_the_truth_shows_pictures():
    task = CatchTask(2)
    pictures, _ = task.reset(seed=4)
    model = Simulator(task)
    assert np.array_equal(model.features(model.begin(pictures, task)), pictures)


@pytest.mark.parametrize("search", ["uct", "gumbel"])
def test_planning_on_it(search, command, tmp_path):
    words = "planner=mcts", "task=catch", f"planner.search={search}", "planner.budget=3000"
    assert command(*words, "evaluation.episodes=3")[0] == 0
    assert read(only(tmp_path) / "summary.json")["returns"] == [1.0, 1.0, 1.0]
