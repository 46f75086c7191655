"""Rollout IW(1): against the algorithm in plain Python, and on processes with known answers."""

import math
from types import SimpleNamespace
from typing import Any

import games
import gymnasium
import numpy as np
import pytest
from chances import Tables, corridor, make_spec, random_tables

from learners.none import NoLearner
from planners import iw
from planners.iw import IW
from planners.noise import Noise
from planners.novelty import DEEPEST
from planners.searches import OPTIONS
from suites.errors import UserError
from suites.tasks.toy import ChainTask
from world_models.simulator import Simulator

NOTHING = NoLearner(SimpleNamespace(action_space=gymnasium.spaces.Discrete(3)))


@pytest.fixture
def searched(monkeypatch):
    """The trees that are searched."""
    trees, search = [], IW._search

    def watch(self, model, found):
        trees.extend(found)
        search(self, model, found)

    monkeypatch.setattr(IW, "_search", watch)
    return trees


def decide(planner, world, states, decisions=1, episodes=None, seed=0, truth=None):
    """Plans of so many decisions in environments that do as `truth` says, and their states."""
    truth = truth or world
    state = np.array(states, float)[:, None]
    episodes = range(len(state)) if episodes is None else episodes
    carry, plans, visited = planner.init(len(state)), [], [state[:, 0]]
    for decision in range(decisions):
        noise = Noise(seed, episodes, decision)
        plan, carry = planner.plan(world, NOTHING, state, carry, noise)
        plans.append(plan)
        s, action = state[:, 0].astype(int), plan.action - planner.start
        going = ~truth.ends[truth.after[s, action]]
        state = np.where(going, truth.after[s, action], s)[:, None].astype(float)
        visited.append(state[:, 0])
    return plans, visited


class Node:
    def __init__(self, parent, action, state, reward, ends):
        self.parent, self.action, self.state = parent, action, state
        self.reward, self.ends = reward, ends
        self.children: dict[int, Node] = {}
        self.visited = self.solved = self.pruned = False


class Reference:
    """Rollout IW(1) as its paper tells it, with nodes, dictionaries and recursion."""

    def __init__(self, world, actions, steps, discount, risk, subscores):
        self.world, self.actions, self.steps = world, actions, steps
        self.discount, self.risk, self.subscores = discount, risk, subscores

    def pick(self, n):  # splitmix64
        mask = 2**64 - 1
        self.random = (self.random + 0x9E3779B97F4A7C15) & mask
        z = self.random
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return (z ^ (z >> 31)) % n

    def depth(self, node):
        return 0 if node.parent is None else 1 + self.depth(node.parent)

    def path(self, node):
        return 0.0 if node.parent is None else self.path(node.parent) + node.reward

    def atoms(self, node):
        score = self.path(node)
        which = 0 if score <= 0 or not self.subscores else 1 + math.floor(math.log2(score))
        return [(which, i, int(v)) for i, v in enumerate(self.world.bytes[node.state])]

    def solve(self, node):
        node.solved = True
        parent = node.parent
        solved = parent and [child.solved for child in parent.children.values()]
        if solved and all(solved) and len(solved) == self.actions:
            self.solve(parent)

    def search(self, root, seed):
        self.random, self.table, self.root, left = seed, {}, root, self.steps
        while not root.solved and left:
            node = root
            while not node.solved:
                a = self.pick(
                    sum(
                        b not in node.children or not node.children[b].solved
                        for b in range(self.actions)
                    )
                )
                unsolved = [
                    b
                    for b in range(self.actions)
                    if b not in node.children or not node.children[b].solved
                ]
                action = unsolved[a]
                if action not in node.children:
                    if not left:
                        return
                    left -= 1
                    after = self.world.after[node.state, action]
                    reward = self.world.rewards[node.state, action]
                    reward *= self.risk if reward < 0 else 1
                    ends = self.world.ends[after]
                    node.children[action] = Node(node, action, after, reward, ends)
                node = node.children[action]
                depth, infinity = self.depth(node), 10**9
                seen = [self.table.get(atom, infinity) for atom in self.atoms(node)]
                new, node.visited = not node.visited, True
                if node.ends:
                    self.solve(node)
                elif new and max(seen) > depth:
                    for atom in self.atoms(node):
                        self.table[atom] = min(depth, self.table.get(atom, infinity))
                elif new:
                    self.solve(node)
                elif max(seen) < depth:
                    node.pruned = True
                    self.solve(node)

    def value(self, node):
        values = [
            child.reward + self.discount * self.value(child)
            for child in node.children.values()
            if not child.pruned
        ]
        if len(node.children) < self.actions:
            values.append(0.0)
        return max(values, default=0.0)

    def forget(self, node):
        node.visited = node.solved = node.pruned = False
        for child in node.children.values():
            self.forget(child)


