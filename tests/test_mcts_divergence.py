"""Tree search in models that diverge: what is struck out, and what is not."""

import numpy as np
import pytest
from finite import Finite, decide, layered, make, random_oracle

from planners.tree import STRUCK

SEARCHES = ("uct", "puct", "gumbel")


def table(successors, rewards):
    """A process that never ends, from lists [S, A]."""
    rewards = np.array(rewards, float)[..., None]
    return Finite(np.array(successors)[..., None], rewards, np.ones_like(rewards))


@pytest.mark.parametrize("search", SEARCHES)
def test_what_diverges_is_struck_out(search):
    model = layered(4, ends=0.0)
    q = model.solve(0.9)
    best = q[0].argmax()
    model.rewards[0, best] = np.nan
    plan, carry = decide(make(search, 3000, depth=0, discount=0.9), model)
    others = np.delete(np.arange(3), best)
    assert plan.action[0] == others[q[0][others].argmax()]
    assert carry.tree.edges["child"][0, 0, best] == STRUCK
    assert np.isfinite(plan.value).all()
    assert plan.policy[0, best] == 0


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("normalise", ["tree", "node"])
def test_so_is_what_leads_to_where_everything_diverges(search, normalise):
    """5 and then nothing but divergence two steps on, beside 1: its visits are no policy."""
    nan = np.nan
    model = table([[1, 3], [2, 2], [2, 2], [3, 3]], [[5, 1], [0, 0], [nan, nan], [0, 0]])
    planner = make(search, 300, 2, depth=0, normalise=normalise)
    plan, carry = decide(planner, model)
    assert carry.tree.edges["child"][0, 0, 0] == STRUCK
    assert carry.tree.edges["visits"][0, 0, 0] > 0
    assert plan.action[0] == 1
    assert plan.policy[0].tolist() == [0, 1]


@pytest.mark.parametrize("search", SEARCHES)
def test_a_root_that_is_struck_out(search):
    """The first action, and a policy that is one: uniform over what is left, or over all."""
    model = table([[0, 0, 0]], [[np.nan] * 3])
    plan, _ = decide(make(search, 300, depth=0), model)
    assert plan.action[0] == 0
    assert plan.policy[0].tolist() == [1 / 3] * 3
    if search != "gumbel":
        plan, _ = decide(make(search, 1, depth=0), table([[0, 0, 0]], [[np.nan, 0, 0]]))
        assert plan.action[0] > 0
        assert plan.policy[0].tolist() == [0, 0.5, 0.5]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("seed", range(3))
def test_a_rollout_that_diverges_strikes_nothing_out(search, seed):
    """10, then 1 for ever by one action and divergence by the other; beside 0 for ever."""
    model = table([[1, 2], [1, 1], [2, 2]], [[10, 0], [1, np.nan], [0, 0]])
    plan, carry = decide(make(search, 2000, 2, depth=5), model, seed=seed)
    assert plan.action[0] == 0
    assert plan.value[0] > 10
    assert carry.tree.edges["child"][0, 0, 0] > 0


def test_a_rollout_counts_up_to_where_it_diverges():
    """1, 1, then divergence and, as some models have it, more rewards and a state with a value."""
    model = table([[1], [2], [3], [3]], [[1], [1], [np.nan], [7]])
    prior = random_oracle(0, model)
    planner = make("uct", 9, 1, depth=4, discount=0.9)
    plan, _ = decide(planner, model, prior=prior)
    assert np.isclose(plan.value[0], 1 + 0.9)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(("depth", "layer"), [(0, slice(0, 1)), (3, slice(9, 13))])
def test_a_root_without_a_value_counts_as_0(search, depth, layer):
    """Of the root alone, or at the end of its rollout, which no other one has."""
    plans = []
    for value in (0.0, np.nan):
        model = layered(2, layers=6, ends=0.0)
        prior = random_oracle(2, model)
        prior.values[layer] = value
        planner = make(search, 600, depth=depth, normalise="node")
        plans.append(decide(planner, model, prior=prior)[0])
    assert plans[0].action == plans[1].action
    assert np.isfinite(plans[1].value).all()
    assert np.array_equal(plans[0].policy, plans[1].policy)
    assert np.ptp(plans[0].policy) > 0
