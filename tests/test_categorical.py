"""MPC with discrete actions: the distributions by hand, plans by brute force."""

import itertools
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from chances import corridor, make_spec, random_tables

from learners.none import NoLearner
from planners.categorical import CATEGORICAL, CEM, DiscreteMPC
from planners.mpc import make_planner
from planners.noise import Noise

NOTHING = NoLearner(SimpleNamespace(action_space=gymnasium.spaces.Discrete(3)))


def make(optimizer="icem", budget=600, horizon=0.5, actions=3, per_step=1, start=0, **options: Any):
    spec = make_spec(actions, per_step, start)
    planner = make_planner(spec, optimizer, budget=budget, horizon=horizon, **options)
    assert isinstance(planner, DiscreteMPC)
    return planner


def decide(planner, world, states, decisions=1, episodes=None, seed=0, prior: Any = NOTHING):
    """Plans of so many decisions, each executed for a step."""
    state = np.array(states, float)[:, None]
    carry, plans = planner.init(len(state)), []
    episodes = range(len(state)) if episodes is None else episodes
    for decision in range(decisions):
        noise = Noise(seed, episodes, decision)
        plan, carry = planner.plan(world, prior, state, carry, noise)
        plans.append(plan)
        s, action = state[:, 0].astype(int), plan.action - planner.start
        after = world.after[s, action]
        state = np.where(world.ends[after], s, after)[:, None].astype(float)
    return plans


def test_samples_follow_the_probabilities():
    chances = np.array([[[0.5, 0.3, 0.2], [0.0, 1.0, 0.0], [0.1, 0.0, 0.9]]])
    drawn = CEM(hold=0.0).sample(chances, Noise(0, [0], 0), 20_000)[0]
    for step in range(3):
        share = np.bincount(drawn[:, step], minlength=3) / len(drawn)
        np.testing.assert_allclose(share, chances[0, step], atol=0.015)


def test_candidates_hold_their_actions_up_to_a_probability():
    """The first candidate never for its own sake, the last with the probability `hold`."""
    chances = np.full((4, 4000, 4), 0.25)
    drawn = CEM(hold=0.8).sample(chances, Noise(0, range(4), 0), 5)
    again = (drawn[..., 1:] == drawn[..., :-1]).mean(axis=(0, 2))
    hold = np.linspace(0, 0.8, 5)
    np.testing.assert_allclose(again, hold + (1 - hold) / 4, atol=0.02)


def test_refit():
    old = np.full((1, 2, 2), 0.5)
    candidates = np.array([[[0, 1], [0, 0], [1, 1], [1, 0]]])
    optimizer = CEM(elites=0.5, momentum=0.2)
    new = optimizer.refit(old, candidates, np.array([[3.0, 2.0, 1.0, 0.0]]))
    np.testing.assert_allclose(new, [[[0.9, 0.1], [0.5, 0.5]]])
    new = optimizer.refit(old, candidates, np.array([[-np.inf, -np.inf, 1.0, -np.inf]]))
    np.testing.assert_allclose(new, [[[0.1, 0.9], [0.1, 0.9]]])
    new = optimizer.refit(old, candidates, np.full((1, 4), -np.inf))
    np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("optimizer", CATEGORICAL)
@pytest.mark.parametrize("seed", range(4))
def test_the_best_plan_is_found(optimizer, seed):
    """Of 243, with many more candidates: by trying them all."""
    world = random_tables(seed)
    all_ = np.array(list(itertools.product(range(3), repeat=5)))
    best = world.rollout(np.zeros((1, 1)), all_[None])[0].sum(axis=-1).max()
    plan = decide(make(optimizer, 20_000), world, [0])[0]
    found = world.rollout(np.zeros((1, 1)), plan.actions[:, None])[0].sum()
    assert plan.value[0] == best
    assert found == best or optimizer == "cem"  # it executes a mode, which is not scored
    assert plan.actions.shape == (1, 5)
    assert plan.action.dtype == np.int64
    np.testing.assert_array_equal(plan.action, plan.actions[:, 0])


@pytest.mark.parametrize("optimizer", CATEGORICAL)
def test_a_corridor_is_walked_to_its_end(optimizer):
    world, planner = corridor(14), make(optimizer, 4000, 1.0, actions=2)
    plans = decide(planner, world, [5], 8)
    assert [int(plan.action[0]) for plan in plans] == [1] * 8


def test_the_nominal_is_always_a_candidate():
    """So no plan is worth less than what was left of the last one."""
    world, planner = random_tables(8, states=200), make(budget=150)
    world.ends[:] = False
    state, carry = np.array([[0.0], [1.0], [2.0]]), planner.init(3)
    for decision in range(10):
        nominal = carry.nominal
        worth = world.rollout(state, nominal[:, None])[0].sum(axis=(1, 2))
        plan, carry = planner.plan(world, NOTHING, state, carry, Noise(0, range(3), decision))
        assert (plan.value >= worth).all()
        np.testing.assert_array_equal(carry.nominal[:, :-1], plan.actions[:, 1:])
        np.testing.assert_array_equal(carry.nominal[:, -1], plan.actions[:, -1])
        state = world.after[state[:, 0].astype(int), plan.action][:, None].astype(float)


