"""Search trees as arrays: a node is an index, a batch of trees grows side by side.

Shapes: B trees (one per environment), N nodes that a tree has room for, A actions of a node, S size
of a state. Node 0 is the root; a child has a higher index than its parent. -1 is absent.

What a kernel reads of one node or edge lies together, in records: a kernel takes three arrays
instead of twenty, which made a round twice as fast. `tree.edges["visits"]` is an array [B, N, A].
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

ABSENT = -1  # no node, or not yet
STRUCK = -2  # in place of a child: the action is out; the model diverges there, for one

# Visits are simulations that came through and were backed up. One that is in flight was selected
# and still waits for its value (Liu et al. 2020, "Watch the Unobserved", section 3).
SUMMARY = np.dtype(
    [
        ("size", np.int64),  # nodes in use
        ("left", np.int64),  # simulations that the decision has left
        ("deepest", np.int64),  # edges from the root to the deepest leaf of the decision
        ("low", np.float64),  # extremes of the edges' values so far; inf and -inf before the first
        ("high", np.float64),
    ]
)
NODE = np.dtype(
    [
        ("parent", np.int32),  # where it hangs, and by which action
        ("action", np.int32),
        ("sibling", np.int32),  # the next outcome of that action, where a model is stochastic
        ("draws", np.int32),  # how often this outcome was drawn
        ("visits", np.int32),  # its own evaluation included
        ("inflight", np.int32),
        ("value", np.float64),  # mean of the returns
        ("raw", np.float64),  # its own evaluation
        ("reward", np.float64),  # of the step that leads here
        ("continuation", np.float64),  # 0: the episode ends here
    ]
)
EDGE = np.dtype(
    [
        ("child", np.int32),  # the first outcome
        ("visits", np.int32),
        ("inflight", np.int32),
        ("before", np.int32),  # at the root: visits when the decision began
        ("value", np.float64),  # mean of the returns, this edge's reward included: Q
        ("logit", np.float64),  # logarithm of the prior probability
        ("prior", np.float64),  # the prior probability
        ("noise", np.float64),  # at the root: Gumbel noise
    ]
)


class Tree(NamedTuple):
    """B trees.

    Attributes:
      summaries: [B] of `SUMMARY`.
      nodes: [B, N] of `NODE`.
      edges: [B, N, A] of `EDGE`.
      states: Rows of the model's states [B, N, S], of its dtype.
      actions: What the edges mean where actions are continuous, [B, N, A, D]; else [B, 0, A, 0].
    """

    summaries: np.ndarray
    nodes: np.ndarray
    edges: np.ndarray
    states: np.ndarray
    actions: np.ndarray


def allocate(batch: int, nodes: int, width: int, state: np.ndarray, size: int | None) -> Tree:
    """Empty trees with room for so many nodes of `width` actions.

    Arguments:
      state: Anything with the dtype and the trailing size of the states.
      size: Of an action; None where actions are discrete.
    """
    return Tree(
        np.zeros(batch, SUMMARY),
        np.empty((batch, nodes), NODE),
        np.empty((batch, nodes, width), EDGE),
        np.empty((batch, nodes, state.shape[-1]), state.dtype),
        np.empty((batch, 0, width, 0) if size is None else (batch, nodes, width, size)),
    )


def plant(
    tree: Tree, which: np.ndarray, states: np.ndarray, values: np.ndarray, logits: np.ndarray
) -> None:
    """Begin the given trees [M] anew with a root alone, of states [M, S] and values [M].

    Logits [M, A] of its actions; [0, A] for equal ones. A value that isn't finite counts as 0.
    """
    tree.states[which, 0] = states
    _plant(tree.summaries, tree.nodes, tree.edges, which, values, logits)


@njit(cache=True, nogil=True)
def _plant(
    summaries: Any,
    nodes: np.ndarray,
    edges: np.ndarray,
    which: np.ndarray,
    values: np.ndarray,
    logits: np.ndarray,
) -> None:
    for m in range(len(which)):
        b = which[m]
        summaries[b].size = 1
        summaries[b].low, summaries[b].high = np.inf, -np.inf
        value = values[m] if np.isfinite(values[m]) else 0.0
        make_node(nodes[b], edges[b], 0, ABSENT, ABSENT, 0.0, 1.0, value, logits, m)


@njit(cache=True, nogil=True)
def make_node(
    nodes: Any,
    edges: Any,
    index: int,
    parent: int,
    action: int,
    reward: float,
    continuation: float,
    value: float,
    logits: np.ndarray,
    row: int,
) -> None:
    """Fill in a node that has been evaluated and has no children yet; its state is set apart.

    An action with a logit of -inf is out.
    """
    node, width = nodes[index], edges.shape[1]
    node.parent, node.action = parent, action
    node.sibling, node.draws = ABSENT, 1
    node.visits, node.inflight = 1, 0
    node.value = node.raw = value
    node.reward, node.continuation = reward, continuation
    most, total = 0.0, float(width)
    if len(logits):
        most, total = logits[row, 0], 0.0
        for a in range(1, width):
            most = max(most, logits[row, a])
        for a in range(width):
            total += np.exp(logits[row, a] - most)
    shift = most + np.log(total)
    for a in range(width):
        edge = edges[index, a]
        edge.visits = edge.inflight = edge.before = 0
        edge.value = edge.noise = 0.0
        edge.logit = (logits[row, a] if len(logits) else 0.0) - shift
        edge.child = STRUCK if edge.logit == -np.inf else ABSENT
        edge.prior = np.exp(edge.logit)


@njit(cache=True, nogil=True)
def take_off(nodes: Any, edges: Any, index: int, action: int, change: int) -> None:
    """Count a simulation that ends in this action as in flight up to the root; -1 takes it back."""
    while index >= 0:
        edges[index, action].inflight += change
        nodes[index].inflight += change
        action, index = nodes[index].action, nodes[index].parent


@njit(cache=True, nogil=True)
def back_up(
    summary: Any, nodes: Any, edges: Any, index: int, value: float, discount: float
) -> None:
    """Average the return of a simulation that ended in a node into all that lies above it.

    The return of an edge is r + discount * continuation * (return of the node below it).
    """
    while index > 0:
        node = nodes[index]
        edge, parent = edges[node.parent, node.action], nodes[node.parent]
        value = node.reward + discount * node.continuation * value
        edge.visits += 1
        edge.value += (value - edge.value) / edge.visits
        summary.low = min(summary.low, edge.value)
        summary.high = max(summary.high, edge.value)
        parent.visits += 1
        parent.value += (value - parent.value) / parent.visits
        index = node.parent


@njit(cache=True, nogil=True)
def expand(
    nodes: Any,
    edges: Any,
    index: int,
    parent: int,
    action: int,
    reward: float,
    continuation: float,
    value: float,
    logits: np.ndarray,
    row: int,
) -> bool:
    """Hang a new node below `parent`; False, and the action struck out, where it isn't finite."""
    if continuation == 0.0:
        value = 0.0
    if not (np.isfinite(reward) and np.isfinite(continuation) and np.isfinite(value)):
        nodes[index].parent = ABSENT
        strike(nodes, edges, parent, action)
        return False
    make_node(nodes, edges, index, parent, action, reward, continuation, value, logits, row)
    last = edges[parent, action].child
    if last < 0:
        edges[parent, action].child = index
        return True
    while nodes[last].sibling != ABSENT:
        last = nodes[last].sibling
    nodes[last].sibling = index
    return True


