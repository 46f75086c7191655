"""Transpositions: what was simulated once from a state is not simulated again.

The tree stays a tree, and each of its nodes has its own statistics. What nodes of the same state
share is what was asked of the model and of the prior: where an action leads, and what a state is
worth. With a deterministic model and a deterministic value these are functions of the state, so
that a search decides as it would without; it takes fewer simulated steps.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from planners.interface import State
from planners.leaves import NOBODY, Evaluator, Found
from planners.tree import Tree

Key = tuple[int, bytes]  # a tree, and a digest of a state in it: whole ones may be large
Move = tuple[Key, int]  # a state and an action


@dataclass
class Shared(Evaluator):
    """An evaluator with a memory of one decision, and of the subtree that is kept.

    Attributes:
      worth: A node of each state.
      moves: A node that each action in each state has led to.
    """

    worth: dict[Key, int] = field(default_factory=dict)
    moves: dict[Move, int] = field(default_factory=dict)

    def remember(self, tree: Tree) -> None:
        """Look over trees as they are when a decision begins."""
        for b, size in enumerate(tree.summaries["size"]):
            for i in range(size):
                node = tree.nodes[b, i]
                if i:
                    parent = int(node["parent"])
                    self.moves[_key(tree.states, b, parent), int(node["action"])] = i
                if node["continuation"] != 0:
                    self.worth.setdefault(_key(tree.states, b, i), i)

    def __call__(self, tree: Tree, leaves: np.ndarray) -> Found:
        """As of an `Evaluator`, but what is known is looked up."""
        rewards, continuation, led = self._lead(tree, leaves)
        values, logits = self._weigh(tree, leaves, rewards, continuation)
        made = np.isfinite(values)
        self.moves.update({move: int(leaves["node"][m]) for move, m in led.items() if made[m]})
        return rewards, continuation, values, logits, NOBODY

    def _lead(
        self, tree: Tree, leaves: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[Move, int]]:
        """Rewards and continuation [M], and the leaves that moves led to for the first time.

        The states of the leaves go into the tree.
        """
        rows, new = leaves["tree"], leaves["node"]
        rewards, continuation = np.zeros((2, len(leaves)))
        moves = [
            (_key(tree.states, b, parent), action) for b, parent, action, *_ in leaves.tolist()
        ]
        first: dict[Move, int] = {}
        for m, move in enumerate(moves):
            if move not in self.moves:
                first.setdefault(move, m)
        asked = np.array(sorted(first.values()), int)
        if asked.size:
            states, rewards[asked], continuation[asked] = self.step(tree, leaves[asked])
            tree.states[rows[asked], new[asked]] = states
        for m, move in enumerate(moves):
            b = rows[m]
            if (known := self.moves.get(move)) is not None:
                node = tree.nodes[b, known]
                rewards[m], continuation[m] = node["reward"], node["continuation"]
                tree.states[b, new[m]] = tree.states[b, known]
            elif (leader := first[move]) != m:
                rewards[m], continuation[m] = rewards[leader], continuation[leader]
                tree.states[b, new[m]] = tree.states[b, new[leader]]
        led = {move: m for move, m in first.items() if np.isfinite(rewards[m])}
        return rewards, continuation, led

    def _weigh(
        self, tree: Tree, leaves: np.ndarray, rewards: np.ndarray, continuation: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values [M] and logits [M, A]; what becomes a node is remembered."""
        rows, new = leaves["tree"], leaves["node"]
        going = np.isfinite(rewards) & (continuation != 0)
        keys = [_key(tree.states, b, node) for b, node in zip(rows, new, strict=True)]
        first: dict[Key, int] = {}
        for m, key in enumerate(keys):
            if going[m] and key not in self.worth:
                first.setdefault(key, m)
        asked = np.zeros(len(leaves), bool)
        asked[list(first.values())] = True
        drawn = self.draw(self.noise, self.leaves)
        drawn = None if drawn is None else drawn[rows, leaves["slot"]]
        values, logits = self.assess(tree, _states(tree, leaves), rows, new, drawn, asked)
        if not len(logits):
            logits = np.zeros((len(leaves), self.width))
        for m in np.flatnonzero(going & ~asked):
            known = self.worth.get(keys[m])
            if known is None:
                values[m], logits[m] = values[first[keys[m]]], logits[first[keys[m]]]
            else:
                node, edges = tree.nodes[rows[m], known], tree.edges[rows[m], known]
                values[m], logits[m] = node["raw"], edges["logit"]
        made = np.isfinite(values)
        self.worth.update({key: int(new[m]) for key, m in first.items() if made[m]})
        return values, logits


def _key(states: State, b: int, node: int) -> Key:
    return int(b), hashlib.blake2b(states[b, node], digest_size=16).digest()


def _states(tree: Tree, leaves: np.ndarray) -> State:
    return tree.states[leaves["tree"], leaves["node"]]