def compare(tree, number, node):
    """The same labels in both trees."""
    assert tree.state[number, 0] == node.state
    assert (tree.solved[number], tree.pruned[number]) == (node.solved, node.pruned)
    for action, child in enumerate(tree.child[number]):
        assert (child >= 0) == (action in node.children)
        if child >= 0:
            compare(tree, child, node.children[action])


@pytest.mark.parametrize("subscores", [False, True])
@pytest.mark.parametrize("risk", [1.0, 100.0])
@pytest.mark.parametrize("seed", range(6))
def test_the_search_is_that_of_the_paper(seed, risk, subscores, searched):
    """Trees, labels and values, over decisions that keep their trees."""
    world, steps = random_tables(seed), 25 + 20 * seed
    planner = IW(make_spec(), steps, discount=0.9, risk=risk, subscores=subscores)
    reference = Reference(world, 3, steps, 0.9, risk, subscores)
    state, carry = np.zeros((1, 1)), planner.init(1)
    root = Node(None, None, 0, 0.0, False)
    for decision in range(8):
        seed_of_search = int(Noise(seed, [0], decision).uniform(1)[0, 0] * 2**53)
        reference.search(root, seed_of_search)
        plan, carry = planner.plan(world, NOTHING, state, carry, Noise(seed, [0], decision))
        compare(searched[-1], 0, root)
        assert plan.value[0] == pytest.approx(reference.value(root), rel=1e-12)
        assert (plan.statistics["kept"] > 1) == (decision > 0)
        action = int(plan.action[0])
        if action not in root.children or root.children[action].ends:
            return
        root = root.children[action]
        root.parent, root.reward = None, 0.0
        reference.forget(root)
        state = np.array([[float(root.state)]])


