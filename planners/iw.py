"""Rollout IW(1): look ahead in rollouts that end where a state shows nothing new.

Bandres, Bonet and Geffner (2018), "Planning with Pixels in (Almost) Real Time", AAAI; the features
are in `planners.novelty`. Uniform rollouts from the root of a tree choose among the actions that
are not solved. A state that is visited

- for the first time goes on if it is novel: one of its atoms was not seen at its depth or above it
  (and all of its atoms are noted at its depth); else it is a leaf, and solved;
- again goes on if an atom is novel, or still has its least depth there; else it is pruned: solved,
  and out of the values, as IW(1)'s breadth-first search would have pruned it.

A terminal state is solved, and so is a state whose successors all are. The search ends when the
root is solved or the budget spent. Then values are backed up, V(n) = max over actions of r +
discount V(n'), with 0 for what was not simulated, and the best action is executed; ties fall by
lot.

Caching: the tree below the executed action is kept for the next decision, if its state is the true
one, bit for bit. Labels and table begin anew; what is kept is not simulated again, and takes
nothing of the budget.

Risk aversion: negative rewards are multiplied by `risk`, and the step in which a life is lost has
the reward -10 risk, as in the authors' implementation.

Where this departs from that implementation (github.com/bonetblai/rollout-iw): there,

- the discount is 1, also for the published tables;
- the best branch is executed up to its first positive reward, and here one action;
- all 18 actions are searched, and here those that do something in the game
  (`task.full_action_space`);
- where the best value is 0, the longest branch worth 0 is executed (`ties=deepest`, but for an
  action alone) or, with the option that the published tables were made with, an action worth 0 by
  lot (`ties=random`);
- from screens a background image is subtracted;
- where the atoms of a screen are those of the one before, the action is repeated for up to 30
  frames, untested, and here the state is tested as others;
- kept nodes count as visited and enter no table, and what was pruned stays so;
- a node whose successors are all pruned is worth minus infinity, and here 0;
- no rollout is deeper than 1,500 steps, and a kept tree of 50,000 nodes does not grow;
- there is a novelty table for every score (see `LEVELS`).
"""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, cast

import numpy as np
from numba import njit

from planners import novelty
from planners.clock import Clock
from planners.interface import Plan, Prior, State, StepModel
from planners.lives import lives_lost
from planners.noise import Noise
from suites.parameters import Count, Discount, OneOf, Positive, Range, checked

ABSENT, PENDING = -1, -2  # a successor that is not simulated; one that is being simulated
COUNT, RANDOM = range(2)  # in `numbers`
# Scores that have a novelty table of their own: the authors have one for every power of two. Here,
# those of 2^14 and more share one, and those between 0 and 1 have that of no score.
LEVELS = 16
DEATH = -10.0  # reward of losing a life, times `risk`


class Tree(NamedTuple):
    """N nodes at most, in the order in which they were simulated; the root is 0.

    Attributes:
      parent, action, depth: [N]. child: [N, A], a node, ABSENT or PENDING.
      reward: [N] of the step to the node, with risk aversion. path: [N], their sum from the root.
      terminal, visited, solved, pruned: [N]; all but the first are of this decision's search.
      code: uint8 [N, C], see `planners.novelty`. state: [N, S], rows of the model.
      table: uint16 [levels, atoms], see `planners.novelty`.
      numbers: uint64 [2]: nodes so far; state of the random stream.
    """

    parent: np.ndarray
    action: np.ndarray
    depth: np.ndarray
    child: np.ndarray
    reward: np.ndarray
    path: np.ndarray
    terminal: np.ndarray
    visited: np.ndarray
    solved: np.ndarray
    pruned: np.ndarray
    code: np.ndarray
    state: np.ndarray
    table: np.ndarray
    numbers: np.ndarray


@dataclass
class Carry:
    """Warm start: the trees of the last decision, and the actions executed at their roots.

    Attributes:
      trees: [B], without their tables; None before the first decision.
      actions: [B], from 0.
    """

    trees: list[Tree | None]
    actions: np.ndarray


