"""Rewards by what is observed are those that the task pays."""

import numpy as np
import pytest

from suites.tasks import registry
from suites.tasks.control import suite_task
from suites.tasks.control.task import Snapshot

# Where something is paid: places (or None: anywhere within 0.3 of all zeros), and speeds.
WHERE = {
    "acrobot-swingup": ([0.0, 0.0], 0.5),
    "acrobot-swingup_sparse": ([0.0, 0.0], 0.5),
    "ball_in_cup-catch": ([0.0, 0.0, 0.0, 0.35], 0.5),
    "cartpole-balance": (None, 3.0),
    "cartpole-balance_sparse": (None, 1.0),
    "cartpole-swingup": (None, 3.0),
    "cartpole-swingup_sparse": (None, 1.0),
    "cartpole-two_poles": (None, 3.0),
    "cartpole-three_poles": (None, 3.0),
    "cheetah-run": (None, 8.0),
    "finger-spin": (None, 20.0),
    "finger-turn_easy": (None, 3.0),
    "finger-turn_hard": (None, 3.0),
    "pendulum-swingup": (None, 1.0),
    "point_mass-easy": ([0.0, 0.0], 0.1),
    "point_mass-hard": ([0.0, 0.0], 0.1),
    "reacher-easy": (None, 1.0),
    "reacher-hard": (None, 1.0),
    "walker-stand": (None, 4.0),
    "walker-walk": (None, 4.0),
    "walker-run": (None, 4.0),
}


@pytest.mark.parametrize("name", WHERE)
def test_it_is_what_the_task_pays(name):
    task, random = suite_task(name, num_envs=64), np.random.default_rng(0)
    task.reset(seed=0)
    start, model = task.snapshot(), task.source.model
    (place, speed), states = WHERE[name], start.states.copy()
    # A state is the time, then positions and velocities, then what follows from them.
    places = random.uniform(-1, 1, (64, model.nq)) * np.linspace(0.002, 0.3, 64)[:, None]
    states[:, 1 : 1 + model.nq] = places + (0.0 if place is None else np.array(place))
    if name.startswith("reacher"):
        states[:, 1 : 1 + model.nq] = start.states[:, 1 : 1 + model.nq]
    at = 1 + model.nq
    states[:, at : at + model.nv] = random.uniform(-speed, speed, (64, model.nv))
    task.restore(Snapshot(states, start.steps, start.randoms))
    space, seen = task.facts.action_space, []
    assert task.facts.observed_reward is not None
    for _ in range(30):
        actions = random.uniform(space.low, space.high, (64, *space.shape))
        observations, rewards, *_ = task.step(actions)
        told = task.facts.observed_reward(observations, actions)
        np.testing.assert_allclose(told, rewards, rtol=1e-9, atol=1e-12)
        seen.append(rewards)
    paid = np.concatenate(seen)
    assert paid.max() > 0.1
    assert paid.min() < paid.max()


def test_predictions_need_not_be_possible():
    reward = suite_task("pendulum-swingup").facts.observed_reward
    assert reward is not None
    above = np.array([[1.001, 0.0, 0.0]], np.float32)
    assert reward(above, np.zeros((1, 1))) == [1.0]


@pytest.mark.parametrize("name", ["hopper-hop", "toy-chain"])
def test_where_observations_do_not_tell(name):
    assert registry.make(name).facts.observed_reward is None
