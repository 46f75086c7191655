"""Tree search: the decisions it makes, its budget, its warm start, its options."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from finite import (
    Finite,
    Oracle,
    decide,
    endless,
    layered,
    make,
    make_box,
    make_spec,
    random_oracle,
)
from omegaconf import OmegaConf

from learners.none import NoLearner
from planners.searches import OPTIONS as OPTIONS_OF
from planners.searches import make_planner
from planners.selection import halving_schedule

SEARCHES = ("uct", "puct", "gumbel")


def truth(model, discount):
    """A prior that has learned: the right values, and logits that lean to the right actions."""
    q = model.solve(discount)
    return Oracle(q.max(axis=1), 3 * q)


# Gumbel follows what its values say below the root, and explores no further: it needs a prior.
@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("leaves", [1, 8])
def test_converges_to_value_iteration(search, leaves):
    for seed in range(4):
        model = layered(seed)
        q = model.solve(0.9)[0]
        options: Any = {"exploration": 1.0} if search == "uct" else {}
        planner = make(search, 20_000, depth=0, discount=0.9, leaves=leaves, **options)
        prior = truth(model, 0.9) if search == "gumbel" else None
        plan, _ = decide(planner, model, prior=prior)
        assert plan.action[0] == q.argmax()
        assert abs(plan.value[0] - q.max()) < 0.08 * np.ptp(q)


@pytest.mark.parametrize("search", ["uct", "puct"])
def test_converges_where_the_model_is_stochastic(search):
    for seed in range(3):
        model = layered(seed, actions=2, outcomes=3, layers=3)
        q = model.solve(0.9)[0]
        options: Any = {"exploration": 1.0} if search == "uct" else {}
        planner = make(search, 30_000, 2, depth=0, discount=0.9, outcomes=300, **options)
        plan, _ = decide(planner, model)
        assert q.max() - q[plan.action[0]] < 0.03
        assert abs(plan.value[0] - q.max()) < 0.2


def test_gumbel_improves_on_its_prior():
    """Danihelka et al. (2022), section 3: with the right values, also from a handful of visits."""
    gains = []
    for seed in range(60):
        model = layered(seed, actions=6)
        q = model.solve(0.9)
        prior = random_oracle(seed, model)
        prior.values = q.max(axis=1)
        plan, _ = decide(make("gumbel", 5, 6, depth=0, discount=0.9), model, prior=prior)
        policy = np.exp(prior.of_logits[0]) / np.exp(prior.of_logits[0]).sum()
        gains.append([q[0, plan.action[0]] - policy @ q[0], (plan.policy[0] - policy) @ q[0]])
    assert np.mean(gains, axis=0).min() > 0.5


def test_one_outcome_misjudges_a_stochastic_model():
    """What `outcomes` is for: a gamble that pays 3 or -5 looks like what it paid the first time."""
    successors = np.full((2, 2, 2), 1)
    rewards = np.zeros((2, 2, 2))
    rewards[0, 1] = [3.0, -5.0]
    gambles = []
    for outcomes in (1, 100):
        model = Finite(successors, rewards, np.zeros((2, 2, 2)), seed=1)
        planner = make("uct", 1000, 2, depth=0, outcomes=outcomes)
        gambles.append([decide(planner, model)[0].action[0] for _ in range(20)])
    assert 0 < sum(gambles[0]) < 20
    assert sum(gambles[1]) == 0


@pytest.mark.parametrize("search", SEARCHES)
def test_rollouts_value_leaves_without_a_prior(search):
    """A corridor whose far end pays: out of the tree's reach, in that of rollouts."""
    cells = 12
    successors = np.stack([np.arange(cells) - 1, np.arange(cells) + 1], axis=1).clip(0, cells - 1)
    rewards = (successors == cells - 1).astype(float)
    model = Finite(successors[..., None], rewards[..., None], 1 - rewards[..., None])
    near, _ = decide(make(search, 200, 2, depth=0), model, [4])
    assert near.value[0] == 0
    far, _ = decide(make(search, 20_000, 2, depth=40), model, [4])
    assert far.value[0] > 0
    assert far.action[0] == 1
    assert model.sim_steps <= 20_200


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("leaves", [1, 3, 8, 100])
def test_the_budget_is_never_exceeded_and_is_used(search, leaves):
    model = endless(1)
    for budget, depth in ((7, 0), (100, 0), (100, 3), (1001, 5)):
        planner = make(search, budget, 4, leaves=leaves, depth=depth)
        carry, state = planner.init(2), [0, 0]
        for decision in range(3):
            before, model.calls = model.sim_steps, []
            plan, carry = decide(planner, model, state, decision=decision, carry=carry)
            spent = model.sim_steps - before
            assert 2 * (budget - depth - 1 - depth) <= spent <= 2 * budget
            assert max(model.calls) <= 2 * leaves
            state, _, _ = model.step(np.array(state, float)[:, None], plan.action)
            state = state[:, 0]


