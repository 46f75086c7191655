"""Episodes that begin while others go on: the warm start of each environment is its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import NOTHING, World, make, make_spec, pushes, rugged

from planners.mpc import make_planner
from planners.noise import Noise
from planners.sampling import SAMPLING
from suites.assembly import assemble, build
from suites.command import composing, from_words
from suites.ledger import Meter
from suites.train import Trainer


def after(planner: Any, world: Any, state: np.ndarray, decisions: int, episodes: list[int]) -> Any:
    """The warm start after some decisions in states [B, 1], which stay as they are."""
    carry = planner.init(len(state))
    for decision in range(decisions):
        carry = planner.plan(world, NOTHING, state, carry, Noise(0, episodes, decision))[1]
    return carry


@pytest.mark.parametrize("optimizer", SAMPLING)
def test_plans_are_those_of_an_episode_that_begins_alone(optimizer):
    """Without rivals kept, of which there are none yet at the beginning of all."""
    state, world = np.array([[0.0], [6.0], [-5.0]]), World(rugged)
    options = {"keep": 0} if optimizer in ("icem", "cem") else {}
    planner = make(optimizer, **options)
    carry = after(planner, world, state, 3, [4, 5, 6])
    begun = np.array([True, False, True])
    restarted = planner.restart(carry, begun)
    plan, _ = planner.plan(world, NOTHING, state, restarted, Noise(0, [1, 5, 2], 7))
    alone, _ = planner.plan(world, NOTHING, state, planner.init(3), Noise(0, [1, 5, 2], 7))
    going_on, _ = planner.plan(world, NOTHING, state, carry, Noise(0, [1, 5, 2], 7))
    np.testing.assert_array_equal(plan.actions[begun], alone.actions[begun])
    np.testing.assert_array_equal(plan.actions[1], going_on.actions[1])
    assert not np.array_equal(going_on.actions[0], alone.actions[0])


def test_nothing_was_seen_in_an_episode_that_begins():
    state, world = np.array([[0.0], [1.0]]), World(pushes(7))
    planner = make("icem", reach=2)
    carry: Any = after(planner, world, state, 4, [0, 1])
    assert carry.seen.shape == (2, 4, 1)
    moved = np.array([[3.0], [1.0]])
    carry = planner.restart(carry, np.array([True, False]))
    plan, carry = planner.plan(world, NOTHING, moved, carry, Noise(0, [2, 1], 4))
    assert np.isfinite(plan.actions).all()
    np.testing.assert_array_equal(carry.seen[0], np.full((5, 1), 3.0))
    np.testing.assert_array_equal(carry.seen[1], np.full((5, 1), 1.0))


def test_ilqg_forgets_its_plan_and_its_regularisation():
    planner: Any = make_planner(make_spec(2), "ilqg", budget=4000, horizon=0.5)
    fresh, carry = planner.init(2), planner.init(2)
    carry.nominal, carry.mu, carry.delta = carry.nominal[:, :3] + 0.5, carry.mu + 1, carry.delta * 2
    restarted = planner.restart(carry, np.array([False, True]))
    for name, old in vars(carry).items():
        np.testing.assert_array_equal(getattr(restarted, name)[0], old[0])
        new = getattr(fresh, name)[1]
        np.testing.assert_array_equal(getattr(restarted, name)[1], new[:3] if new.ndim else new)


def test_a_training_restarts_the_environments_that_begin(tmp_path: Path, monkeypatch):
    words = ("agent=distill", "task=balancer", "learner.num_envs=3", "planner.budget=200")
    with composing():
        config = from_words([*words, "planner.horizon=0.2"]).config
    _, agent = assemble(config, 1)
    task = build("task", config, num_envs=3, threads=1)
    trainer = Trainer(agent, task, 0, tmp_path, Meter())
    plan, fresh, alone = agent.planner.plan, agent.planner.init(3), []

    def watched(model: Any, prior: Any, state: Any, carry: Any, noise: Any) -> Any:
        start = trainer._start
        if start.any() and not start.all():
            alone.append(np.array_equal(carry.nominal[start], fresh.nominal[start]))
            assert not np.array_equal(carry.nominal[~start], fresh.nominal[~start])
        return plan(model, prior, state, carry, noise)

    monkeypatch.setattr(agent.planner, "plan", watched)
    trainer.run(2000, lambda _: None)
    assert len(alone) > 3
    assert all(alone)