@pytest.mark.parametrize("leaves", [1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_when_all_is_solved(seed, leaves, searched):
    """On a grid, each coordinate has its least depth on the straight line to it, and no other."""
    high, wide, y, x = 5, 7, 1, 3
    cells = np.array([(row, column) for row in range(high) for column in range(wide)])
    steps = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
    to = np.clip(cells[:, None] + steps, 0, [high - 1, wide - 1])
    after = to[..., 0] * wide + to[..., 1]
    ends = np.zeros(len(cells), bool)
    world = Tables(after, np.zeros(after.shape), ends, cells.astype(np.uint8))
    planner = IW(make_spec(4), 100_000, leaves=leaves)
    plan = decide(planner, world, [y * wide + x], seed=seed)[0][0]
    assert plan.statistics["solved"] == 1
    assert world.sim_steps < 1000
    (tree,) = searched
    depths = np.full((2, 256), -1)
    depths[0, :high], depths[1, :wide] = abs(np.arange(high) - y), abs(np.arange(wide) - x)
    depths[0, y], depths[1, x] = 1, 1  # beside the root, which is not noted itself
    table = tree.table[0].astype(int)
    np.testing.assert_array_equal(np.where(table > 0, DEEPEST - table, -1), depths.ravel())
    nodes, inner = [0], 0
    while nodes:
        node = nodes.pop()
        assert tree.solved[node]
        children = tree.child[node]
        if tree.pruned[node] or (children < 0).all():
            continue
        assert (children >= 0).all()
        row, column = cells[int(tree.state[node, 0])]
        assert node == 0 or tree.depth[node] in (depths[0, row], depths[1, column])
        nodes, inner = nodes + list(children), inner + 1
    assert inner >= high + wide - 2


def test_a_corridor_is_walked_to_its_end():
    """A uniform random walk would not see the goal within its budget; novelty does."""
    world = corridor(60)
    plans, visited = decide(IW(make_spec(2), 400), world, [20], 39)
    assert [int(s[0]) for s in visited[:-1]] == list(range(20, 59))
    assert plans[0].value[0] == pytest.approx(0.995**38)
    assert plans[0].statistics["depth"] >= 39


def test_a_kept_tree_saves_steps():
    world = corridor(30)
    with_cache, _ = decide(IW(make_spec(2), 1000), world, [10], 10)
    saved, world = world.sim_steps, corridor(30)
    without, _ = decide(IW(make_spec(2), 1000, caching=False), world, [10], 10)
    assert all(plan.statistics["solved"] for plan in with_cache + without)
    assert all(plan.action == 1 for plan in with_cache + without)
    assert saved < 0.7 * world.sim_steps
    assert all(plan.statistics["kept"] > 1 for plan in with_cache[1:])
    assert all(plan.statistics["kept"] == 1 for plan in without)


def test_a_tree_whose_state_is_not_the_true_one_is_dropped():
    world, truth = random_tables(3), random_tables(4)
    plans, _ = decide(IW(make_spec(), 60), world, [0], 5, truth=truth)
    assert any(plan.statistics["kept"] == 1 for plan in plans[1:])
    plans, _ = decide(IW(make_spec(), 60), world, [0], 3)
    assert all(plan.statistics["kept"] > 1 for plan in plans[1:])


def test_a_lost_life_is_shunned():
    """To the left a life is lost, and 5 are paid; to the right 1 is paid."""
    after = np.array([[1, 2], [1, 1], [2, 2]])
    rewards = np.array([[5.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    world = Tables(after, rewards, np.zeros(3, bool), np.arange(3, dtype=np.uint8)[:, None])
    world.lives = np.array([3, 2, 3], np.uint8)
    for has_lives, risk, action in [(True, 10.0, 1), (True, 1.0, 0), (False, 10.0, 0)]:
        planner = IW(make_spec(2, has_lives=has_lives), 100, risk=risk)
        assert decide(planner, world, [0])[0][0].action[0] == action
    world.rewards[0, 1] = -20.0  # times 10; a lost life is -10 times 10, instead of its reward
    planner = IW(make_spec(2, has_lives=True), 100, risk=10.0)
    plan = decide(planner, world, [0])[0][0]
    assert (plan.action[0], plan.value[0]) == (0, -100.0)


def test_risk_aversion():
    """A step to the left costs 1 and leads to 3 after it; one to the right pays 1."""
    after = np.array([[1, 2], [3, 3], [2, 2], [3, 3]])
    rewards = np.array([[-1.0, 1.0], [3.0, 3.0], [0.0, 0.0], [0.0, 0.0]])
    world = Tables(after, rewards, np.zeros(4, bool), np.arange(4, dtype=np.uint8)[:, None])
    for risk, action, value in [(1.0, 0, 2.0), (50_000.0, 1, 1.0)]:
        planner = IW(make_spec(2), 100, risk=risk, discount=1.0)
        plan = decide(planner, world, [0])[0][0]
        assert (plan.action[0], plan.value[0]) == (action, value)


def test_subscores_let_go_on_what_has_scored():
    """Behind the reward the features repeat: only another table calls them new."""
    world = corridor(7, 10.0)
    world.rewards[2, 1] = 1.0
    world.after[3, 0] = 3  # the reward is paid once
    world.bytes = np.array([0, 1, 2, 3, 1, 2, 9], np.uint8)[:, None]
    blind = decide(IW(make_spec(2), 1000, discount=1.0), world, [0])[0][0]
    seeing = decide(IW(make_spec(2), 1000, discount=1.0, subscores=True), world, [0])[0][0]
    assert (blind.value[0], seeing.value[0]) == (1.0, 11.0)


@pytest.mark.parametrize("leaves", [1, 3, 8])
@pytest.mark.parametrize(("budget", "per_step"), [(1, 1), (50, 1), (44, 15), (155, 15)])
def test_the_budget_is_kept(leaves, budget, per_step):
    for batch in (1, 3):
        world = random_tables(1, states=500, values=200)
        planner = IW(make_spec(per_step=per_step), budget, leaves=leaves)
        decide(planner, world, [0] * batch, episodes=[5] * batch)
        assert world.sim_steps == batch * (budget // per_step)


@pytest.mark.parametrize("leaves", [1, 4])
def test_environments_plan_as_each_alone(leaves):
    world, planner = random_tables(2), IW(make_spec(), 40, leaves=leaves)
    starts, episodes = [0, 3, 3, 11], [4, 0, 9, 2]
    starts = [s for s in starts if not world.ends[s]]
    episodes = episodes[: len(starts)]
    together, _ = decide(planner, world, starts, 6, episodes)
    for b, episode in enumerate(episodes):
        alone, _ = decide(planner, world, starts[b : b + 1], 6, [episode])
        for one, all_ in zip(alone, together, strict=True):
            assert one.action[0] == all_.action[b]
            assert one.value[0] == all_.value[b]


def test_rollouts_in_flight_share_the_calls_of_the_model():
    calls = {}
    for leaves in (1, 6):
        world = random_tables(1, states=500, values=200)
        decide(IW(make_spec(), 240, leaves=leaves), world, [0])
        calls[leaves] = len(world.stepped)
        assert max(len(states) for states, _ in world.stepped) <= leaves
        assert sum(len(states) for states, _ in world.stepped) == 240
    assert calls[1] == 240
    assert calls[6] < 60


def test_ties():
    """Nothing pays: the choice is by lot, or goes where the tree is deepest."""
    world = corridor(40, 0.0)
    lots = [decide(IW(make_spec(2), 300), world, [10], seed=s) for s in range(9)]
    assert {int(plans[0].action[0]) for plans, _ in lots} == {0, 1}
    deepest = [decide(IW(make_spec(2), 300, ties="deepest"), world, [10], seed=s) for s in range(9)]
    assert all(plans[0].action[0] == 1 for plans, _ in deepest)


def test_the_deepest_of_the_best():
    """Ways to walk: 3 steps, 5 steps, and, for a price, 9."""
    lengths = [3, 5, 9]
    begins = np.cumsum([1, *lengths])
    after = np.minimum(np.arange(begins[-1]) + 1, begins[-1] - 1)[:, None].repeat(3, axis=1)
    after[0] = begins[:3]
    ends = np.isin(np.arange(begins[-1]), begins[1:] - 1)
    rewards = np.zeros(after.shape)
    rewards[0, 2] = -1.0
    world = Tables(after, rewards, ends, np.arange(begins[-1], dtype=np.uint8)[:, None])

    def actions(ties):
        planner = IW(make_spec(3), 500, ties=ties)
        return {int(decide(planner, world, [0], seed=s)[0][0].action[0]) for s in range(12)}

    assert (actions("random"), actions("deepest")) == ({0, 1}, {1})
    world.rewards[0, :2] = 1.0  # only where nothing pays does depth count
    assert actions("deepest") == {0, 1}


def test_rollouts_leave_what_others_have_solved(monkeypatch):
    """No step is taken from a node that is solved, also if a rollout stands there."""
    left, advance = [], iw.advance

    def one_by_one(tree, kind, at, todo):
        for k in range(len(at)):
            left.append(at[k] > 0 and bool(tree.solved[at[k]]))
            advance(tree, kind, at[k : k + 1], todo[k : k + 1])
            assert todo[k, 0] < 0 or not tree.solved[todo[k, 0]]

    monkeypatch.setattr(iw, "advance", one_by_one)
    for seed in range(12):
        decide(IW(make_spec(), 300, leaves=8), random_tables(seed), [0], 5)
    assert any(left)


def test_a_tree_is_carried_without_its_table(searched):
    world, planner = random_tables(3), IW(make_spec(), 60)
    state, carry = np.zeros((1, 1)), planner.init(1)
    _, carry = planner.plan(world, NOTHING, state, carry, Noise(0, [0], 0))
    assert searched[0].table.any()
    (tree,) = carry.trees
    assert tree is not None
    assert tree.table.base is None  # no view of the whole one
    assert tree.table.size == 0


def test_what_diverges_ranks_last():
    world = corridor(6)
    world.rewards[2, 0] = np.nan
    planner = IW(make_spec(2), 100)
    for seed in range(5):
        plan = decide(planner, world, [2], seed=seed)[0][0]
        assert plan.action[0] == 1
        assert np.isfinite(plan.value[0])


def test_actions_begin_where_the_space_does():
    planner = IW(make_spec(2, start=3), 400)
    world = corridor(20)
    step = world.step
    world.step = lambda state, action: step(state, action - 3)
    plan = decide(planner, world, [10])[0][0]
    assert plan.action.dtype == np.int64
    assert plan.action[0] == 4
    assert plan.actions.shape == (1, 1)


@pytest.mark.parametrize("features", ["basic", "bpros", "bprost"])
def test_features_of_screens(features):
    """A dot that goes up a screen; where it has been is new only to pairs of screens."""
    world = corridor(14)
    asked = []
    screens = np.zeros((14, 210, 160), np.uint8)
    for cell in range(14):
        screens[cell, 209 - 15 * cell, 80] = 20
    world.features = lambda state, kind="none": [
        asked.append(kind),
        screens[state[..., 0].astype(int)].reshape(*state.shape[:-1], -1),
    ][1]
    plan = decide(IW(make_spec(2), 200, features=features), world, [2])[0][0]
    assert plan.action[0] == 1
    assert plan.value[0] == pytest.approx(0.995**10)
    assert set(asked) == {"screen"}


def test_pairs_in_time_are_of_a_screen_and_the_one_before():
    """The dot is back where it was, but comes from elsewhere than the first time."""
    world = corridor(6)
    dots = np.zeros((6, 210, 160), np.uint8)
    for cell, row in enumerate([0, 3, 7, 3, 12, 12]):
        dots[cell, 15 * row, 80] = 20
    world.bytes = dots.reshape(6, -1)
    world.after[:, 0] = np.arange(6)
    world.features = lambda state, kind="screen": world.bytes[state[..., 0].astype(int)]
    for features, value in [("bpros", 0.0), ("bprost", 1.0)]:
        planner = IW(make_spec(2), 200, features=features, discount=1.0)
        assert decide(planner, world, [0])[0][0].value[0] == value


def test_features_that_a_task_does_not_have_are_refused():
    planner = IW(make_spec(4), 100, features="basic")
    for task, message in [
        (games.make("breakout"), r"set task\.screen=true, or choose planner\.features=ram"),
        (ChainTask(), r"those of Atari games, and this task is none: choose planner\.features=ram"),
    ]:
        observation, _ = task.reset(seed=0)
        model = Simulator(task)
        state = model.begin(observation, task)
        with pytest.raises(UserError, match=message) as error:
            planner.plan(model, NOTHING, state, planner.init(1), Noise(0, [0], 0))
        assert "\n" not in str(error.value)


CHANGES: dict[str, Any] = {
    "budget": 30,
    "features": "basic",
    "discount": 0.5,
    "risk": 10.0,
    "subscores": True,
    "caching": False,
    "ties": "deepest",
    "seconds": 1e-9,
    "leaves": 4,
}


@pytest.mark.parametrize("key", OPTIONS["iw"] + ["budget"])
def test_every_option_matters(key):
    def summary(**options: Any):
        world = random_tables(7)
        if key == "features":
            world.bytes = np.random.default_rng(0).integers(6, size=(40, 210 * 160), dtype=np.uint8)
        if key == "ties":
            world.rewards[:] = 0
        given: dict[str, Any] = {"budget": 60} | options
        planner = IW(make_spec(), **given)
        plans, _ = decide(planner, world, [0, 0], 5)
        return [(tuple(plan.action), tuple(plan.value), plan.statistics) for plan in plans]

    assert summary() == summary()
    assert summary() != summary(**{key: CHANGES[key]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 14, "per_step": 15}, r"planner\.budget is 14: one simulated step takes 15"),
        ({"features": "pixels"}, r"planner\.features is 'pixels': choose one of ram, basic, bpros"),
        ({"ties": "first"}, r"planner\.ties is 'first': choose one of random, deepest"),
        ({"discount": 0}, r"planner\.discount is 0: give a number above 0, up to 1"),
        ({"risk": 0.5}, r"planner\.risk is 0\.5: give a number of at least 1"),
        ({"leaves": 0}, r"planner\.leaves is 0: give a whole number of at least 1"),
        ({"leaves": 2.5}, r"planner\.leaves is 2\.5: give a whole number of at least 1"),
        ({"leaves": True}, r"planner\.leaves is True: give a whole number of at least 1"),
        ({"risk": "much"}, r"planner\.risk is 'much': give a number of at least 1"),
        ({"risk": np.nan}, r"planner\.risk is nan: give a number of at least 1"),
        ({"discount": "x"}, r"planner\.discount is 'x': give a number above 0, up to 1"),
        (
            {"features": ["ram"]},
            r"planner\.features is '\['ram'\]': choose one of ram, basic, bpros",
        ),
        ({"caching": "no"}, r"planner\.caching is 'no': give true or false"),
        ({"subscores": "no"}, r"planner\.subscores is 'no': give true or false"),
    ],
)
def test_bad_options_are_refused_in_one_line(options, message):
    options = {"budget": 100} | options
    spec = make_spec(per_step=options.pop("per_step", 1))
    with pytest.raises(ValueError, match=message) as error:
        IW(spec, **options)
    assert "\n" not in str(error.value)
