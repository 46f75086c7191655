"""What a tree search asks of the model and of the prior: steps into new leaves, and their worth."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from planners.interface import Prior, State, WorldModel
from planners.noise import Noise
from planners.tree import Tree, plant

NOBODY = np.empty(0, np.int64)

# Rewards, continuation and values [M], logits [M, A] (or [0, A]), and siblings of the same state.
Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass
class Evaluator:
    """The model and the prior in one decision.

    Attributes:
      space: Of the actions.
      width, leaves: Actions of a node, leaves of a round in each tree.
      repeat, discount: Control steps that an action is held, discount of each of them.
      depth: Control steps of the rollout that values a leaf; 0 for none.
      guided: Whether the search reads the prior's logits.
      merge: Whether an action can lead to several states.
    """

    model: WorldModel
    prior: Prior
    noise: Noise
    space: Any
    width: int
    leaves: int
    repeat: int
    discount: float
    depth: int
    guided: bool
    merge: bool

    def plant(self, tree: Tree, trees: np.ndarray, states: State) -> None:
        """Begin the given trees [M] anew in states [M, S]."""
        drawn = self._uniform(self.noise.rows(trees), 1)
        values, logits = self._assess(
            tree, states, trees, np.zeros_like(trees), None if drawn is None else drawn[:, 0]
        )
        plant(tree, trees, states, values, logits)

    def __call__(self, tree: Tree, leaves: np.ndarray) -> Found:
        """Step into leaves [M] and value them; states and actions go into the tree."""
        rows, nodes, edges = leaves["tree"], leaves["parent"], leaves["action"]
        slots, new, count = leaves["slot"], leaves["node"], len(leaves)
        states, rewards, continuation = self._step(tree, rows, nodes, edges)
        tree.states[rows, new] = states
        drawn = self._uniform(self.noise, self.leaves)
        drawn = None if drawn is None else drawn[rows, slots]
        going = continuation != 0  # the end of an episode is worth nothing, and costs nothing
        if going.all():
            values, logits = self._assess(tree, states, rows, new, drawn)
        else:
            values, logits = np.zeros(count), np.zeros((count, self.width))
            if going.any():
                drawn = None if drawn is None else drawn[going]
                values[going], found = self._assess(
                    tree, states[going], rows[going], new[going], drawn
                )
                logits[going] = found if len(found) else 0.0
        same = self._same(tree, leaves, rewards, continuation) if self.merge else NOBODY
        return rewards, continuation, values, logits, same

    def _step(
        self, tree: Tree, rows: np.ndarray, nodes: np.ndarray, edges: np.ndarray
    ) -> tuple[State, np.ndarray, np.ndarray]:
        """Next states [M, S], discounted rewards [M] and continuation [M] of edges [M]."""
        states = tree.states[rows, nodes]
        actions = tree.actions[rows, nodes, edges] if tree.actions.shape[1] else edges
        if self.repeat == 1:
            return self.model.step(states, actions)
        plans = np.repeat(actions[:, None, None], self.repeat, axis=2)
        rewards, continuation, last = self.model.rollout(states, plans)
        rewards = rewards[:, 0] @ self.discount ** np.arange(self.repeat)
        return last[:, 0], rewards, continuation[:, 0, -1]

    def _uniform(self, noise: Noise, leaves: int) -> np.ndarray | None:
        """What random plans are made of: [B, leaves, blocks, A]."""
        if self.depth == 0:
            return None
        size = 1 if hasattr(self.space, "n") else self.space.shape[0]
        return noise.uniform(leaves, -(-self.depth // self.repeat), size)

    def _assess(
        self,
        tree: Tree,
        states: State,
        rows: np.ndarray,
        nodes: np.ndarray,
        drawn: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values [M] and logits [M, A] of new nodes in states [M, S]; draws their actions."""
        continuous = tree.actions.shape[1] > 0
        valued = drawn is None and self.prior.has_value
        features = None
        if continuous or valued or self.guided:
            features = self.model.features(states)
        logits = np.empty((0, self.width))
        if continuous:
            flat = self.prior.sample(
                np.repeat(features, self.width, axis=0),
                self.noise.rows(np.repeat(rows, self.width)),
            )
            tree.actions[rows, nodes] = flat.reshape(len(rows), self.width, -1)
        elif self.guided:
            logits = self.prior.logits(features)
        if drawn is not None:
            return self._roll_out(states, drawn), logits
        return (self.prior.value(features) if valued else np.zeros(len(rows))), logits

    def _roll_out(self, states: State, drawn: np.ndarray) -> np.ndarray:
        """Discounted returns [M] of random plans of held actions, from drawn [M, blocks, A]."""
        if hasattr(self.space, "n"):
            actions = (self.space.n * drawn[..., 0]).astype(np.int64)
        else:
            low, high = box(self.space)
            actions = low + (high - low) * drawn
        plans = np.repeat(actions, self.repeat, axis=1)[:, None, : self.depth]
        rewards, continuation, last = self.model.rollout(states, plans)
        values = rewards[:, 0] @ self.discount ** np.arange(self.depth)
        if self.prior.has_value:
            end = self.prior.value(self.model.features(last[:, 0]))
            values = values + self.discount**self.depth * continuation[:, 0, -1] * end
        return values

    def _same(
        self, tree: Tree, leaves: np.ndarray, rewards: np.ndarray, continuation: np.ndarray
    ) -> np.ndarray:
        """The outcome [M] of the same action that is the same; -1 where there is none."""
        same = np.full(len(leaves), -1)
        for m, (b, parent, action, _, new) in enumerate(leaves.tolist()):
            other = tree.edges["child"][b, parent, action]
            while other >= 0 and same[m] < 0:
                node = tree.nodes[b, other]
                equal = (node["reward"], node["continuation"]) == (rewards[m], continuation[m])
                if equal and np.array_equal(tree.states[b, other], tree.states[b, new]):
                    same[m] = other
                other = node["sibling"]
        return same


def box(space: Any) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of continuous actions; -1 and 1 where there are none."""
    bounded = np.isfinite(space.low) & np.isfinite(space.high)
    return np.where(bounded, space.low, -1.0), np.where(bounded, space.high, 1.0)