def test_a_step_costs_what_the_task_says():
    model = endless(1, actions=3)
    for cost, steps in ((1, 300), (15, 20)):
        model.sim_steps = 0
        planner = make("uct", 300, spec=make_spec(budget_per_step=cost), depth=0)
        decide(planner, model)
        assert steps - 5 <= model.sim_steps <= steps


def test_small_budgets_shorten_the_default_rollouts():
    spec = make_spec(control_dt=0.1)
    assert make("uct", 10_000, spec=spec).rollout == 50  # 5 s
    assert make("uct", 100, spec=spec).rollout == 15
    assert make("uct", 100, spec=spec, depth=30).rollout == 30


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("leaves", [1, 5])
def test_environments_do_not_influence_each_other(search, leaves):
    """Alone or beside others, with a tree that is kept or begun anew: the same decisions."""
    model = layered(2, layers=6)
    planner = make(search, 300, leaves=leaves, depth=4)
    together, alone = [], []
    carry, states = planner.init(3), [0, 1, 2]
    for decision in range(4):
        plan, carry = decide(planner, model, states, decision=decision, carry=carry)
        together.append((plan.action[1], plan.value[1], plan.policy[1]))
        following, _, _ = model.step(np.array(states, float)[:, None], plan.action)
        states = following[:, 0]
        states[2] = decision  # as if its episode had begun anew
    carry, states = planner.init(1), [1]
    for decision in range(4):
        plan, carry = decide(planner, model, states, decision=decision, carry=carry, episodes=[1])
        alone.append((plan.action[0], plan.value[0], plan.policy[0]))
        states = model.step(np.array(states, float)[:, None], plan.action)[0][:, 0]
    for a, b in zip(together, alone, strict=True):
        assert a[:2] == b[:2]
        assert np.array_equal(a[2], b[2])


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("normalise", ["tree", "node"])
def test_the_scale_of_rewards_does_not_matter(search, normalise):
    for seed in range(3):
        model = layered(seed)
        oracle = random_oracle(seed, model)
        plain, _ = decide(make(search, normalise=normalise), model, prior=oracle)
        model.rewards, oracle.values = 1000 * model.rewards, 1000 * oracle.values
        scaled, _ = decide(make(search, normalise=normalise), model, prior=oracle)
        assert scaled.action == plain.action
        assert np.allclose(scaled.policy, plain.policy)
        assert np.allclose(scaled.value, 1000 * plain.value)


@pytest.mark.parametrize("search", SEARCHES)
def test_the_tree_is_kept_only_where_the_foreseen_state_came(search):
    model = layered(3, ends=0.0)
    planner = make(search, 200, depth=0, leaves=1)
    plan, carry = decide(planner, model, [0, 0])
    child = carry.tree.edges["child"][:, 0][[0, 1], plan.action]
    expected = carry.tree.states[[0, 1], child, 0]
    subtree = carry.tree.nodes["visits"][[0, 1], child]
    kept, later = decide(planner, model, [expected[0], expected[1] % 4 + 1], 0, carry=carry)
    assert kept.statistics["reused"] == 0.5
    visits = later.tree.nodes["visits"][:, 0]
    assert visits.tolist() == [subtree[0] + 200, 1 + 200]
    again, _ = decide(make(search, 200, depth=0, reuse=False), model, expected, carry=carry)
    assert again.statistics["reused"] == 0.0


