"""How a tree search chooses by its rule, and the walk from the root to new leaves."""

import functools
import math
from typing import Any

import numpy as np
from numba import njit

from planners.rules import HALVING, PROBABLE
from planners.tree import ABSENT, STRUCK, Tree, back_up, expand, take_off

TINY = 1e-9  # a spread of values below this fraction of them is rounding

LEAF = np.dtype(
    [
        ("tree", np.int64),
        ("parent", np.int64),  # the edge to follow: its node and its action
        ("action", np.int64),
        ("slot", np.int64),  # which of its tree's leaves it is
        ("node", np.int64),  # what it will become
    ]
)


@functools.cache
def halving_schedule(considered: int, simulations: int) -> np.ndarray:
    """Visits [simulations] that the root's action must have had to be taken at each simulation.

    Sequential halving (Karnin et al. 2013): every action that is still considered gets an equal
    share of a phase, then the better half stays (Danihelka et al. 2022, algorithm 2).
    """
    if considered <= 1:
        return np.arange(simulations)
    phases, alive, visits, schedule = math.ceil(math.log2(considered)), considered, 0, []
    while len(schedule) < simulations:
        for _ in range(max(1, simulations // (phases * alive))):
            schedule += [visits] * alive
            visits += 1
        alive = max(2, alive // 2)
    return np.array(schedule[:simulations])


@njit(cache=True, nogil=True)
def advance(
    rules: Any,
    schedules: np.ndarray,
    summaries: Any,
    all_nodes: Any,
    all_edges: Any,
    leaves: Any,
    count: int,
    rewards: np.ndarray,
    continuation: np.ndarray,
    values: np.ndarray,
    logits: np.ndarray,
    same: np.ndarray,
) -> int:
    """End a round and begin the next one: back up the leaves of the last one, select new ones.

    Arguments:
      rules: [1] of `RULE`.
      schedules: Of sequential halving at each root, [B, simulations]; [B, 0]: there is none.
      summaries, all_nodes, all_edges: Of a `Tree`.
      leaves: [B * leaves] of `LEAF`, tree by tree.
      count: How many leaves were selected.
      rewards, continuation, values: What the model and the prior say of them, [count].
      logits: [count, A]; [0, A] for equal ones.
      same: [count] the sibling with the same state, -1 for none; [0]: none has one.

    Returns:
      How many leaves have been selected; 0 if the decision is over.
    """
    rule = rules[0]
    for m in range(count):
        leaf = leaves[m]
        nodes, edges = all_nodes[leaf.tree], all_edges[leaf.tree]
        summary = summaries[leaf.tree]
        take_off(nodes, edges, leaf.parent, leaf.action, -1)
        if edges[leaf.parent, leaf.action].child == STRUCK:
            nodes[leaf.node].parent = ABSENT
        elif len(same) and same[m] >= 0:
            nodes[leaf.node].parent = ABSENT
            nodes[same[m]].draws += 1
            back_up(summary, nodes, edges, same[m], nodes[same[m]].value, rule.discount)
        elif expand(
            nodes,
            edges,
            leaf.node,
            leaf.parent,
            leaf.action,
            rewards[m],
            continuation[m],
            values[m],
            logits,
            m,
        ):
            back_up(summary, nodes, edges, leaf.node, nodes[leaf.node].raw, rule.discount)
    count = 0
    scratch = np.empty(all_edges.shape[2])
    for b in range(len(summaries)):
        summary, nodes, edges = summaries[b], all_nodes[b], all_edges[b]
        slot = walks = 0
        while summary.left > 0 and (walks < rule.leaves or slot == 0):
            index, action, depth = walk(rule, schedules[b], summary, nodes, edges, scratch)
            if index < 0:  # nothing to do but wait for a leaf; or all is struck out
                if slot == 0:
                    summary.left = 0
                break
            walks += 1
            summary.left -= 1
            summary.deepest = max(summary.deepest, depth)
            if action < 0:  # the end of an episode: nothing follows
                nodes[index].visits += 1
                back_up(summary, nodes, edges, index, 0.0, rule.discount)
                continue
            take_off(nodes, edges, index, action, 1)
            leaf = leaves[count]
            leaf.tree, leaf.parent, leaf.action = b, index, action
            leaf.slot, leaf.node = slot, summary.size
            summary.size += 1
            slot += 1
            count += 1
    return count


@njit(cache=True, nogil=True)
def walk(
    rule: Any, schedule: np.ndarray, summary: Any, nodes: Any, edges: Any, scratch: np.ndarray
) -> tuple[int, int, int]:
    """From the root to an action to be tried: its node, the action, and edges from the root.

    Or a terminal node and action -1; or node -1, where the way ends in an edge in flight.
    """
    index, depth = 0, 0
    while True:
        depth += 1
        action = choose(rule, schedule, summary, nodes, edges, index, scratch)
        if action < 0:
            return ABSENT, ABSENT, depth
        edge = edges[index, action]
        if edge.child == ABSENT:
            return (ABSENT if edge.inflight else index), action, depth
        child = edge.child
        if rule.outcomes > 1:
            child, more = next_outcome(rule, nodes, child, edge.visits)
            if more and edge.inflight == 0:
                return index, action, depth
        if nodes[child].continuation == 0.0:
            return child, ABSENT, depth
        index = child


@njit(cache=True, nogil=True)
def next_outcome(rule: Any, nodes: Any, index: int, visits: int) -> tuple[int, bool]:
    """The outcome of an action to follow, and whether to draw another one instead.

    Arguments:
      index: The first outcome.
      visits: Of the action: up to sqrt(visits) different outcomes (Couetoux et al. 2011, double
        progressive widening), from half as many draws as visits.

    The one with the fewest visits for how often it was drawn, so that visits follow the draws.
    """
    best, draws, different, least = index, 0, 0, np.inf
    while index != ABSENT:
        node = nodes[index]
        share = (node.visits + node.inflight) / node.draws
        if share < least:
            best, least = index, share
        draws += node.draws
        different += 1
        index = node.sibling
    wanted = different < rule.outcomes and different * different <= visits
    return best, wanted and 2 * draws <= visits


@njit(cache=True, nogil=True)
def choose(
    rule: Any,
    schedule: np.ndarray,
    summary: Any,
    nodes: Any,
    edges: Any,
    index: int,
    scratch: np.ndarray,
) -> int:
    """An action of a node; -1 if all are struck out. Ties go to the lower index."""
    if rule.kind == HALVING:
        if index > 0:
            return gumbel_below(rule, summary, nodes, edges, index, scratch)
        simulation = 0
        for a in range(edges.shape[1]):
            edge = edges[0, a]
            simulation += edge.visits + edge.inflight - edge.before
        return gumbel_at_root(rule, summary, nodes, edges, schedule[simulation], scratch)
    node, end = nodes[index], open_actions(rule, nodes, edges, index)
    low, scale = extremes(rule, summary, nodes, edges, index, end)
    total = node.visits + node.inflight
    best, top = ABSENT, -np.inf
    if rule.kind == PROBABLE:
        mass = 0.0
        for a in range(end):
            if edges[index, a].child != STRUCK:
                mass += edges[index, a].prior
        bonus = rule.first + np.log((total + rule.second + 1.0) / rule.second)
        bonus *= np.sqrt(total) / max(mass, 1e-300)
        for a in range(end):
            edge = edges[index, a]
            score = bonus * edge.prior / (1 + edge.visits + edge.inflight)
            if edge.visits:
                score += (edge.value - low) * scale
            if edge.child != STRUCK and (best < 0 or score > top):
                best, top = a, score
        return best
    bonus = np.log(total)
    for a in range(end):
        edge = edges[index, a]
        taken = edge.visits + edge.inflight
        score = np.inf
        if taken:
            # Of one that is in flight for the first time, all that is known is its node's value.
            value = edge.value if edge.visits else node.value
            score = (value - low) * scale + rule.first * np.sqrt(bonus / taken)
        if edge.child != STRUCK and (best < 0 or score > top):
            best, top = a, score
    return best


@njit(cache=True, nogil=True)
def open_actions(rule: Any, nodes: Any, edges: Any, index: int) -> int:
    """The actions below this index are open; those that are struck out make room for others."""
    width = edges.shape[1]
    if rule.widening >= width:
        return width
    visits = nodes[index].visits + nodes[index].inflight
    number, end = rule.widening * visits**rule.exponent, 0
    while end < width and number > 0:
        if edges[index, end].child != STRUCK:
            number -= 1
        end += 1
    return end


@njit(cache=True, nogil=True)
def extremes(
    rule: Any, summary: Any, nodes: Any, edges: Any, index: int, end: int
) -> tuple[float, float]:
    """What values are normalised by: the lowest, and 1 / (highest - lowest).

    Of the tree, or of the node and its children. 0 in place of the second where they are the same,
    or where the tree has none yet.
    """
    low, high = summary.low, summary.high
    if not rule.by_tree:
        low = high = nodes[index].value
        for a in range(end):
            if edges[index, a].visits and edges[index, a].child != STRUCK:
                low = min(low, edges[index, a].value)
                high = max(high, edges[index, a].value)
    elif low > high:
        low = high = nodes[index].value
    return low, inverse_spread(low, high)


@njit(cache=True, nogil=True)
def inverse_spread(low: float, high: float) -> float:
    """1 / (high - low); 0 where that is rounding."""
    return 1.0 / (high - low) if high - low > TINY * max(abs(low), abs(high)) else 0.0


@njit(cache=True, nogil=True)
def improve(rule: Any, summary: Any, nodes: Any, edges: Any, index: int, out: np.ndarray) -> int:
    """Logits of the improved policy [A]: prior logits plus sigma of the completed Q-values.

    An action without a visit has the mixed value (Danihelka et al. 2022, equations 8, 10 and 33);
    one that is struck out has -inf.

    Returns:
      Visits of all actions, those in flight included.
    """
    width = len(out)
    mass = mean = 0.0
    total = most = taken = 0
    low, high = np.inf, -np.inf
    for a in range(width):
        edge = edges[index, a]
        taken += edge.visits + edge.inflight
        if edge.visits and edge.child != STRUCK:
            p = max(edge.prior, 1e-300)
            mass += p
            mean += p * edge.value
            total += edge.visits
            most = max(most, edge.visits)
            low, high = min(low, edge.value), max(high, edge.value)
    mixed = nodes[index].raw
    if total:
        mixed = (mixed + total * mean / mass) / (total + 1)
    if rule.by_tree:
        low, high = summary.low, summary.high
    else:
        for a in range(width):
            if edges[index, a].visits == 0 and edges[index, a].child != STRUCK:
                low, high = min(low, mixed), max(high, mixed)
                break
    scale = (rule.second + most) * rule.first * inverse_spread(low, high)
    if scale == 0.0:
        low = mixed
    for a in range(width):
        edge = edges[index, a]
        if edge.child == STRUCK:
            out[a] = -np.inf
        else:
            out[a] = edge.logit + scale * ((edge.value if edge.visits else mixed) - low)
    return taken


@njit(cache=True, nogil=True)
def gumbel_at_root(
    rule: Any, summary: Any, nodes: Any, edges: Any, visits: int, scratch: np.ndarray
) -> int:
    """The best action, by Gumbel noise and improved logits, of those with that many visits.

    Where all of these are struck out, the best of the others.
    """
    improve(rule, summary, nodes, edges, 0, scratch)
    best, top, fits = ABSENT, -np.inf, False
    for a in range(len(scratch)):
        edge = edges[0, a]
        if edge.child == STRUCK:
            continue
        score = edge.noise + scratch[a]
        fit = edge.visits + edge.inflight - edge.before == visits
        if best < 0 or (fit and not fits) or (fit == fits and score > top):
            best, top, fits = a, score, fit
    return best


@njit(cache=True, nogil=True)
def gumbel_below(
    rule: Any, summary: Any, nodes: Any, edges: Any, index: int, scratch: np.ndarray
) -> int:
    """The action whose share of visits lags most behind the improved policy (section 5)."""
    total = improve(rule, summary, nodes, edges, index, scratch)
    softmax(scratch)
    best, top = ABSENT, -np.inf
    for a in range(len(scratch)):
        edge = edges[index, a]
        score = scratch[a] - (edge.visits + edge.inflight) / (1 + total)
        if edge.child != STRUCK and (best < 0 or score > top):
            best, top = a, score
    return best


@njit(cache=True, nogil=True)
def softmax(x: np.ndarray) -> None:
    """In place; uniform where nothing is finite."""
    most, total = -np.inf, 0.0
    for a in range(len(x)):
        most = max(most, x[a])
    for a in range(len(x)):
        x[a] = np.exp(x[a] - most) if most > -np.inf else 1.0
        total += x[a]
    for a in range(len(x)):
        x[a] /= total


@njit(cache=True, nogil=True)
def gumbel_decision(
    rules: np.ndarray, summaries: np.ndarray, nodes: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of each root: Gumbel's action [B], -1 for none, and the improved policy [B, A].

    The action is the best of those that sequential halving has visited most (section 3).
    """
    batch, _, width = edges.shape
    actions, policy = np.empty(batch, np.int64), np.empty((batch, width))
    for b in range(batch):
        visits = 0
        for a in range(width):
            visits = max(visits, edges[b, 0, a].visits - edges[b, 0, a].before)
        root = summaries[b], nodes[b], edges[b]
        actions[b] = gumbel_at_root(rules[0], *root, visits, policy[b])
        softmax(policy[b])
    return actions, policy


def most_visited(tree: Tree) -> np.ndarray:
    """The root's action [B] with the most visits; of several, the best; then the lowest index."""
    edges = tree.edges[:, 0]
    visits = np.where(edges["child"] == STRUCK, -1, edges["visits"])
    most = visits == visits.max(axis=1, keepdims=True)
    return np.where(most, edges["value"], -np.inf).argmax(axis=1)


def visit_policy(tree: Tree) -> np.ndarray:
    """The root's visits as probabilities [B, A], of actions that aren't struck out.

    Uniform where these have none: over these; over all where every action is struck out.
    """
    edges = tree.edges[:, 0]
    left = edges["child"] != STRUCK
    weights = np.where(left, edges["visits"], 0)
    for uniform in (left, True):
        weights = np.where(weights.any(axis=1, keepdims=True), weights, uniform)
    return weights / weights.sum(axis=1, keepdims=True)
