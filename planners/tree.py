"""Search trees as arrays: a node is an index, a batch of trees grows side by side.

Shapes: B trees (one per environment), N nodes that a tree has room for, A actions of a node, S size
of a state. Node 0 is the root; a child has a higher index than its parent. -1 is absent.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

ABSENT = -1  # no node, or not yet
STRUCK = -2  # in place of a child: the model diverges there, and the action is out


class Tree(NamedTuple):
    """B trees.

    A visit is a simulation that came through and was backed up; one that is in flight was selected
    and still waits for its value (Liu et al. 2020, "Watch the Unobserved", section 3).

    Attributes:
      size: Nodes in use [B].
      low, high: The least and the greatest edge value so far [B]; inf and -inf before the first.
      parent, action: Of each node [B, N]: where it hangs, and by which action.
      sibling: [B, N] the next outcome of the same action, where a model is stochastic.
      multiplicity: [B, N] how often this outcome was drawn.
      visits, inflight: Simulations through each node [B, N], its own evaluation included.
      value: [B, N] mean of their returns.
      raw: [B, N] the node's own evaluation.
      reward, continuation: [B, N] of the step that leads to the node. A continuation of 0: the
        episode ends there.
      child: [B, N, A] first outcome of each action.
      edge_visits, edge_inflight: Simulations through each edge [B, N, A].
      edge_value: [B, N, A] mean of their returns, the edge's reward included: Q.
      logits: [B, N, A] logarithms of the prior probabilities.
      states: Rows of the model's states [B, N, S], of its dtype.
      actions: What the edges mean where actions are continuous, [B, N, A, D]; else [B, 0, A, 0].
    """

    size: np.ndarray
    low: np.ndarray
    high: np.ndarray
    parent: np.ndarray
    action: np.ndarray
    sibling: np.ndarray
    multiplicity: np.ndarray
    visits: np.ndarray
    inflight: np.ndarray
    value: np.ndarray
    raw: np.ndarray
    reward: np.ndarray
    continuation: np.ndarray
    child: np.ndarray
    edge_visits: np.ndarray
    edge_inflight: np.ndarray
    edge_value: np.ndarray
    logits: np.ndarray
    states: np.ndarray
    actions: np.ndarray


def allocate(batch: int, nodes: int, width: int, state: np.ndarray, size: int | None) -> Tree:
    """Empty trees with room for so many nodes of `width` actions.

    Arguments:
      state: Anything with the dtype and the trailing size of the states.
      size: Of an action; None where actions are discrete.
    """

    def integers(*shape: int) -> np.ndarray:
        return np.empty((batch, *shape), np.int32)

    def floats(*shape: int) -> np.ndarray:
        return np.empty((batch, *shape))

    return Tree(
        size=np.zeros(batch, np.int32),
        low=np.full(batch, np.inf),
        high=np.full(batch, -np.inf),
        parent=integers(nodes),
        action=integers(nodes),
        sibling=integers(nodes),
        multiplicity=integers(nodes),
        visits=integers(nodes),
        inflight=integers(nodes),
        value=floats(nodes),
        raw=floats(nodes),
        reward=floats(nodes),
        continuation=floats(nodes),
        child=integers(nodes, width),
        edge_visits=integers(nodes, width),
        edge_inflight=integers(nodes, width),
        edge_value=floats(nodes, width),
        logits=floats(nodes, width),
        states=np.empty((batch, nodes, state.shape[-1]), state.dtype),
        actions=floats(0, width, 0) if size is None else floats(nodes, width, size),
    )


@njit(cache=True, nogil=True)
def plant(
    tree: Tree, trees: np.ndarray, states: np.ndarray, values: np.ndarray, logits: np.ndarray
) -> None:
    """Begin the given trees [M] anew with a root alone, of states [M, S] and values [M].

    Logits [M, A] of its actions; [0, A] for equal ones.
    """
    for m in range(len(trees)):
        b = trees[m]
        tree.size[b] = 1
        tree.low[b], tree.high[b] = np.inf, -np.inf
        tree.states[b, 0] = states[m]
        make_node(tree, b, 0, ABSENT, ABSENT, 0.0, 1.0, values[m], logits, m)


@njit(cache=True, nogil=True)
def make_node(
    tree: Any,
    b: int,
    node: int,
    parent: int,
    action: int,
    reward: float,
    continuation: float,
    value: float,
    logits: np.ndarray,
    row: int,
) -> None:
    """Fill in a node that has been evaluated and has no children yet; its state is set apart."""
    tree.parent[b, node], tree.action[b, node] = parent, action
    tree.sibling[b, node], tree.multiplicity[b, node] = ABSENT, 1
    tree.visits[b, node], tree.inflight[b, node] = 1, 0
    tree.value[b, node] = tree.raw[b, node] = value
    tree.reward[b, node], tree.continuation[b, node] = reward, continuation
    width = tree.child.shape[2]
    for a in range(width):
        tree.child[b, node, a] = ABSENT
        tree.edge_visits[b, node, a] = tree.edge_inflight[b, node, a] = 0
        tree.edge_value[b, node, a] = 0.0
    if len(logits) == 0:
        tree.logits[b, node] = -np.log(width)
        return
    most, total = logits[row].max(), 0.0
    for a in range(width):
        total += np.exp(logits[row, a] - most)
    tree.logits[b, node] = logits[row] - (most + np.log(total))


@njit(cache=True, nogil=True)
def take_off(tree: Any, b: int, node: int, action: int) -> None:
    """Count a simulation that ends in this action of this node as in flight, up to the root."""
    tree.edge_inflight[b, node, action] += 1
    tree.inflight[b, node] += 1
    while node != 0:
        action, node = tree.action[b, node], tree.parent[b, node]
        tree.edge_inflight[b, node, action] += 1
        tree.inflight[b, node] += 1


@njit(cache=True, nogil=True)
def land(tree: Any, b: int, node: int, action: int) -> None:
    """Undo `take_off`."""
    tree.edge_inflight[b, node, action] -= 1
    tree.inflight[b, node] -= 1
    while node != 0:
        action, node = tree.action[b, node], tree.parent[b, node]
        tree.edge_inflight[b, node, action] -= 1
        tree.inflight[b, node] -= 1


@njit(cache=True, nogil=True)
def back_up(tree: Any, b: int, node: int, value: float, discount: float) -> None:
    """Average the return of a simulation that ended in `node` into all that lies above it.

    The return of an edge is r + discount * continuation * (return of the node below it).
    """
    while node != 0:
        action, parent = tree.action[b, node], tree.parent[b, node]
        value = tree.reward[b, node] + discount * tree.continuation[b, node] * value
        n = tree.edge_visits[b, parent, action] + 1
        q = tree.edge_value[b, parent, action]
        q += (value - q) / n
        tree.edge_visits[b, parent, action] = n
        tree.edge_value[b, parent, action] = q
        tree.low[b], tree.high[b] = min(tree.low[b], q), max(tree.high[b], q)
        tree.visits[b, parent] += 1
        tree.value[b, parent] += (value - tree.value[b, parent]) / tree.visits[b, parent]
        node = parent


@njit(cache=True, nogil=True)
def expand(
    tree: Any,
    b: int,
    parent: int,
    action: int,
    node: int,
    reward: float,
    continuation: float,
    value: float,
    logits: np.ndarray,
    row: int,
) -> bool:
    """Hang `node` below `parent`; False, and the action struck out, where it isn't finite."""
    if continuation == 0.0:
        value = 0.0
    if not (np.isfinite(reward) and np.isfinite(continuation) and np.isfinite(value)):
        tree.parent[b, node] = ABSENT
        strike(tree, b, parent, action)
        return False
    make_node(tree, b, node, parent, action, reward, continuation, value, logits, row)
    last = tree.child[b, parent, action]
    if last < 0:
        tree.child[b, parent, action] = node
        return True
    while tree.sibling[b, last] != ABSENT:
        last = tree.sibling[b, last]
    tree.sibling[b, last] = node
    return True