class IW:
    """Rollout IW(1) with discrete actions.

    Arguments:
      budget: Per decision and environment, at most; a simulated step takes `spec.budget_per_step`.
      seconds: Of a decision of all environments; no new round begins after these.
      features: `ram`, or of the screen `basic`, `bpros` or `bprost`: see `planners.novelty`.
      discount: Per control step; 0.995 is in the command that Lipovetzky, Ramirez and Geffner
        (2015) give for their IW(1) on RAM.
      risk: 1, or the factor of risk aversion (see above): 50,000 in the published variant (RA).
      subscores: Whether states are new among those of about their score: a table for each power of
        two of the rewards since the root.
      caching: Whether the tree is kept between decisions.
      ties: Among the best actions, `random`, or, where they are worth 0, `deepest`: those below
        which the tree is deepest.
      leaves: Rollouts in flight at a time, whose steps the model is asked for at once. More of them
        know less of each other.

    Raises:
      ValueError: for bad parameters.
    """

    plan_every, late = 1, False

    @checked("planner")
    def __init__(
        self,
        spec: Any,
        budget: Count,
        seconds: Positive | None = None,
        features: Annotated[str, OneOf(novelty.KINDS)] = "ram",
        discount: Discount = 0.995,
        risk: Annotated[float, Range(1)] = 1.0,
        subscores: bool = False,
        caching: bool = True,
        ties: Annotated[str, OneOf(("random", "deepest"))] = "random",
        leaves: Count = 1,
    ):
        self.steps = budget // spec.budget_per_step
        if self.steps < 1:
            raise ValueError(
                f"planner.budget is {budget}: one simulated step takes {spec.budget_per_step}"
            )
        self.actions, self.start = int(spec.action_space.n), int(spec.action_space.start)
        self.kind, self.discount, self.risk = novelty.KINDS[features], discount, risk
        self.levels = LEVELS if subscores else 1
        self.caching, self.ties, self.leaves = caching, ties, leaves
        self.seconds = seconds
        self.has_lives = risk > 1 and spec.has_lives

    def init(self, batch: int) -> Carry:
        """No trees yet."""
        return Carry([None] * batch, np.zeros(batch, np.int64))

    def plan(
        self,
        model: StepModel,
        prior: Prior,
        state: State,
        carry: Carry,
        noise: Noise,
    ) -> tuple[Plan, Carry]:
        """Decide in states [B, S]."""
        batch = len(carry.trees)
        codes = self._codes(model, state)
        seeds = (noise.uniform(1)[:, 0] * 2**53).astype(np.uint64)
        trees, kept = [], np.zeros(batch)
        for b, old in enumerate(carry.trees):
            tree = self._begin(old, carry.actions[b], state[b], codes[b])
            tree.numbers[RANDOM] = seeds[b]
            kept[b] = tree.numbers[COUNT]
            trees.append(tree)
        self._search(model, trees)
        action, value = np.empty(batch, np.int64), np.empty(batch)
        lots, nodes, depth = noise.uniform(1)[:, 0], np.empty(batch), np.empty(batch)
        for b, tree in enumerate(trees):
            values, heights = back_up(tree, self.discount)
            nodes[b] = tree.numbers[COUNT]
            value[b], depth[b] = values[0], heights[0]
            best = best_actions(tree, values, heights, self.discount, self.ties == "deepest")
            action[b] = best[int(lots[b] * len(best))]
        statistics = {
            "nodes": float(nodes.mean()),
            "kept": float(kept.mean()),
            "depth": float(depth.mean()),
            "solved": float(np.mean([tree.solved[0] for tree in trees])),
        }
        trees = [tree._replace(table=np.empty((0, 0), np.uint16)) for tree in trees]  # 41 MB each
        executed = action + self.start
        return Plan(executed, executed[:, None], value, statistics), Carry(trees, action)

    def _codes(self, model: StepModel, state: State) -> np.ndarray:
        """Codes [M, C] of states [M, S]."""
        if self.kind == novelty.RAM:
            return novelty.encode(self.kind, model.features(state))
        return novelty.encode(self.kind, cast(Any, model).features(state, kind="screen"))

    def _search(self, model: StepModel, trees: list[Tree]) -> None:
        """Roll out from the roots until budget or time are spent or the root is solved."""
        clock = Clock(self.seconds)
        batch, leaves, kind = len(trees), self.leaves, self.kind
        spent = np.zeros(batch, int)
        at = np.zeros((batch, leaves), np.int64)
        todo = np.empty((batch, leaves, 2), np.int64)  # a node and the action to take there
        while not clock.over:
            for b, tree in enumerate(trees):
                left = min(leaves, self.steps - spent[b])
                todo[b] = -1
                advance(tree, kind, at[b, :left], todo[b])
            which, rollout = np.nonzero(todo[:, :, 0] >= 0)
            if not which.size:
                return
            node, action = todo[which, rollout].T
            states = np.stack([trees[b].state[n] for b, n in zip(which, node, strict=True)])
            after, rewards, continuation = model.step(states, action + self.start)
            rewards = np.where(rewards < 0, self.risk * rewards, rewards)
            if self.has_lives:
                dies = lives_lost(model, states, after)
                rewards = np.where(dies, DEATH * self.risk, rewards)
            rewards = np.where(np.isfinite(rewards), rewards, -np.inf)
            codes = self._codes(model, after)
            for m, (b, k) in enumerate(zip(which, rollout, strict=True)):
                ends = continuation[m] == 0
                tree, reward = trees[b], rewards[m]
                at[b, k] = add(tree, kind, node[m], action[m], after[m], codes[m], reward, ends)
            spent += np.bincount(which, minlength=batch)

    def _begin(self, old: Tree | None, action: int, state: np.ndarray, code: np.ndarray) -> Tree:
        """The tree below what was executed, where that led to the state; else a new one."""
        if self.caching and old is not None:
            child = old.child[0, action]
            if child >= 0 and not old.terminal[child] and np.array_equal(old.state[child], state):
                return self._move_on(old, child)
        tree = self._room(1, state, code)
        tree.state[0], tree.code[0] = state, code
        return tree

    def _room(self, kept: int, state: np.ndarray, code: np.ndarray) -> Tree:
        """A tree of `kept` nodes to be filled in, with room for a decision's simulated steps."""
        n = kept + self.steps
        whole, real, no = np.int64, np.float64, np.bool_
        return Tree(
            parent=np.full(n, ABSENT, whole),
            action=np.full(n, ABSENT, whole),
            depth=np.zeros(n, whole),
            child=np.full((n, self.actions), ABSENT, whole),
            reward=np.zeros(n, real),
            path=np.zeros(n, real),
            terminal=np.zeros(n, no),
            visited=np.zeros(n, no),
            solved=np.zeros(n, no),
            pruned=np.zeros(n, no),
            code=np.empty((n, len(code)), np.uint8),
            state=np.empty((n, len(state)), state.dtype),
            table=np.zeros((self.levels, novelty.atom_count(self.kind, len(code))), np.uint16),
            numbers=np.array([kept, 0], np.uint64),
        )

    def _move_on(self, old: Tree, root: int) -> Tree:
        """The tree below a node, which becomes its root."""
        order, parent = below(old, root)
        new = self._room(len(order), old.state[0], old.code[0])
        kept = slice(0, len(order))
        new.parent[kept] = parent
        for name in ("action", "reward", "terminal", "code", "state"):
            getattr(new, name)[kept] = getattr(old, name)[order]
        link(new)
        return new


