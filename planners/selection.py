"""How a tree search chooses: UCT, PUCT and Gumbel, and the walk from the root to new leaves."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from planners.tree import ABSENT, STRUCK, Tree, back_up, expand, land, take_off

UCB, PROBABLE, HALVING = 0, 1, 2  # kinds of rules
TINY = 1e-9  # a spread of values below this fraction of them is rounding


@dataclass(frozen=True)
class UCT:
    """UCB1 at every node (Kocsis and Szepesvari 2006, section 2.2), on values in [0, 1].

    Attributes:
      exploration: C in Q + C sqrt(ln N / n).
    """

    exploration: float = 1.0

    def rule(self, normalise: str | None) -> tuple[int, float, float, bool]:
        """The first four fields of `Rule`."""
        return UCB, float(self.exploration), 0.0, normalise != "node"


@dataclass(frozen=True)
class PUCT:
    """The prior's probabilities guide (Silver et al. 2018; Schrittwieser et al. 2020, appendix B).

    Attributes:
      pb_c_init, pb_c_base: c1 and c2 of MuZero's equation 2.
      dirichlet_fraction: Weight of noise in the root's prior: 0 in evaluation, 0.25 in training.
      dirichlet_alpha: Its concentration.
    """

    pb_c_init: float = 1.25
    pb_c_base: float = 19652.0
    dirichlet_fraction: float = 0.0
    dirichlet_alpha: float = 0.3

    def rule(self, normalise: str | None) -> tuple[int, float, float, bool]:
        """The first four fields of `Rule`."""
        return PROBABLE, float(self.pb_c_init), float(self.pb_c_base), normalise != "node"


@dataclass(frozen=True)
class Gumbel:
    """Policy improvement by planning with Gumbel (Danihelka et al. 2022).

    Attributes:
      considered: Actions that sequential halving begins with at the root.
      gumbel_scale: Of the noise that draws them; 0 takes the most probable ones.
      value_scale, maxvisit_init: c_scale and c_visit of equation 8.
    """

    considered: int = 16
    gumbel_scale: float = 1.0
    value_scale: float = 0.1
    maxvisit_init: float = 50.0

    def rule(self, normalise: str | None) -> tuple[int, float, float, bool]:
        """The first four fields of `Rule`."""
        return HALVING, float(self.value_scale), float(self.maxvisit_init), normalise == "tree"


RULES = {"uct": UCT, "puct": PUCT, "gumbel": Gumbel}


class Rule(NamedTuple):
    """What the kernels need to know of a search.

    Attributes:
      kind: UCB, PROBABLE or HALVING.
      first, second: exploration; or pb_c_init and pb_c_base; or value_scale and maxvisit_init.
      by_tree: Whether values are normalised by the extremes of the tree (MuZero), else by those of
        a node and its children.
      widening, exponent: A node visited N times has widening * N^exponent actions open
        (Couetoux et al. 2011, section 3).
      discount: Of an edge.
      leaves: Selected per tree in a round.
      outcomes: Next states kept per action.
    """

    kind: int
    first: float
    second: float
    by_tree: bool
    widening: float
    exponent: float
    discount: float
    leaves: int
    outcomes: int


class Root(NamedTuple):
    """What is particular to the root in one decision.

    Attributes:
      logits: [B, A], with noise.
      gumbel: [B, A].
      before: [B, A] visits of its edges when the decision began.
      schedule: [T] sequential halving: the visits of the action that simulation t takes.
      left: [B] simulations still to be made.
      deepest: [B] edges from the root to the deepest leaf so far.
    """

    logits: np.ndarray
    gumbel: np.ndarray
    before: np.ndarray
    schedule: np.ndarray
    left: np.ndarray
    deepest: np.ndarray


class Leaves(NamedTuple):
    """What a round has selected, up to B * leaves of them, tree by tree.

    Attributes:
      tree, node, action: The edge to be followed.
      slot: Which of its tree's leaves it is.
      new: The node that it will become.
    """

    tree: np.ndarray
    node: np.ndarray
    action: np.ndarray
    slot: np.ndarray
    new: np.ndarray


def make_leaves(size: int) -> Leaves:
    """Room for so many leaves."""
    return Leaves(*(np.zeros(size, np.int64) for _ in Leaves._fields))


def halving_schedule(considered: int, simulations: int) -> np.ndarray:
    """Visits [simulations] that the root's action must have had to be taken at each simulation.

    Sequential halving (Karnin et al. 2013): every action that is still considered gets an equal
    share of a phase, then the better half stays (Danihelka et al. 2022, algorithm 2).
    """
    if considered <= 1:
        return np.arange(simulations, dtype=np.int32)
    phases, alive, visits, schedule = math.ceil(math.log2(considered)), considered, 0, []
    while len(schedule) < simulations:
        for _ in range(max(1, simulations // (phases * alive))):
            schedule += [visits] * alive
            visits += 1
        alive = max(2, alive // 2)
    return np.array(schedule[:simulations], np.int32)


@njit(cache=True, nogil=True)
def advance(
    tree: Any,
    rule: Rule,
    root: Root,
    leaves: Leaves,
    count: int,
    rewards: np.ndarray,
    continuation: np.ndarray,
    values: np.ndarray,
    logits: np.ndarray,
    same: np.ndarray,
) -> int:
    """End a round and begin the next one: back up the leaves of the last one, select new ones.

    Arguments:
      count: Leaves that were selected.
      rewards, continuation, values: What the model and the prior say of them, [count].
      logits: [count, A]; [0, A] for equal ones.
      same: [count] the sibling with the same state; -1 for none. [0]: none has one.

    Returns:
      How many leaves have been selected; 0 if the decision is over.
    """
    for m in range(count):
        b, node, action, new = leaves.tree[m], leaves.node[m], leaves.action[m], leaves.new[m]
        land(tree, b, node, action)
        if tree.child[b, node, action] == STRUCK:
            tree.parent[b, new] = ABSENT
        elif len(same) and same[m] >= 0:
            tree.parent[b, new] = ABSENT
            tree.multiplicity[b, same[m]] += 1
            back_up(tree, b, same[m], tree.value[b, same[m]], rule.discount)
        elif expand(
            tree, b, node, action, new, rewards[m], continuation[m], values[m], logits, m
        ):
            back_up(tree, b, new, tree.raw[b, new], rule.discount)
    count = 0
    scratch = np.empty(tree.child.shape[2])
    for b in range(len(tree.size)):
        slot = 0
        while slot < rule.leaves and root.left[b] > 0:
            node, action, depth = walk(tree, rule, root, b, scratch)
            if node < 0:  # nothing to do but wait for a leaf; or all is struck out
                if slot == 0:
                    root.left[b] = 0
                break
            root.left[b] -= 1
            root.deepest[b] = max(root.deepest[b], depth)
            if action < 0:  # the end of an episode: nothing follows
                back_up(tree, b, node, 0.0, rule.discount)
                continue
            take_off(tree, b, node, action)
            leaves.tree[count], leaves.node[count], leaves.action[count] = b, node, action
            leaves.slot[count], leaves.new[count] = slot, tree.size[b]
            tree.size[b] += 1
            slot += 1
            count += 1
    return count


@njit(cache=True, nogil=True)
def walk(tree: Any, rule: Any, root: Any, b: int, scratch: np.ndarray) -> tuple[int, int, int]:
    """From the root to an action to be tried: its node, the action, and edges from the root.

    Or a terminal node and action -1; or node -1, where the way ends in an edge in flight.
    """
    node, depth = 0, 0
    while True:
        depth += 1
        action = choose(tree, rule, root, b, node, scratch)
        if action < 0:
            return ABSENT, ABSENT, depth
        child = tree.child[b, node, action]
        pending = tree.edge_inflight[b, node, action] > 0
        if child == ABSENT:
            return (ABSENT if pending else node), action, depth
        if rule.outcomes > 1:
            child, drawn = next_outcome(tree, b, child)
            if not pending and drawn < rule.outcomes:
                if drawn * drawn <= tree.edge_visits[b, node, action]:
                    return node, action, depth
        if tree.continuation[b, child] == 0.0:
            return child, ABSENT, depth
        node = child


@njit(cache=True, nogil=True)
def next_outcome(tree: Any, b: int, node: int) -> tuple[int, int]:
    """The outcome to follow, beginning with the first one, and how many were drawn so far.

    That with the fewest visits for how often it was drawn, so that visits follow the draws.
    """
    best, drawn, least = node, 0, np.inf
    while node != ABSENT:
        share = (tree.visits[b, node] + tree.inflight[b, node]) / tree.multiplicity[b, node]
        if share < least:
            best, least = node, share
        drawn += tree.multiplicity[b, node]
        node = tree.sibling[b, node]
    return best, drawn


@njit(cache=True, nogil=True)
def choose(tree: Any, rule: Any, root: Any, b: int, node: int, scratch: np.ndarray) -> int:
    """An action of a node; -1 if all are struck out. Ties go to the lower index."""
    if rule.kind == HALVING:
        if node == 0:
            t = 0
            for a in range(tree.child.shape[2]):
                t += tree.edge_visits[b, 0, a] + tree.edge_inflight[b, 0, a] - root.before[b, a]
            return gumbel_at_root(tree, rule, root, b, root.schedule[t], scratch)
        return gumbel_below(tree, rule, b, node, scratch)
    end = open_actions(tree, rule, b, node)
    low, high = extremes(tree, rule, b, node, end)
    total = tree.visits[b, node] + tree.inflight[b, node]
    logits = root.logits[b] if node == 0 else tree.logits[b, node]
    if rule.kind == PROBABLE:
        mass = 0.0
        for a in range(end):
            if tree.child[b, node, a] != STRUCK:
                scratch[a] = np.exp(logits[a])
                mass += scratch[a]
        scale = rule.first + np.log((total + rule.second + 1.0) / rule.second)
        scale *= np.sqrt(total) / mass if mass > 0 else 0.0
    else:
        scale = np.log(total)
    best, top = ABSENT, -np.inf
    for a in range(end):
        if tree.child[b, node, a] == STRUCK:
            continue
        n = tree.edge_visits[b, node, a]
        taken = n + tree.edge_inflight[b, node, a]
        if rule.kind == PROBABLE:
            score = scale * scratch[a] / (1 + taken)
            if n:
                score += normalised(tree.edge_value[b, node, a], low, high)
        elif taken == 0:
            score = np.inf
        else:
            # Of one that is in flight for the first time, all that is known is its node's value.
            q = tree.edge_value[b, node, a] if n else tree.value[b, node]
            score = normalised(q, low, high) + rule.first * np.sqrt(scale / taken)
        if score > top or best < 0:
            best, top = a, score
    return best


@njit(cache=True, nogil=True)
def open_actions(tree: Any, rule: Any, b: int, node: int) -> int:
    """The actions below this index are open; those that are struck out make room for others."""
    width = tree.child.shape[2]
    if rule.widening >= width:
        return width
    visits = tree.visits[b, node] + tree.inflight[b, node]
    number, end = rule.widening * visits**rule.exponent, 0
    while end < width and number > 0:
        if tree.child[b, node, end] != STRUCK:
            number -= 1
        end += 1
    return end


@njit(cache=True, nogil=True)
def extremes(tree: Any, rule: Any, b: int, node: int, end: int) -> tuple[float, float]:
    """What values are normalised by: of the tree, or of the node and its children."""
    if rule.by_tree:
        return tree.low[b], tree.high[b]
    low = high = tree.value[b, node]
    for a in range(end):
        if tree.edge_visits[b, node, a]:
            low = min(low, tree.edge_value[b, node, a])
            high = max(high, tree.edge_value[b, node, a])
    return low, high


@njit(cache=True, nogil=True)
def normalised(value: float, low: float, high: float) -> float:
    """A value between the extremes as a number in [0, 1]; 0 where they do not differ."""
    if not high - low > TINY * max(abs(low), abs(high)):
        return 0.0
    return (value - low) / (high - low)


@njit(cache=True, nogil=True)
def complete_values(
    tree: Any, rule: Any, b: int, node: int, logits: np.ndarray, out: np.ndarray
) -> None:
    """Logits of the improved policy [A]: prior logits plus sigma of the completed Q-values.

    An action without a visit has the mixed value (Danihelka et al. 2022, equations 8, 10 and 33);
    one that is struck out has -inf.
    """
    width = len(out)
    mass = mean = 0.0
    total, most = 0, 0
    for a in range(width):
        n = tree.edge_visits[b, node, a]
        if n and tree.child[b, node, a] != STRUCK:
            p = max(np.exp(logits[a]), 1e-300)
            mass += p
            mean += p * tree.edge_value[b, node, a]
            total += n
            most = max(most, n)
    mixed = tree.raw[b, node]
    if total:
        mixed = (mixed + total * mean / mass) / (total + 1)
    low, high = np.inf, -np.inf
    for a in range(width):
        out[a] = tree.edge_value[b, node, a] if tree.edge_visits[b, node, a] else mixed
        if tree.child[b, node, a] != STRUCK:
            low, high = min(low, out[a]), max(high, out[a])
    if rule.by_tree and total:
        low, high = tree.low[b], tree.high[b]
    scale = (rule.second + most) * rule.first
    for a in range(width):
        if tree.child[b, node, a] == STRUCK:
            out[a] = -np.inf
        else:
            out[a] = logits[a] + scale * normalised(out[a], low, high)


@njit(cache=True, nogil=True)
def gumbel_at_root(
    tree: Any, rule: Any, root: Any, b: int, visits: int, scratch: np.ndarray
) -> int:
    """The best action, by Gumbel noise and improved logits, of those with that many visits.

    Where all of these are struck out, the best of the others.
    """
    complete_values(tree, rule, b, 0, root.logits[b], scratch)
    best, top, fits = ABSENT, -np.inf, False
    for a in range(len(scratch)):
        if tree.child[b, 0, a] == STRUCK:
            continue
        score = root.gumbel[b, a] + scratch[a]
        taken = tree.edge_visits[b, 0, a] + tree.edge_inflight[b, 0, a] - root.before[b, a]
        fit = taken == visits
        if best < 0 or (fit and not fits) or (fit == fits and score > top):
            best, top, fits = a, score, fit
    return best


@njit(cache=True, nogil=True)
def gumbel_below(tree: Any, rule: Any, b: int, node: int, scratch: np.ndarray) -> int:
    """The action whose share of visits lags most behind the improved policy (section 5)."""
    complete_values(tree, rule, b, node, tree.logits[b, node], scratch)
    softmax(scratch)
    total = 0
    for a in range(len(scratch)):
        total += tree.edge_visits[b, node, a] + tree.edge_inflight[b, node, a]
    best, top = ABSENT, -np.inf
    for a in range(len(scratch)):
        if tree.child[b, node, a] == STRUCK:
            continue
        taken = tree.edge_visits[b, node, a] + tree.edge_inflight[b, node, a]
        score = scratch[a] - taken / (1 + total)
        if best < 0 or score > top:
            best, top = a, score
    return best


@njit(cache=True, nogil=True)
def softmax(x: np.ndarray) -> None:
    """In place; uniform where nothing is finite."""
    most = x.max()
    if not np.isfinite(most):
        x[:] = 1.0 / len(x)
        return
    total = 0.0
    for a in range(len(x)):
        x[a] = np.exp(x[a] - most)
        total += x[a]
    x /= total


@njit(cache=True, nogil=True)
def gumbel_decision(tree: Any, rule: Any, root: Any) -> tuple[np.ndarray, np.ndarray]:
    """Of each root: Gumbel's action [B], -1 for none, and the improved policy [B, A].

    The action is the best of those that sequential halving has visited most (section 3).
    """
    batch, _, width = tree.child.shape
    actions, policy = np.empty(batch, np.int64), np.empty((batch, width))
    for b in range(batch):
        visits = (tree.edge_visits[b, 0] - root.before[b]).max()
        actions[b] = gumbel_at_root(tree, rule, root, b, visits, policy[b])
        softmax(policy[b])
    return actions, policy


def most_visited(tree: Tree) -> np.ndarray:
    """The root's action [B] with the most visits; of several, the best; then the lowest index."""
    visits = np.where(tree.child[:, 0] == STRUCK, -1, tree.edge_visits[:, 0])
    most = visits == visits.max(axis=1, keepdims=True)
    return np.where(most, tree.edge_value[:, 0], -np.inf).argmax(axis=1)