@njit(cache=True, nogil=True)
def strike(tree: Any, b: int, node: int, action: int) -> None:
    """Strike an action out; with the last action of a node, the action that leads to the node."""
    tree.child[b, node, action] = STRUCK
    while node != 0 and (tree.child[b, node] == STRUCK).all():
        action, node = tree.action[b, node], tree.parent[b, node]
        tree.child[b, node, action] = STRUCK


@njit(cache=True, nogil=True)
def matching_child(tree: Tree, trees: np.ndarray, edges: np.ndarray, states: np.ndarray) -> Any:
    """The child of the root, by the given edge, whose state is this one; -1 where there is none.

    Of trees [M], edges [M] and states [M, S].
    """
    found = np.full(len(trees), ABSENT)
    for m in range(len(trees)):
        b = trees[m]
        node = tree.child[b, 0, edges[m]] if tree.size[b] else ABSENT
        while node >= 0:
            if tree.continuation[b, node] != 0 and (tree.states[b, node] == states[m]).all():
                found[m] = node
                break
            node = tree.sibling[b, node]
    return found


@njit(cache=True, nogil=True)
def reroot(old: Tree, new: Tree, roots: np.ndarray, room: int) -> None:
    """Copy the subtree below each of the nodes [B] into `new`, where it begins at index 0.

    A tree with root -1 is empty. At most `room` nodes are copied, the oldest ones: where a child is
    left behind, its edge keeps its visits and its value, and the child can be made anew.
    """
    for b in range(len(roots)):
        new.size[b] = 0
        new.low[b], new.high[b] = np.inf, -np.inf
        if roots[b] < 0:
            continue
        renamed = np.full(old.size[b], ABSENT)
        count = 0
        for i in range(roots[b], old.size[b]):
            inside = i == roots[b]
            if not inside and old.parent[b, i] >= 0:
                inside = renamed[old.parent[b, i]] >= 0
            if inside and count < room:
                renamed[i] = count
                copy_node(old, new, b, i, count)
                count += 1
        new.size[b] = count
        for j in range(count):
            parent, sibling = new.parent[b, j], new.sibling[b, j]
            new.parent[b, j] = renamed[parent] if j else ABSENT
            new.sibling[b, j] = renamed[sibling] if j and sibling >= 0 else ABSENT
            for a in range(new.child.shape[2]):
                if new.child[b, j, a] >= 0:
                    new.child[b, j, a] = renamed[new.child[b, j, a]]
                if new.edge_visits[b, j, a]:
                    new.low[b] = min(new.low[b], new.edge_value[b, j, a])
                    new.high[b] = max(new.high[b], new.edge_value[b, j, a])
        new.action[b, 0] = ABSENT


@njit(cache=True, nogil=True)
def copy_node(old: Any, new: Any, b: int, i: int, j: int) -> None:
    """Node i of `old` becomes node j of `new`; indices of other nodes are still the old ones."""
    new.parent[b, j], new.action[b, j] = old.parent[b, i], old.action[b, i]
    new.sibling[b, j], new.multiplicity[b, j] = old.sibling[b, i], old.multiplicity[b, i]
    new.visits[b, j], new.inflight[b, j] = old.visits[b, i], old.inflight[b, i]
    new.value[b, j], new.raw[b, j] = old.value[b, i], old.raw[b, i]
    new.reward[b, j], new.continuation[b, j] = old.reward[b, i], old.continuation[b, i]
    new.child[b, j] = old.child[b, i]
    new.edge_visits[b, j] = old.edge_visits[b, i]
    new.edge_inflight[b, j] = old.edge_inflight[b, i]
    new.edge_value[b, j] = old.edge_value[b, i]
    new.logits[b, j] = old.logits[b, i]
    new.states[b, j] = old.states[b, i]
    if new.actions.shape[1]:
        new.actions[b, j] = old.actions[b, i]
