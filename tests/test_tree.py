"""The arrays of a search tree: what is backed up, what is kept, by brute force."""

from typing import Any

import numpy as np
import pytest
from finite import decide, layered, make, random_oracle

from learners.none import NoLearner
from planners.noise import Noise
from planners.tree import ABSENT, allocate, reroot

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


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_states_keep_their_dtype(dtype):
    model = layered(0)
    planner = make("uct", 50, depth=0)
    states = np.array([[0], [1]], dtype)
    prior = NoLearner(planner.space)
    carry: Any = None
    plan, carry = planner.plan(model, prior, states, planner.init(2), Noise(0, [0, 1], 0))
    assert carry.tree.states.dtype == dtype
    following, _, _ = model.step(states, plan.action)
    assert following.dtype == dtype
    kept, _ = planner.plan(model, prior, following, carry, Noise(0, [0, 1], 1))
    assert kept.statistics["reused"] == 1.0