@njit(cache=True, nogil=True)
def pick(numbers, n):
    """A number from 0 to n - 1 of the random stream (splitmix64, Steele et al. 2014)."""
    numbers[RANDOM] += np.uint64(0x9E3779B97F4A7C15)
    z = numbers[RANDOM]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((z ^ (z >> np.uint64(31))) % np.uint64(n))


@njit(cache=True, nogil=True)
def level(tree, node):
    """The novelty table for the rewards on the way to a node: 0 for none, then by powers of two."""
    if tree.path[node] <= 0:
        return 0
    return min(max(1 + int(np.floor(np.log2(tree.path[node]))), 0), len(tree.table) - 1)


@njit(cache=True, nogil=True)
def look(tree, kind, node, update):
    """How new a node is (see `planners.novelty.novelty`)."""
    table = tree.table[level(tree, node)]
    before = tree.code[max(tree.parent[node], 0)]
    return novelty.novelty(kind, tree.code[node], before, tree.depth[node], table, update)


@njit(cache=True, nogil=True)
def solve(tree, node):
    """Label a node, and all above it whose successors are now all solved."""
    while node >= 0:
        tree.solved[node] = True
        node = tree.parent[node]
        if node >= 0:
            for child in tree.child[node]:
                if child < 0 or not tree.solved[child]:
                    return


@njit(cache=True, nogil=True)
def visit(tree, kind, node):
    """Whether a rollout goes on from a node that it has come to; if not, the node is solved."""
    again = tree.visited[node]
    tree.visited[node] = True
    if tree.terminal[node]:
        solve(tree, node)
        return False
    news = look(tree, kind, node, not again)
    if news == novelty.NOVEL or (again and news == novelty.TIED):
        return True
    tree.pruned[node] = again
    solve(tree, node)
    return False


