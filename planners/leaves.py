"""What a tree search asks of the model and of the prior: steps into new leaves, and their worth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from planners.interface import State, StepModel
from planners.noise import Noise
from planners.tree import Tree, plant

NOBODY = np.empty(0, np.int64)
GRID = 3**5  # of at most so many actions, a node's are drawn without replacement

# Rewards, continuation and values [M], logits [M, A] (or [0, A]), and siblings of the same state.
Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass
class Evaluator:
    """The model and the prior in one decision.

    Attributes:
      prior: A `Prior`; a `DiscretePrior` where it guides, a `ProposingPrior` where it proposes.
      space: Of the actions.
      width, leaves: Actions of a node, leaves of a round in each tree.
      repeat, discount: Control steps that an action is held, discount of each of them.
      depth: Control steps of the rollout that values a leaf; 0 for none.
      guided: Whether the search reads the prior's logits.
      levels: Whether continuous actions are proposed by `propose`, else by the prior.
      proposes: Whether the prior says how likely it is to have drawn them.
      merge: Whether an action can lead to several states.
    """

    model: StepModel
    prior: Any
    noise: Noise
    space: Any
    width: int
    leaves: int
    repeat: int
    discount: float
    depth: int
    guided: bool
    levels: bool
    proposes: bool
    merge: bool

    def __post_init__(self) -> None:
        discrete = hasattr(self.space, "n")
        self._start = int(self.space.start) if discrete else 0
        self._size = 1 if discrete else self.space.shape[0]
        self._blocks = -(-self.depth // self.repeat)  # actions of a rollout, each held
        self._proposed = proposal_numbers(self._size, self.width) if self.levels else 0
        self._numbers = self._blocks * self._size + self._proposed

    def plant(self, tree: Tree, trees: np.ndarray, states: State) -> None:
        """Begin the given trees [M] anew in states [M, S]."""
        drawn = self.draw(self.noise.rows(trees), 1)
        drawn = None if drawn is None else drawn[:, 0]
        values, logits = self._assess(tree, states, trees, np.zeros_like(trees), drawn)
        plant(tree, trees, states, values, logits)

    def __call__(self, tree: Tree, leaves: np.ndarray) -> Found:
        """Step into leaves [M] and value them; states and actions go into the tree."""
        rows, new = leaves["tree"], leaves["node"]
        states, rewards, continuation = self.step(tree, leaves)
        tree.states[rows, new] = states
        drawn = self.draw(self.noise, self.leaves)
        drawn = None if drawn is None else drawn[rows, leaves["slot"]]
        same, wanted = NOBODY, continuation
        if self.merge:
            same = self._same(tree, leaves, rewards, continuation)
            wanted = continuation * (same < 0)
        values, logits = self.assess(tree, states, rows, new, drawn, wanted)
        return rewards, continuation, values, logits, same

    def step(self, tree: Tree, leaves: np.ndarray) -> tuple[State, np.ndarray, np.ndarray]:
        """Next states [M, S], discounted rewards [M] and continuation [M] of leaves [M]."""
        rows, parents, actions = leaves["tree"], leaves["parent"], leaves["action"]
        states = tree.states[rows, parents]
        continuous = tree.actions.shape[1] > 0
        actions = tree.actions[rows, parents, actions] if continuous else actions + self._start
        if self.repeat == 1:
            return self.model.step(states, actions)
        plans = np.repeat(actions[:, None, None], self.repeat, axis=2)
        rewards, continuation, last = self.model.rollout(states, plans)
        rewards = rewards[:, 0] @ self.discount ** np.arange(self.repeat)
        return last[:, 0], rewards, continuation[:, 0, -1]

    def assess(
        self,
        tree: Tree,
        states: State,
        rows: np.ndarray,
        nodes: np.ndarray,
        drawn: np.ndarray | None,
        wanted: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `_assess`, of those that are wanted [M], not 0: the end of an episode is worth 0.

        So is what is known already.
        """
        if np.count_nonzero(wanted) == len(wanted):
            return self._assess(tree, states, rows, nodes, drawn)
        values, logits = np.zeros(len(rows)), np.zeros((len(rows), self.width))
        which = np.flatnonzero(wanted)
        if which.size:
            drawn = None if drawn is None else drawn[which]
            part = states[which], rows[which], nodes[which], drawn
            values[which], found = self._assess(tree, *part)
            logits[which] = found if len(found) else 0.0
        return values, logits

    def _assess(
        self,
        tree: Tree,
        states: State,
        rows: np.ndarray,
        nodes: np.ndarray,
        drawn: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values [M] and logits [M, A] (or [0, A]) of new nodes in states [M, S].

        Their actions, where these are continuous, go into the tree. Drawn [M, ...] by `draw`.
        """
        continuous = tree.actions.shape[1] > 0
        valued = self.depth == 0 and self.prior.has_value
        features = None
        if valued or self.guided or (continuous and not self.levels):
            features = self.model.features(states)
        logits = self.prior.logits(features) if self.guided else np.empty((0, self.width))
        if self.proposes:
            tree.actions[rows, nodes], logits = self._weighed(rows, features)
        elif continuous:
            tree.actions[rows, nodes] = self._propose(rows, features, drawn)
        if self.depth:
            assert drawn is not None
            return self._roll_out(states, drawn), logits
        return (self.prior.value(features) if valued else np.zeros(len(rows))), logits

    def _propose(
        self, rows: np.ndarray, features: np.ndarray | None, drawn: np.ndarray | None
    ) -> np.ndarray:
        """Actions [M, A, D] of new nodes."""
        if self.levels:
            assert drawn is not None
            return propose(self.space, self.width, drawn[:, -self._proposed :])
        assert features is not None
        noise = self.noise.rows(np.repeat(rows, self.width))
        draw = getattr(self.prior, "draw", self.prior.sample)
        sampled = draw(np.repeat(features, self.width, axis=0), noise)
        return sampled.reshape(len(rows), self.width, self._size)

    def _weighed(self, rows: np.ndarray, features: Any) -> tuple[np.ndarray, np.ndarray]:
        """Actions [M, A, D] of new nodes, and their logits [M, A]."""
        actions, logits = self.prior.propose(features, self.width, self.noise.rows(rows))
        count_together(actions, logits)
        return actions, logits

    def draw(self, noise: Noise, leaves: int) -> np.ndarray | None:
        """Uniform numbers [B, leaves, ...] for a rollout of each leaf, then for its actions."""
        return noise.uniform(leaves, self._numbers) if self._numbers else None

    def _roll_out(self, states: State, drawn: np.ndarray) -> np.ndarray:
        """Discounted returns [M] of random plans from states [M, S].

        Up to where the model diverges: what one random plan runs into is no reason to rule an
        action out.
        """
        drawn = drawn[:, : self._blocks * self._size].reshape(len(drawn), self._blocks, -1)
        if hasattr(self.space, "n"):
            actions = self._start + (self.space.n * drawn[..., 0]).astype(np.int64)
        else:
            low, high = box(self.space)
            actions = low + (high - low) * drawn
        plans = np.repeat(actions, self.repeat, axis=1)[:, None, : self.depth]
        rewards, continuation, last = self.model.rollout(states, plans)
        finite = np.logical_and.accumulate(np.isfinite(rewards[:, 0]), axis=1)
        values = np.where(finite, rewards[:, 0], 0.0) @ self.discount ** np.arange(self.depth)
        if self.prior.has_value:
            end = continuation[:, 0, -1] * self.prior.value(self.model.features(last[:, 0]))
            known = finite[:, -1] & np.isfinite(end)
            values = values + self.discount**self.depth * np.where(known, end, 0.0)
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


def proposal_numbers(size: int, width: int) -> int:
    """How many random numbers `propose` takes for so many actions of that size."""
    return 3**size if 3**size <= GRID else width * size


def propose(space: Any, width: int, drawn: np.ndarray) -> np.ndarray:
    """Actions [M, A, D] with each actuator at its lowest, middle or highest; A is the width.

    Bang-bang control loses little on such tasks (Seyde et al. 2021, "Is bang-bang control all you
    need?"), and a tree is small. All different where 3^D is small; else repetitions are rare.

    Arguments:
      width: At most 3^D.
      drawn: Uniform numbers [M, proposal_numbers(D, A)].
    """
    low, high = box(space)
    size = len(low)
    if 3**size <= GRID:
        chosen = drawn.argsort(axis=1)[:, :width, None]
        levels = chosen // 3 ** np.arange(size) % 3  # their digits
    else:
        levels = np.floor(3 * drawn).reshape(-1, width, size)
    return low + (high - low) * levels / 2


@njit(cache=True, nogil=True)
def count_together(actions: np.ndarray, logits: np.ndarray) -> None:
    """Of equal actions [M, A, D], the first gets the probability of all; the others' logit is -inf.

    With log(pi / beta) of each draw, the logits [M, A] become those of (beta^ / beta) pi, where
    beta^ is how often an action was drawn (Hubert et al. 2021).
    """
    for m in range(len(actions)):
        for a in range(actions.shape[1]):
            if logits[m, a] == -np.inf:
                continue
            for b in range(a + 1, actions.shape[1]):
                if (actions[m, a] == actions[m, b]).all():
                    logits[m, a] = np.logaddexp(logits[m, a], logits[m, b])
                    logits[m, b] = -np.inf


def box(space: Any) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of continuous actions; -1 and 1 where there are none."""
    bounded = np.isfinite(space.low) & np.isfinite(space.high)
    return np.where(bounded, space.low, -1.0), np.where(bounded, space.high, 1.0)
