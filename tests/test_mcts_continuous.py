"""Tree search over continuous actions: proposals, widening, held actions."""

import gymnasium
import numpy as np
import pytest
from finite import make_box

from learners.none import NoLearner
from planners.leaves import propose
from planners.noise import Noise
from planners.searches import make_planner

SEARCHES = ("uct", "puct", "gumbel")


class Reach:
    """A point on a line: x + 0.2 u, the reward is -|x - 1|."""

    def __init__(self):
        self.sim_steps = 0

    def rollout(self, state, plans):
        self.sim_steps += plans[..., 0].size
        x = state[:, None, :1] + 0.2 * plans[..., 0].cumsum(axis=2)
        rewards = -np.abs(x - 1)
        rows = np.stack([x[..., -1], np.repeat(state[:, None, 1], x.shape[1], 1)], axis=-1)
        return rewards, np.ones_like(rewards), rows

    def step(self, state, action):
        rewards, continuation, last = self.rollout(state, action[:, None, None])
        return last[:, 0], rewards[:, 0, 0], continuation[:, 0, 0]

    def features(self, state):
        return state


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("repeat", [1, 3])
def test_continuous_actions(search, repeat):
    spec = make_box()
    model, planner = Reach(), make_planner(spec, search, 2000, repeat=repeat)
    carry, state = planner.init(2), np.array([[0.0, 0.0], [3.0, 0.0]])
    prior, reused = NoLearner(spec.action_space), []
    for decision in range(24 // repeat):
        before = model.sim_steps
        plan, carry = planner.plan(model, prior, state, carry, Noise(0, range(2), decision))
        assert model.sim_steps - before <= 4000
        assert plan.policy is None
        assert plan.action.shape == (2, 1)
        assert plan.actions.shape == (2, repeat, 1)
        assert (plan.actions == plan.action[:, None]).all()
        reused.append(plan.statistics["reused"])
        for h in range(repeat):
            state, _, _ = model.step(state, plan.actions[:, h])
    assert np.abs(state[:, 0] - 1).max() < 0.5
    assert reused[0] == 0
    # The points of a rollout and of single steps differ by rounding where they are held.
    assert repeat > 1 or min(reused[1:]) == 1


def test_proposals():
    low, high = np.array([-2.0, 0.0]), np.array([2.0, 1.0])
    space = gymnasium.spaces.Box(low, high, dtype=np.float64)
    random = np.random.default_rng(0)
    every = propose(space, random.random((5, 9, 2)))
    assert len({tuple(map(tuple, actions)) for actions in every}) == 5  # in different orders
    for actions in every:
        assert {tuple(action) for action in actions} == {
            (x, y) for x in (-2, 0, 2) for y in (0, 0.5, 1)
        }
    some = propose(space, random.random((1, 3000, 2)))[0]
    for a, level in enumerate(([-2, 0, 2], [0, 0.5, 1])):
        values, counts = np.unique(some[:, a], return_counts=True)
        assert values.tolist() == level
        assert counts.min() > 900


@pytest.mark.parametrize(
    "options", [{"proposal": "prior"}, {"samples": 2}, {"widening": 1}, {"exponent": 0.0}]
)
def test_every_option_of_continuous_actions_matters(options):
    spec, values = make_box(), []
    for given in ({}, options):
        planner, state = make_planner(spec, "uct", 1000, **given), np.zeros((1, 2))
        prior = NoLearner(spec.action_space)
        plan, _ = planner.plan(Reach(), prior, state, planner.init(1), Noise(0, [0], 0))
        values.append(plan.value[0])
    assert values[0] != values[1]


def test_progressive_widening():
    spec = make_box()
    for widening, exponent, samples, opened in ((2, 0.5, 16, 16), (1, 0.5, 50, 10), (3, 0, 9, 3)):
        planner = make_planner(
            *(spec, "uct", 102),
            repeat=1,
            depth=0,
            leaves=1,
            proposal="prior",
            widening=widening,
            exponent=exponent,
            samples=samples,
        )
        prior = NoLearner(spec.action_space)
        state = np.zeros((1, 2))
        _, carry = planner.plan(Reach(), prior, state, planner.init(1), Noise(0, [0], 0))
        visited = carry.tree.edges["visits"][0, 0] > 0
        assert visited.sum() in (opened, opened + 1)
        assert visited[: visited.sum()].all()