def test_planning_does_not_change_its_carry():
    model = layered(3, ends=0.0)
    planner = make("puct", 100, depth=0)
    plan, carry = decide(planner, model)
    state = model.step(np.zeros((1, 1)), plan.action)[0][:, 0]
    first, _ = decide(planner, model, state, decision=1, carry=carry)
    second, _ = decide(planner, model, state, decision=1, carry=carry)
    assert first.statistics["reused"] == 1.0
    assert np.array_equal(first.policy, second.policy)


@pytest.mark.parametrize("search", SEARCHES)
def test_many_decisions_keep_within_the_room(search):
    """The tree of a corridor in which nothing is lost: more is foreseen than there is room for."""
    size = 400
    successors = np.minimum(np.arange(size) + 1, size - 1)[:, None, None]
    model = Finite(successors, np.ones((size, 1, 1)), np.ones((size, 1, 1)))
    planner = make(search, 30, 1, depth=0)
    plan, carry = None, planner.init(1)
    for decision in range(20):
        plan, carry = decide(planner, model, [decision], decision=decision, carry=carry)
        assert carry.tree.nodes.shape[1] == 62
    assert plan is not None
    assert plan.statistics["reused"] == 1.0
    assert plan.statistics["depth"] > 40


def test_ties_go_to_the_lower_index():
    zeros = np.zeros((1, 5, 1))
    model = Finite(zeros.astype(int), zeros, zeros + 1)
    cases: Any = (("uct", {}), ("puct", {}), ("gumbel", {"gumbel_scale": 0.0}))
    for search, options in cases:
        plan, _ = decide(make(search, 3, 5, depth=0, leaves=1, **options), model)
        assert plan.action[0] == 0


def test_sequential_halving():
    assert halving_schedule(1, 4).tolist() == [0, 1, 2, 3]
    assert halving_schedule(4, 8).tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert halving_schedule(4, 16).tolist() == [0] * 4 + [1] * 4 + [2, 2, 3, 3, 4, 4, 5, 5]
    assert halving_schedule(8, 6).tolist() == [0] * 6


def test_gumbel_considers_so_many_actions():
    model = layered(5, actions=8)
    for considered in (2, 5):
        planner = make("gumbel", 100, 8, considered=considered, depth=0, leaves=1)
        _, carry = decide(planner, model)
        assert (carry.tree.edges["visits"][0, 0] > 0).sum() == considered


def test_policy_targets():
    model = layered(6)
    oracle = random_oracle(6, model)
    for search in SEARCHES:
        plan, carry = decide(make(search, 300), model, [0, 1], prior=oracle)
        assert plan.policy.shape == (2, 3)
        assert np.allclose(plan.policy.sum(axis=1), 1)
        visits = carry.tree.edges["visits"][:, 0]
        if search != "gumbel":
            assert np.allclose(plan.policy, visits / visits.sum(axis=1, keepdims=True))


def test_a_rollout_ends_with_the_value_of_the_prior():
    """One simulation: a step, a rollout of three, and what the prior says of its end."""
    ones = np.ones((1, 1, 1))
    model, prior = Finite(0 * ones.astype(int), ones, ones), Oracle(np.array([10.0]), None)
    plan, _ = decide(make("uct", 7, 1, depth=3, discount=0.9), model, prior=prior)
    assert np.isclose(plan.value[0], 1 + 0.9 + 0.9**2 + 0.9**3 + 0.9**4 * 10)


def test_the_discount_is_that_of_the_values():
    """Per decision, as a learner has it, while the planner's own is per control step."""
    prior: Any = Oracle(np.zeros(3), np.zeros((3, 1)))
    prior.discount = 0.5
    assert make("uct", 30, repeat=3).discount_of(prior) ** 3 == pytest.approx(0.5)
    assert make("uct", 30, discount=0.9, repeat=3).discount_of(prior) == 0.9
    assert make("uct", 30, repeat=3).discount_of(NoLearner(make_spec())) == 0.99