def test_elites_are_candidates_again(monkeypatch):
    world, planner = random_tables(8, states=200), make(budget=600, keep=2)
    rolled, rollout = [], world.rollout
    world.rollout = lambda state, plans: [rolled.append(plans), rollout(state, plans)][1]
    _, carry = planner.plan(world, NOTHING, np.zeros((1, 1)), planner.init(1), Noise(0, [0], 0))
    last = rolled[-1]
    scores = rollout(np.zeros((1, 1)), last)[0].sum(axis=-1)
    two = last[0, np.argsort(-scores[0], kind="stable")[:2]]
    later = np.concatenate([two[:, 1:], two[:, -1:]], axis=1)
    np.testing.assert_array_equal(carry.elites[0], later)
    rolled.clear()
    planner.plan(world, NOTHING, np.zeros((1, 1)), carry, Noise(0, [0], 1))
    np.testing.assert_array_equal(rolled[0][0, 0], carry.nominal[0])
    np.testing.assert_array_equal(rolled[0][0, 1:3], later)


def test_a_lost_planner_follows_one_sample_until_it_is_used_up():
    world, planner = corridor(60, 0.0), make(actions=2, horizon=0.6, hold=0.5)
    carry, state, plans = planner.init(2), np.array([[20.0], [30.0]]), []
    for decision in range(13):
        plan, carry = planner.plan(world, NOTHING, state, carry, Noise(0, [0, 1], decision))
        plans.append(plan)
        assert plan.statistics["flat"] == 1
    for begin in (0, 6):
        for later in range(1, 6):
            np.testing.assert_array_equal(
                plans[begin + later].action, plans[begin].actions[:, later]
            )
    followed = np.array([plan.actions for plan in plans[::6]])
    assert len(np.unique(followed.reshape(6, 6), axis=0)) > 3


@pytest.mark.parametrize("optimizer", CATEGORICAL)
@pytest.mark.parametrize(("budget", "per_step"), [(60, 1), (301, 1), (5000, 15)])
def test_the_budget_is_kept(optimizer, budget, per_step):
    planner = make(optimizer, budget, per_step=per_step)
    for batch in (1, 3):
        world = random_tables(1)
        decide(planner, world, [0] * batch, 3)
        assert world.sim_steps == 3 * batch * (budget // per_step // 5 * 5)


@pytest.mark.parametrize("optimizer", CATEGORICAL)
def test_environments_plan_as_each_alone(optimizer):
    world, planner = random_tables(2), make(optimizer, 150)
    starts = [s for s in (0, 3, 11, 25) if not world.ends[s]]
    episodes = [4, 0, 9, 2][: len(starts)]
    together = decide(planner, world, starts, 5, episodes)
    for b, episode in enumerate(episodes):
        alone = decide(planner, world, starts[b : b + 1], 5, [episode])
        for one, all_ in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one.actions[0], all_.actions[b])
            assert one.value[0] == all_.value[b]


def test_what_diverges_ranks_last():
    world = random_tables(4)
    world.ends[:] = False
    world.rewards[:, 0] = np.nan
    plan = decide(make(), world, [0])[0]
    assert np.isfinite(plan.value[0])
    assert (plan.actions > 0).all()
    world.rewards[:] = np.nan
    planner = make()
    carry = planner.init(1)
    carry.nominal[:] = 2
    plan, _ = planner.plan(world, NOTHING, np.zeros((1, 1)), carry, Noise(0, [0], 0))
    assert plan.value[0] == -np.inf
    assert (plan.actions == 2).all()


def test_the_terminal_value_and_the_discount():
    class Cell:
        has_value = True

        def value(self, features):
            return 10.0 * features[:, 0]

    plan = decide(make(actions=2, discount=0.5), corridor(60), [20], prior=Cell())[0]
    assert (plan.actions == 1).all()
    assert plan.value[0] == 0.5**5 * 10 * 25


def test_actions_begin_where_the_space_does():
    world = corridor(14)
    rollout = world.rollout
    world.rollout = lambda state, plans: rollout(state, plans - 3)
    plans = decide(make(budget=4000, horizon=1.0, actions=2, start=3), world, [5], 4)
    assert [int(plan.action[0]) for plan in plans] == [4] * 4


CHANGES: dict[str, Any] = {
    "optimizer": "cem",
    "budget": 90,
    "horizon": 0.8,
    "min_steps": 9,
    "max_steps": 3,
    "discount": 0.6,
    "explore": 0.1,
    "hold": 0.0,
    "iterations": 2,
    "keep": 0,
    "elites": 0.9,
    "momentum": 0.6,
}


@pytest.mark.parametrize("key", CHANGES)
def test_every_option_matters(key):
    def plans(**options: Any):
        world = random_tables(3, states=200)
        given: dict[str, Any] = {"budget": 150} | options
        planned = decide(make(**given), world, [0, 0], 4)
        return [(plan.actions.tolist(), plan.value.tolist()) for plan in planned]

    assert plans() == plans()
    assert plans() != plans(**{key: CHANGES[key]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"explore": 1.5}, r"planner\.explore is 1\.5: give a number from 0\.0 to 1\.0"),
        ({"hold": -0.1}, r"planner\.hold is -0\.1: give a number from 0\.0 to 1\.0"),
        ({"sigma": 1.0}, r"planner\.sigma: optimizer icem has no such option; it has explore, h"),
        ({"knots": 3}, r"planner\.knots: optimizer icem has no such option"),
        ({"reach": 2}, r"planner\.reach: optimizer icem has no such option"),
        ({"spline": "linear"}, r"planner\.spline: optimizer icem has no such option"),
        ({"single": 0}, r"planner\.single is 0: give a positive number of seconds"),
        ({"latency": 0.1}, r"planner\.latency is 0\.1: plans of discrete actions are not late"),
        ({"horizon": 0}, r"planner\.horizon is 0: give a positive number of seconds"),
        ({"budget": 29}, r"planner\.budget is 29: 3 iterations .* over 5 control steps need 30"),
        ({"budget": 400, "per_step": 15}, r"over 5 control steps need 450"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        make(**options)
    assert "\n" not in str(error.value)
