"""Tree search over continuous actions: proposals, widening, held actions."""

import gymnasium
import numpy as np
import pytest
from finite import make_box

from learners.none import NoLearner
from planners.leaves import GRID, proposal_numbers, propose
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
    prior, reused = NoLearner(spec), []
    for decision in range(24 // repeat):
        before = model.sim_steps
        plan, carry = planner.plan(model, prior, state, carry, Noise(0, range(2), decision))
        assert model.sim_steps - before <= 4000
        assert plan.policy is not None
        assert np.allclose(plan.policy.sum(axis=1), 1)
        assert (plan.candidates == plan.action[:, None]).all(axis=2).any(axis=1).all()
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
    every = propose(space, 9, random.random((5, 9)))
    assert len({tuple(map(tuple, actions)) for actions in every}) == 5  # in different orders
    for actions in every:
        assert {tuple(action) for action in actions} == {
            (x, y) for x in (-2, 0, 2) for y in (0, 0.5, 1)
        }


@pytest.mark.parametrize(("size", "width"), [(1, 2), (3, 16), (5, 16), (6, 16), (20, 16)])
def test_proposals_differ_and_are_evenly_drawn(size, width):
    low, high = np.arange(size) - 2.0, np.arange(size) + 2.0
    space, random = gymnasium.spaces.Box(low, high, dtype=np.float64), np.random.default_rng(0)
    drawn = random.random((600, proposal_numbers(size, width)))
    proposed = propose(space, width, drawn)
    assert proposed.shape == (600, width, size)
    different = np.array([len(np.unique(actions, axis=0)) for actions in proposed])
    assert (different == width).all() if 3**size <= GRID else different.mean() > 0.98 * width
    for first in (proposed[:, 0], proposed.reshape(-1, size)):
        for a in range(size):
            values, counts = np.unique(first[:, a], return_counts=True)
            assert values.tolist() == [a - 2, a, a + 2]
            assert counts.min() > 0.27 * len(first)


@pytest.mark.parametrize("samples", [2, 16])
def test_a_search_proposes_each_action_once(samples):
    spec = make_box(actuators=3)
    planner = make_planner(spec, "uct", 300, samples=samples, depth=4, repeat=1)
    prior, state = NoLearner(spec), np.zeros((1, 2))
    _, carry = planner.plan(Reach(), prior, state, planner.init(1), Noise(0, [0], 0))
    size = carry.tree.summaries["size"][0]
    assert size > 30
    for actions in carry.tree.actions[0, :size]:
        assert len(np.unique(actions, axis=0)) == samples


@pytest.mark.parametrize("option", ["widening", "exponent"])
def test_gumbel_widens_nothing(option):
    with pytest.raises(ValueError, match=f"{option}: search gumbel has no such option; it has lea"):
        make_planner(make_box(), "gumbel", 2000, **{option: 1})


@pytest.mark.parametrize(
    "options", [{"proposal": "prior"}, {"samples": 2}, {"widening": 1}, {"exponent": 0.0}]
)
def test_every_option_of_continuous_actions_matters(options):
    spec, values = make_box(), []
    for given in ({}, options):
        planner, state = make_planner(spec, "uct", 1000, **given), np.zeros((1, 2))
        prior = NoLearner(spec)
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
        prior = NoLearner(spec)
        state = np.zeros((1, 2))
        _, carry = planner.plan(Reach(), prior, state, planner.init(1), Noise(0, [0], 0))
        visited = carry.tree.edges["visits"][0, 0] > 0
        assert visited.sum() in (opened, opened + 1)
        assert visited[: visited.sum()].all()