def test_a_held_action_is_discounted_by_control_steps():
    ones = np.ones((1, 1, 1))
    model, prior = Finite(0 * ones.astype(int), ones, ones), Oracle(np.array([10.0]), None)
    plan, _ = decide(make("uct", 3, 1, depth=0, repeat=3, discount=0.9), model, prior=prior)
    assert np.isclose(plan.value[0], 1 + 0.9 + 0.9**2 + 0.9**3 * 10)


@pytest.mark.parametrize("normalise", ["tree", "node"])
def test_the_first_round_spreads_out(normalise):
    """Also while no edge has a value yet that others could be normalised by."""
    model = endless(1, actions=8)
    decide(make("uct", 100, 8, depth=0, leaves=8, normalise=normalise), model)
    assert model.calls[0] == 8


def test_a_draw_of_a_known_outcome_is_not_valued():
    model = layered(1, actions=2, outcomes=2, layers=3, width=2)
    prior = random_oracle(1, model)
    _, carry = decide(make("uct", 500, 2, depth=0, outcomes=10), model, prior=prior)
    made = carry.tree.nodes[0, 1 : carry.tree.summaries["size"][0]]
    made = made[made["parent"] >= 0]
    assert made["draws"].max() > 1
    assert prior.asked == 1 + (made["continuation"] > 0).sum()


# Each option with a value other than its default; the kernels read it, or `leaves.py` does.
OPTIONS = [
    ("uct", {"leaves": 2}),
    ("uct", {"discount": 0.5}),
    ("uct", {"repeat": 2}),
    ("uct", {"depth": 1}),
    ("uct", {"reuse": False}),
    ("uct", {"normalise": "node"}),
    ("uct", {"exploration": 3.0}),
    ("puct", {"normalise": "node"}),
    ("puct", {"pb_c_init": 4.0}),
    ("puct", {"pb_c_base": 2.0}),
    ("puct", {"dirichlet_fraction": 0.5}),
    ("puct", {"dirichlet_fraction": 0.5, "dirichlet_alpha": 5.0}),
    ("gumbel", {"normalise": "tree"}),
    ("gumbel", {"considered": 2}),
    ("gumbel", {"gumbel_scale": 0.0}),
    ("gumbel", {"value_scale": 5.0}),
    ("gumbel", {"maxvisit_init": 1.0}),
]


def test_every_key_of_the_yaml_is_an_option_that_is_tested():
    path = Path(__file__).resolve().parents[1] / "conf" / "planner" / "mcts.yaml"
    keys = OmegaConf.load(path).keys() - {"_target_", "search", "budget"}
    tested = {key for _, options in OPTIONS for key in options}
    elsewhere = {
        "seconds",
        "outcomes",
        "transpositions",
        "proposal",
        "samples",
        "widening",
        "exponent",
    }
    assert keys == tested | elsewhere | {*OPTIONS_OF["iw"], *OPTIONS_OF["fmc"]}
    assert keys == {option for options in OPTIONS_OF.values() for option in options}


@pytest.mark.parametrize(("search", "options"), OPTIONS)
def test_every_option_matters(search, options):
    model = layered(7, layers=9, ends=0.0)
    oracle = random_oracle(7, model) if search != "uct" else None
    policies = []
    default: Any = {"dirichlet_fraction": 0.5} if "dirichlet_alpha" in options else {}
    for given in (default, options):
        planner, found = make(search, 130, **given), []
        carry, states = planner.init(1), np.zeros((1, 1))
        for decision in range(2):
            plan, carry = decide(planner, model, states[:, 0], oracle, 0, decision, carry=carry)
            found += [*plan.policy[0], *plan.value]
            states, _, _ = model.step(states, plan.action)
        policies.append(found)
    assert not np.allclose(*policies)