@njit(cache=True, nogil=True)
def strike(nodes: Any, edges: Any, index: int, action: int) -> None:
    """Strike an action out; with the last action of a node, the action that leads to the node."""
    edges[index, action].child = STRUCK
    while index > 0:
        for a in range(edges.shape[1]):
            if edges[index, a].child != STRUCK:
                return
        action, index = nodes[index].action, nodes[index].parent
        edges[index, action].child = STRUCK


def matching_child(tree: Tree, actions: np.ndarray, states: np.ndarray) -> np.ndarray:
    """The root's child [B], by the given actions [B], in these states [B, S]; -1: there is none.

    A state where an episode ends, which no search has looked at, is no child even where the next
    episode begins in it.
    """
    found = np.full(len(actions), ABSENT)
    for b in np.flatnonzero(tree.summaries["size"]):
        index = int(tree.edges["child"][b, 0, actions[b]])
        while index >= 0 and found[b] < 0:
            goes_on = tree.nodes["continuation"][b, index] != 0
            if goes_on and np.array_equal(tree.states[b, index], states[b]):
                found[b] = index
            index = int(tree.nodes["sibling"][b, index])
    return found


@njit(cache=True, nogil=True)
def subtree(nodes: np.ndarray, sizes: np.ndarray, roots: np.ndarray, room: int) -> np.ndarray:
    """New indices of the nodes below each of the roots [B]; -1 for what is left behind.

    The oldest are kept, at most `room` of them: a node comes after its parent. [B, max(sizes)]: a
    tree may have room for far more nodes than it has.
    """
    renamed = np.full((len(roots), sizes.max()), ABSENT)
    for b in range(len(roots)):
        count = 0
        for i in range(roots[b], sizes[b] if roots[b] >= 0 else ABSENT):
            parent = nodes[b, i].parent
            inside = i == roots[b] or (parent >= 0 and renamed[b, parent] >= 0)
            if inside and count < room:
                renamed[b, i] = count
                count += 1
    return renamed


@njit(cache=True, nogil=True)
def _move(
    old: np.ndarray,
    old_edges: np.ndarray,
    summaries: Any,
    nodes: np.ndarray,
    edges: np.ndarray,
    renamed: np.ndarray,
) -> None:
    """Copy what is renamed, with what it refers to renamed."""
    for b in range(len(summaries)):
        summary = summaries[b]
        summary.size, summary.low, summary.high = 0, np.inf, -np.inf
        for i in range(renamed.shape[1]):
            j = renamed[b, i]
            if j < 0:
                continue
            summary.size += 1
            nodes[b, j] = old[b, i]
            node = nodes[b, j]
            node.parent = renamed[b, node.parent] if j else ABSENT
            node.sibling = renamed[b, node.sibling] if j and node.sibling >= 0 else ABSENT
            if j == 0:
                node.action = ABSENT
            for a in range(edges.shape[2]):
                edges[b, j, a] = old_edges[b, i, a]
                edge = edges[b, j, a]
                if edge.child >= 0:
                    edge.child = renamed[b, edge.child]
                if edge.visits and edge.child != STRUCK:
                    summary.low = min(summary.low, edge.value)
                    summary.high = max(summary.high, edge.value)


def reroot(old: Tree, new: Tree, roots: np.ndarray, room: int) -> None:
    """Copy the subtree below each of the nodes [B] into `new`, where it begins at index 0.

    A tree with root -1 is empty. At most `room` nodes are copied, the oldest ones: where a child is
    left behind, its edge keeps its visits and its value, and the child can be made anew.
    """
    renamed = subtree(old.nodes, old.summaries["size"], roots, room)
    _move(old.nodes, old.edges, new.summaries, new.nodes, new.edges, renamed)
    trees, indices = np.nonzero(renamed >= 0)
    new.states[trees, renamed[trees, indices]] = old.states[trees, indices]
    if new.actions.shape[1]:
        new.actions[trees, renamed[trees, indices]] = old.actions[trees, indices]
