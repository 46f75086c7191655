"""The arrays of a search tree: what is backed up, what is kept, by brute force."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from finite import decide, layered, make, random_oracle

from learners.none import NoLearner
from planners.noise import Noise
from planners.selection import LEAF, advance, extremes, gumbel_decision, improve, open_actions
from planners.tree import ABSENT, STRUCK, allocate, expand, plant, reroot, strike, take_off

SEARCHES = ("uct", "puct", "gumbel")


def searched(search, discount=0.8, seed=0, budget=150, **options):
    """Trees of two environments after a decision, and the model."""
    model = layered(seed, layers=6, **options)
    planner = make(search, budget, depth=0, discount=discount, leaves=3)
    prior = random_oracle(seed, model)
    return decide(planner, model, [0, 2], prior)[1].tree, model


def below(tree, b, index):
    """The nodes of a subtree, by their parents."""
    inside = {index}
    for i in range(index + 1, tree.summaries["size"][b]):
        if int(tree.nodes["parent"][b, i]) in inside:
            inside.add(i)
    return sorted(inside)


def path_return(tree, b, top, index, value, discount):
    """The return from a node on, of a simulation that ended below it with this value."""
    while index != top:
        node = tree.nodes[b, index]
        value = node["reward"] + discount * node["continuation"] * value
        index = node["parent"]
    return value


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("discount", [0.8, 1.0])
def test_values_are_means_of_returns(search, discount):
    """Each node ended one simulation with its own value, and a terminal one some more with 0."""
    tree, model = searched(search, discount)
    terminal = 0
    for b in range(2):
        assert tree.summaries["size"][b] > 15
        for i in range(tree.summaries["size"][b]):
            returns = []
            for j in below(tree, b, i):
                node = tree.nodes[b, j]
                ended = node["visits"] if node["continuation"] == 0 else 1
                terminal += ended - 1
                value = 0.0 if node["continuation"] == 0 else node["raw"]
                returns += ended * [path_return(tree, b, i, j, value, discount)]
            assert tree.nodes["visits"][b, i] == len(returns)
            assert np.isclose(tree.nodes["value"][b, i], np.mean(returns))
            if i:
                node = tree.nodes[b, i]
                edge = tree.edges[b, node["parent"], node["action"]]
                rest = discount * node["continuation"] * np.mean(returns)
                assert edge["child"] == i
                assert edge["visits"] == len(returns)
                assert np.isclose(edge["value"], node["reward"] + rest)
                before = int(tree.states[b, node["parent"], 0])
                assert tree.states[b, i, 0] == model.successors[before, node["action"], 0]
                assert node["reward"] == model.rewards[before, node["action"], 0]
    assert terminal > 0


@pytest.mark.parametrize("search", SEARCHES)
def test_nothing_is_left_in_flight(search):
    tree, _ = searched(search)
    for b in range(2):
        size = tree.summaries["size"][b]
        assert (tree.nodes["inflight"][b, :size] == 0).all()
        assert (tree.edges["inflight"][b, :size] == 0).all()


def test_extremes_are_those_of_the_edges():
    """The least and the greatest value that any edge has had: the last ones lie between."""
    tree, _ = searched("uct")
    for b in range(2):
        edges = tree.edges[b, : tree.summaries["size"][b]]
        values = edges["value"][edges["visits"] > 0]
        assert tree.summaries["low"][b] <= values.min()
        assert tree.summaries["high"][b] >= values.max()


def describe(tree, b, index):
    """All that a subtree holds, whatever its indices."""
    node, edges = tree.nodes[b, index], tree.edges[b, index]
    return (
        tree.states[b, index].tolist(),
        [node[name].item() for name in ("draws", "visits", "inflight", "value", "raw")],
        [edges[name].tolist() for name in ("visits", "inflight", "value", "logit", "prior")],
        [
            (a, node_facts(tree, b, child), describe(tree, b, child))
            for a, child in enumerate(edges["child"])
            if child >= 0
        ],
    )


def node_facts(tree, b, index):
    node = tree.nodes[b, index]
    return node["reward"].item(), node["continuation"].item(), node["action"].item()


@pytest.mark.parametrize("search", SEARCHES)
def test_rerooting_keeps_the_subtree(search):
    old, _ = searched(search, budget=300, ends=0.0)
    roots = np.array([old.edges["child"][0, 0, 1], ABSENT])
    new = allocate(2, 400, 3, old.states, None)
    reroot(old, new, roots, 400)
    size = len(below(old, 0, roots[0]))
    assert new.summaries["size"].tolist() == [size, 0]
    assert describe(new, 0, 0) == describe(old, 0, roots[0])
    assert new.nodes["parent"][0, 0] == new.nodes["action"][0, 0] == ABSENT
    for i in range(1, size):
        node = new.nodes[0, i]
        assert node["parent"] < i
        assert new.edges["child"][0, node["parent"], node["action"]] == i
    edges = new.edges[0, :size]
    values = edges["value"][edges["visits"] > 0]
    assert new.summaries["low"][0] == values.min()
    assert new.summaries["high"][0] == values.max()


def test_rerooting_leaves_the_youngest_behind():
    old, _ = searched("uct", budget=300, ends=0.0)
    root = old.edges["child"][0, 0].max()
    kept = below(old, 0, root)
    new = allocate(2, 400, 3, old.states, None)
    reroot(old, new, np.array([root, ABSENT]), 10)
    assert new.summaries["size"][0] == 10
    assert np.array_equal(new.states[0, :10], old.states[0, kept[:10]])
    for name in ("visits", "value"):
        assert np.array_equal(new.nodes[name][0, :10], old.nodes[name][0, kept[:10]])
        assert np.array_equal(new.edges[name][0, :10], old.edges[name][0, kept[:10]])
    for new_index, old_index in enumerate(kept[:10]):
        for a in range(3):
            child = old.edges["child"][0, old_index, a]
            expected = kept.index(child) if child in kept[:10] else ABSENT
            assert new.edges["child"][0, new_index, a] == expected


def test_rerooting_forgets_the_extremes_of_what_is_struck_out():
    old, _ = searched("uct", budget=300, ends=0.0)
    root = old.edges["child"][0, 0].max()
    inside = below(old, 0, root)
    values = np.where(old.edges["visits"][0, inside] > 0, old.edges["value"][0, inside], -np.inf)
    node, action = np.unravel_index(values.argmax(), values.shape)
    old.edges["child"][0, inside[node], action] = STRUCK
    values[node, action] = -np.inf
    new = allocate(2, 400, 3, old.states, None)
    reroot(old, new, np.array([root, ABSENT]), 400)
    assert new.summaries["high"][0] == values.max()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_states_keep_their_dtype(dtype):
    model = layered(0)
    planner = make("uct", 50, depth=0)
    states = np.array([[0], [1]], dtype)
    prior = NoLearner(SimpleNamespace(action_space=planner.space))
    carry: Any = None
    plan, carry = planner.plan(model, prior, states, planner.init(2), Noise(0, [0, 1], 0))
    assert carry.tree.states.dtype == dtype
    following, _, _ = model.step(states, plan.action)
    assert following.dtype == dtype
    kept, _ = planner.plan(model, prior, following, carry, Noise(0, [0, 1], 1))
    assert kept.statistics["reused"] == 1.0


def planted(width):
    """A root of value 0, with actions of equal probability."""
    tree = allocate(1, 10, width, np.zeros((1, 1)), None)
    plant(tree, np.array([0]), np.zeros((1, 1)), np.zeros(1), np.empty((0, width)))
    return tree, tree.nodes[0], tree.edges[0]


def test_striking_out_a_last_action_strikes_out_what_leads_there():
    _, nodes, edges = planted(2)
    for index, parent in ((1, 0), (2, 1)):
        assert expand(nodes, edges, index, parent, 0, 0.0, 1.0, 0.0, np.empty((0, 2)), 0)
    strike(nodes, edges, 2, 1)
    assert edges["child"][:3].tolist() == [[1, ABSENT], [2, ABSENT], [ABSENT, STRUCK]]
    strike(nodes, edges, 2, 0)
    assert edges["child"][:3].tolist() == [[1, ABSENT], [STRUCK, ABSENT], [STRUCK, STRUCK]]
    strike(nodes, edges, 1, 1)
    assert edges["child"][0].tolist() == [STRUCK, ABSENT]


def test_what_is_struck_out_in_flight_stays_so():
    tree, nodes, edges = planted(2)
    leaves, found = np.zeros(4, LEAF), (np.ones(1), np.ones(1), np.ones(1))
    leaves[0] = (0, 0, 1, 0, 1)
    tree.summaries["size"], tree.summaries["left"] = 2, 0
    take_off(nodes, edges, 0, 1, 1)
    strike(nodes, edges, 0, 1)
    arrays = np.zeros((1, 0), np.int64), tree.summaries, tree.nodes, tree.edges, leaves
    rest = np.empty((0, 2)), np.empty(0, np.int64)
    assert advance(make("uct", actions=2).rule, *arrays, 1, *found, *rest) == 0
    assert edges["child"][0].tolist() == [ABSENT, STRUCK]
    assert edges["visits"][0].tolist() == edges["inflight"][0].tolist() == [0, 0]
    assert nodes["parent"][1] == ABSENT


def test_what_is_struck_out_makes_room_for_others():
    _, nodes, edges = planted(6)
    rule = make("uct").rule[0]
    rule["widening"], rule["exponent"] = 2.0, 0.0
    assert open_actions(rule, nodes, edges, 0) == 2
    for struck, end in ((1, 3), (0, 4), (4, 4), (2, 6)):
        strike(nodes, edges, 0, struck)
        assert open_actions(rule, nodes, edges, 0) == end


def test_what_is_struck_out_normalises_nothing():
    tree, nodes, edges = planted(3)
    edges["visits"][0], edges["value"][0] = 1, [-50.0, 1.0, 2.0]
    strike(nodes, edges, 0, 0)
    rule = make("uct", normalise="node").rule[0]
    assert extremes(rule, tree.summaries[0], nodes, edges, 0, 3) == (0.0, 0.5)
    rule, out = make("gumbel", value_scale=0.1, maxvisit_init=50.0).rule[0], np.empty(3)
    edges["visits"][0, 0], nodes["raw"][0] = 0, -100.0
    improve(rule, tree.summaries[0], nodes, edges, 0, out)
    assert out[0] == -np.inf
    assert np.isclose(out[2] - out[1], 0.1 * (50 + 1))  # the better one minus the worse: 1 - 0


def test_gumbel_decides_by_the_visits_of_this_decision():
    """Two actions are left of the halving; the best one is of the tree that was kept."""
    tree, _, edges = planted(4)
    edges["visits"][0], edges["before"][0] = [100, 8, 10, 30], [100, 3, 5, 30]
    edges["value"][0] = [9.0, 1.0, 2.0, 3.0]
    actions, _ = gumbel_decision(make("gumbel", actions=4).rule, *tree[:3])
    assert actions.tolist() == [2]