def test_the_seed_matters_and_nothing_else():
    model = layered(8, layers=9)
    plans = [decide(make("uct", 300), model, seed=seed)[0] for seed in (0, 0, 1)]
    assert np.array_equal(plans[0].policy, plans[1].policy)
    assert not np.array_equal(plans[0].policy, plans[2].policy)


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("leaves", [1, 6])
def test_transpositions_save_steps_and_change_nothing(search, leaves):
    """Few states, reached in many ways; over several decisions, and in two environments."""
    plans, steps, asked = [], [], []
    for transpositions in (False, True):
        model = layered(2, layers=7, width=3, ends=0.05)
        prior = random_oracle(2, model)
        planner = make(search, 200, leaves=leaves, depth=0, transpositions=transpositions)
        carry, states, found = planner.init(2), [0, 1], []
        for decision in range(4):
            plan, carry = decide(planner, model, states, prior, decision=decision, carry=carry)
            found.append((plan.action, plan.value, plan.policy))
            states = model.step(np.array(states, float)[:, None], plan.action)[0][:, 0]
        plans.append(found)
        steps.append(model.sim_steps)
        asked.append(prior.asked)
    for a, b in zip(*plans, strict=True):
        assert np.array_equal(a[0], b[0])
        assert np.allclose(a[1], b[1], rtol=1e-12)
        assert np.allclose(a[2], b[2], rtol=1e-9)
    assert steps[1] < 0.7 * steps[0]
    assert asked[1] < 0.7 * asked[0]


def test_transpositions_remember_the_tree_that_is_kept():
    """Four states, all of whose moves it holds: nothing is left to ask."""
    model = endless(3, actions=2, size=4)
    planner, prior = make("uct", 300, 2, depth=0, transpositions=True), random_oracle(3, model)
    plan, carry = decide(planner, model, prior=prior)
    state = model.step(np.zeros((1, 1)), plan.action)[0][:, 0]
    model.sim_steps = prior.asked = 0
    plan, _ = decide(planner, model, state, prior, decision=1, carry=carry)
    assert plan.statistics["reused"] == 1.0
    assert model.sim_steps == prior.asked == 0


def test_transpositions_share_rollouts_and_what_diverges():
    model = layered(3, layers=7, width=3, ends=0.0)
    model.rewards[5, 1] = np.nan
    steps = []
    for transpositions in (False, True):
        model.sim_steps = 0
        planner = make("uct", 2000, depth=3, transpositions=transpositions)
        plan, _ = decide(planner, model)
        assert np.isfinite(plan.value).all()
        steps.append(model.sim_steps)
    assert steps[1] < 0.5 * steps[0]


@pytest.mark.parametrize(
    ("search", "options", "said"),
    [
        ("utc", {}, "planner.search is 'utc': choose one of uct, puct, gumbel"),
        (
            "uct",
            {"pb_c_init": 2},
            "planner.pb_c_init: search uct has no such option; it has sec",
        ),
        ("gumbel", {"exploration": 2}, "planner.exploration: search gumbel has no such option"),
        ("uct", {"leaves": 0}, "planner.leaves is 0: give a whole number from 1 to"),
        ("uct", {"leaves": 2.5}, "planner.leaves is 2.5: give a whole number"),
        ("uct", {"exploration": "much"}, "planner.exploration is 'much': give a number"),
        ("uct", {"reuse": "maybe"}, "planner.reuse is 'maybe': give true or false"),
        ("uct", {"proposal": "prior"}, "planner.proposal is for continuous actions"),
        ("uct", {"proposal": "wild"}, "planner.proposal is 'wild': choose one of levels, prior"),
        ("uct", {"discount": 0}, "planner.discount is 0"),
        ("uct", {"exploration": -1}, "planner.exploration is -1"),
        ("uct", {"normalise": "leaf"}, "planner.normalise is 'leaf': choose one of tree, node"),
        ("uct", {"samples": 5}, "planner.samples is for continuous actions, and task finite has"),
        ("uct", {"depth": 500}, "planner.budget is 400: a simulation in task finite takes 1001"),
        ("uct", {"transpositions": True, "outcomes": 2}, "planner.transpositions needs discrete"),
    ],
)
def test_mistakes_are_told_in_one_line(search, options, said):
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        make(search, **options)
    assert "\n" not in str(error.value)


def test_a_task_without_single_actions_is_refused():
    space = gymnasium.spaces.MultiDiscrete([2, 3])
    spec = SimpleNamespace(name="buttons", action_space=space, control_dt=1.0, budget_per_step=1)
    with pytest.raises(ValueError, match="task buttons has Multi"):
        make_planner(spec, "puct", 100)
    for search in ("iw", "fmc"):
        with pytest.raises(ValueError, match=f"search={search} needs discrete actions, and task"):
            make_planner(make_box(), search, 1000)
    with pytest.raises(ValueError, match="transpositions needs discrete actions"):
        make_planner(make_box(), "uct", 1000, transpositions=True)