@njit(cache=True, nogil=True)
def advance(tree, kind, at, todo):
    """Take each rollout on through the tree, and through the next ones, to a step to simulate.

    Arguments:
      at: [leaves] nodes at which the rollouts are; 0 for one to begin.
      todo: [leaves, 2] comes back with node and action, -1 where there is nothing to do.
    """
    actions = tree.child.shape[1]
    for k in range(len(at)):
        node = at[k]
        while not tree.solved[0]:
            if tree.solved[node]:  # by another rollout
                node = 0
            open_ = 0
            for child in tree.child[node]:
                if child == ABSENT or (child >= 0 and not tree.solved[child]):
                    open_ += 1
            if open_ == 0:  # what is left is being simulated
                break
            chosen, left = -1, pick(tree.numbers, open_)
            for a in range(actions):
                child = tree.child[node, a]
                if child == ABSENT or (child >= 0 and not tree.solved[child]):
                    if left == 0:
                        chosen = a
                        break
                    left -= 1
            child = tree.child[node, chosen]
            if child == ABSENT:
                tree.child[node, chosen] = PENDING
                todo[k, 0], todo[k, 1] = node, chosen
                break
            node = child if visit(tree, kind, child) else 0
        at[k] = 0


@njit(cache=True, nogil=True)
def add(tree, kind, parent, action, state, code, reward, ends):
    """Add a simulated node; where its rollout goes on: there, or at the root."""
    node = np.int64(tree.numbers[COUNT])
    tree.numbers[COUNT] += np.uint64(1)
    tree.parent[node], tree.action[node] = parent, action
    tree.child[parent, action] = node
    tree.depth[node] = tree.depth[parent] + 1
    tree.state[node], tree.code[node] = state, code
    tree.reward[node], tree.terminal[node] = reward, ends
    tree.path[node] = tree.path[parent] + reward
    return node if visit(tree, kind, node) else 0


@njit(cache=True, nogil=True)
def back_up(tree, discount):
    """Values [N] and heights [N]: V(n) = max over actions of r + discount V(n'), 0 where unknown.

    Pruned successors do not count.
    """
    count = np.int64(tree.numbers[COUNT])
    values, heights = np.zeros(count), np.zeros(count, np.int64)
    for node in range(count - 1, -1, -1):  # successors come after their node
        best, counted = -np.inf, False
        for child in tree.child[node]:
            if child < 0:
                best, counted = max(best, 0.0), True
                continue
            heights[node] = max(heights[node], heights[child] + 1)
            if not tree.pruned[child]:
                best = max(best, tree.reward[child] + discount * values[child])
                counted = True
        values[node] = best if counted else 0.0
    return values, heights


@njit(cache=True, nogil=True)
def best_actions(tree, values, heights, discount, deepest):
    """The actions that are best at the root; if `deepest` and worth 0, those of greatest height."""
    actions = tree.child.shape[1]
    score, height = np.zeros(actions), np.full(actions, -1)
    for a in range(actions):
        child = tree.child[0, a]
        if child >= 0:
            height[a] = heights[child]
            score[a] = tree.reward[child] + discount * values[child]
            if tree.pruned[child]:
                score[a] = -np.inf
    best = score == score.max()
    if deepest and score.max() == 0:
        best &= height == height[best].max()
    return np.flatnonzero(best)


@njit(cache=True, nogil=True)
def below(tree, root):
    """Nodes [M] from `root` down, breadth first, and each one's parent in that order."""
    order, parent = np.empty(len(tree.parent), np.int64), np.empty(len(tree.parent), np.int64)
    order[0], parent[0], count, i = root, ABSENT, 1, 0
    while i < count:
        for child in tree.child[order[i]]:
            if child >= 0:
                order[count], parent[count] = child, i
                count += 1
        i += 1
    return order[:count], parent[:count]


@njit(cache=True, nogil=True)
def link(tree):
    """Fill in what follows from parents, actions and rewards."""
    tree.action[0], tree.reward[0] = ABSENT, 0.0
    for node in range(1, np.int64(tree.numbers[COUNT])):
        parent = tree.parent[node]
        tree.child[parent, tree.action[node]] = node
        tree.depth[node] = tree.depth[parent] + 1
        tree.path[node] = tree.path[parent] + tree.reward[node]