def test_the_prior_guides():
    """With equal values, visits follow the prior's probabilities."""
    zeros = np.zeros((1, 3, 1))
    model = Finite(zeros.astype(int), zeros, zeros + 1)
    oracle = Oracle(np.zeros(1), np.log([[0.2, 0.5, 0.3]]))
    plan, _ = decide(make("puct", 1000), model, prior=oracle)
    assert np.allclose(plan.policy, [[0.2, 0.5, 0.3]], atol=0.01)


def test_leaves_in_flight_hold_off_the_prior():
    zeros = np.zeros((1, 2, 1))
    model = Finite(zeros.astype(int), zeros, zeros + 1)
    oracle = Oracle(np.zeros(1), np.log([[0.6, 0.4]]))
    decide(make("puct", 100, 2, depth=0, leaves=2), model, prior=oracle)
    assert model.calls[0] == 2


def test_a_struck_out_action_leaves_its_probability_to_the_others():
    """As if there were the others alone; finding out took one simulation."""
    visits = []
    for prior, rewards in (([0.9, 0.05, 0.05], [np.nan, 1, 0]), ([0.5, 0.5], [1, 0])):
        shape = 1, len(prior), 1
        model = Finite(np.zeros(shape, int), np.reshape(rewards, shape), np.zeros(shape))
        planner = make("puct", 19 + len(prior), len(prior), depth=0, leaves=1)
        _, carry = decide(planner, model, prior=Oracle(np.zeros(1), np.log([prior])))
        visits.append(carry.tree.edges["visits"][0, 0, -2:].tolist())
    assert visits[0] == visits[1]
    assert min(visits[0]) > 1


@pytest.mark.parametrize("search", SEARCHES)
def test_from_the_command_line(search, command, tmp_path):
    words = ("planner=mcts", f"planner.search={search}", "planner.budget=60")
    code, out, _ = command("task=toy-chain", *words)
    assert code == 0
    assert f"mcts-{search}" in out
    (summary,) = tmp_path.glob(f"toy-chain/mcts-{search}/*/seed0/summary.json")
    ledger = json.loads(summary.read_text())["ledger"]
    assert 0 < ledger["evaluation_sim_steps"] <= 60 * ledger["evaluation_decisions"]
    code, out, error = command("task=cheetah", *words, "planner.samples=no")
    assert code == 2
    assert "planner.samples" in error


@pytest.mark.parametrize("transpositions", [False, True])
@pytest.mark.parametrize("depth", [0, 5])
@pytest.mark.parametrize("search", SEARCHES)
def test_actions_begin_where_the_space_does(search, depth, transpositions):
    """What it asks of the model and what it executes are the task's; the rest is as without."""
    model, options = layered(3), {"depth": depth, "transpositions": transpositions}
    shifted = layered(3)
    step = shifted.step
    shifted.step = lambda state, action: step(state, action - 3)
    spec = make_spec(3)
    spec.action_space = gymnasium.spaces.Discrete(3, start=3)
    for decision in range(5):
        plan, carry = decide(make(search, 200, **options), model, decision=decision)
        planner = make(search, 200, spec=spec, **options)
        moved, other = decide(planner, shifted, decision=decision)
        assert (moved.action == plan.action + 3).all()
        assert (moved.actions == plan.actions + 3).all()
        assert (moved.value, moved.policy.tolist()) == (plan.value, plan.policy.tolist())
        assert (other.edges == carry.edges).all()


@pytest.mark.parametrize("search", SEARCHES)
def test_the_end_of_an_episode_is_no_root(search):
    """Though the next episode begins in that very state: no search has looked at it."""
    model = endless(0)
    model.successors[0], model.continuation[0] = 0, 0.0
    _, carry = decide(make(search, 100, 4, depth=0), model)
    plan, _ = decide(make(search, 100, 4, depth=0), model, carry=carry)
    assert plan.statistics["reused"] == 0.0
