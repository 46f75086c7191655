"""Monte Carlo tree search: grow a tree of what may come, act on what it says, keep its subtree.

A round selects a few leaves in each tree, makes one call of the model for all of them, values them,
and backs the values up. `planners/tree.py` is the tree, `planners/selection.py` the choice between
actions, `planners/leaves.py` what is asked of the model and of the prior.
"""

import copy
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from planners.clock import Clock
from planners.interface import Plan, Prior, State, StepModel
from planners.leaves import NOBODY, Evaluator
from planners.noise import Noise
from planners.rules import PUCT, RULE, RULES, UCT, Gumbel
from planners.selection import (
    LEAF,
    advance,
    gumbel_decision,
    halving_schedule,
    most_visited,
    visit_policy,
)
from planners.transpositions import Shared
from planners.tree import ABSENT, Tree, allocate, matching_child, reroot
from suites.parameters import Count, Discount, OneOf, Positive, Range, Share, checked

# Seconds of simulated time: what rollouts look ahead where actions are discrete (300 frames of an
# Atari game) and continuous, and for how long a continuous action is held.
DISCRETE_DEPTH, CONTINUOUS_DEPTH, HELD = 5.0, 0.4, 0.05
SAMPLES, WIDENING, EXPONENT = 16, 2.0, 0.5  # of continuous actions
DISCOUNT = 0.99  # of a control step
# Simulations per action, the root's own evaluation among them, for which the default rollouts of a
# small budget are shortened.
FEWEST = 2

Some = Annotated[int, Range(1, 10_000)]


@dataclass
class Carry:
    """Warm start: the tree of the last decision, and the root's action that was executed.

    Attributes:
      batch: B.
      tree: None before the first decision. Also where it won't be reused: `python -m suites.look`
        draws it.
      edges: [B].
    """

    batch: int
    tree: Tree | None
    edges: np.ndarray


class MCTS:
    """UCT, PUCT and Gumbel search.

    A decision is made every `repeat` control steps, for which its action is held. The subtree of
    what was executed is the next decision's tree, if the state that it foresaw came true to the
    bit; else the tree begins anew.

    Arguments:
      spec: Facts of the task: `name`, `action_space`, `control_dt`, `budget_per_step` are read.
      search: `uct`, `puct` or `gumbel`.
      budget: Of a decision and environment; a simulated control step takes `spec.budget_per_step`
        of it. Never exceeded.
      seconds: Of a decision of all environments; no new round begins after these. Not for gumbel,
        whose schedule is made from the budget.
      leaves: Selected in each tree before the model is called once for all of them.
      discount: Per control step. None: that of the prior's values, and 0.99 where it has none.
      repeat: Control steps that an action is held. None: 1 where actions are discrete, else 0.05 s.
      depth: Control steps of the random rollout that values a leaf, with the prior's value at its
        end; 0: the prior's value alone. None: 0 where the prior has a value, else 5 s where actions
        are discrete and 0.4 s where they are continuous, and less where the budget is small.
      reuse: Whether to keep the subtree of what was executed.
      normalise: Values by the extremes of the `tree`, or of the `node` and its children. None: of
        the tree; gumbel: of the node.
      outcomes: Next states kept per action, at most: 1 where the model is deterministic.
      transpositions: Whether nodes of the same state share transitions and evaluations.
      proposal: Where the continuous actions of a node come from: `levels`, each actuator at its
        lowest, middle or highest; or `prior`, drawn from it (Hubert et al. 2021, section 4). None:
        `prior` where that is a `ProposingPrior`, else `levels`.
      samples: How many there are.
      widening, exponent: Of these, widening * visits^exponent are open (Couetoux et al. 2011). Not
        for gumbel, to which all are.
      options: Of the search: the fields of its dataclass in `planners/rules.py`.

    Raises:
      ValueError: for a task or parameters that make no sense.
    """

    late, finds_policy = False, True

    @checked("planner")
    def __init__(
        self,
        spec: Any,
        search: str,
        budget: Count,
        seconds: Positive | None = None,
        leaves: Some = 4,
        discount: Discount | None = None,
        repeat: Some | None = None,
        depth: Annotated[int, Range(0, 100_000)] | None = None,
        reuse: bool = True,
        normalise: Annotated[str, OneOf(("tree", "node"))] | None = None,
        outcomes: Some = 1,
        transpositions: bool = False,
        proposal: Annotated[str, OneOf(("levels", "prior"))] | None = None,
        samples: Some | None = None,
        widening: Annotated[float, Range(0.1, 10_000.0)] | None = None,
        exponent: Share | None = None,
        **options: Any,
    ):
        space, dt = spec.action_space, spec.control_dt
        self.discrete = hasattr(space, "n")
        if not self.discrete and not (hasattr(space, "low") and len(space.shape) == 1):
            raise ValueError(
                f"planner mcts with search {search} needs discrete actions or a vector of"
                f" continuous ones, and task {spec.name} has {space}"
            )
        continuous = {"samples": samples, "widening": widening, "exponent": exponent}
        for key, value in {**continuous, "proposal": proposal}.items():
            if self.discrete and value is not None:
                raise ValueError(
                    f"planner.{key} is for continuous actions, and task {spec.name} has {space}:"
                    " leave it out"
                )
        if transpositions and (outcomes > 1 or not self.discrete):
            raise ValueError(
                "planner.transpositions needs discrete actions and planner.outcomes=1: nodes share"
                f" what an action leads to, and task {spec.name} has {space}"
            )
        self.search = RULES[search](**options)
        self.space, self.discount, self.reuse = space, discount, reuse
        self.transpositions, self.leaves, self.outcomes = transpositions, leaves, outcomes
        self.size = None if self.discrete else int(space.shape[0])
        self.start = int(space.start) if self.discrete else 0
        self.proposal = proposal
        self.width = int(space.n) if self.discrete else samples or SAMPLES
        self.levels = self.width if self.discrete else min(self.width, 3 ** space.shape[0])
        held = 1 if self.discrete else max(1, round(HELD / dt))
        self.repeat = self.plan_every = repeat or held
        rule = (
            *self.search.rule(normalise),
            self.width if self.discrete else widening or WIDENING,
            EXPONENT if exponent is None else exponent,
            np.nan,  # the discount of an edge
            leaves,
            outcomes,
        )
        self.rule = np.array([rule], RULE)
        self.steps = budget // spec.budget_per_step
        self.depth, self.seconds = depth, seconds
        ahead = DISCRETE_DEPTH if self.discrete else CONTINUOUS_DEPTH
        narrow = self.width if proposal == "prior" else self.levels
        longest = self.steps // (FEWEST * narrow) - self.repeat
        self.rollout = depth or max(1, min(round(ahead / dt), longest))
        least = self.repeat if depth == 0 else self.repeat + 2 * self.rollout
        if self.steps < least:
            raise ValueError(
                f"planner.budget is {budget}: a simulation in task {spec.name} takes {least}"
                f" control steps; give at least {least * spec.budget_per_step}"
            )

    def discount_of(self, prior: Prior) -> float:
        """The discount of a control step, with a prior."""
        if self.discount is not None:
            return self.discount
        return prior.discount ** (1 / self.repeat) if prior.has_value else DISCOUNT

    @property
    def greedy(self) -> "MCTS":
        """The same search without noise at its root: for evaluation."""
        planner = copy.copy(self)
        planner.search = self.search.greedy
        return planner

    def init(self, batch: int) -> Carry:
        """No tree yet."""
        return Carry(batch, None, np.full(batch, ABSENT))

    def plan(
        self, model: StepModel, prior: Prior, state: State, carry: Carry, noise: Noise
    ) -> tuple[Plan, Carry]:
        """Decide in `state` ([B] environments)."""
        clock = Clock(self.seconds)
        by_value = self.depth == 0 or (self.depth is None and prior.has_value)
        depth = 0 if by_value else self.rollout
        discount = self.discount_of(prior)
        self.rule["discount"] = discount**self.repeat
        simulations = (self.steps - depth) // (self.repeat + depth)
        kind = Shared if self.transpositions else Evaluator
        proposes = not self.discrete and self.proposal != "levels" and hasattr(prior, "propose")
        levels = not self.discrete and self.proposal != "prior" and not proposes
        width = self.levels if levels else self.width
        evaluator = kind(
            model=model,
            prior=prior,
            noise=noise,
            space=self.space,
            width=width,
            leaves=self.leaves,
            repeat=self.repeat,
            discount=discount,
            depth=depth,
            guided=self.discrete and not isinstance(self.search, UCT),
            levels=levels,
            proposes=proposes,
            merge=self.outcomes > 1,
        )
        tree, kept = self._begin(state, carry, width, simulations)
        anew = np.flatnonzero(~kept)
        if anew.size:
            evaluator.plant(tree, anew, state[anew])
        if isinstance(evaluator, Shared):
            evaluator.remember(tree)
        schedules = self._prepare_roots(tree, simulations, noise)
        leaves = np.empty(carry.batch * self.leaves, LEAF)
        arrays = (self.rule, schedules, tree.summaries, tree.nodes, tree.edges, leaves)
        count = advance(*arrays, 0, *nothing(width))
        while count:
            found = evaluator(tree, leaves[:count])
            if clock.over:
                tree.summaries["left"] = 0
            count = advance(*arrays, count, *found)
        deepest = tree.summaries["deepest"].mean()
        return self._decide(tree, {"reused": float(kept.mean()), "depth": float(deepest)})

    def _begin(
        self, state: State, carry: Carry, width: int, simulations: int
    ) -> tuple[Tree, np.ndarray]:
        """Trees with the subtrees that are kept, and which of them are [B]."""
        # As much again is kept of the last tree at most.
        nodes = (simulations + 1) * (2 if self.reuse else 1)
        tree = allocate(carry.batch, nodes, width, state, self.size)
        if not self.reuse or carry.tree is None:
            return tree, np.zeros(carry.batch, bool)
        roots = matching_child(carry.tree, carry.edges, state)
        reroot(carry.tree, tree, roots, simulations + 1)
        return tree, roots >= 0

    def _prepare_roots(self, tree: Tree, simulations: int, noise: Noise) -> np.ndarray:
        """Noise at the roots, and schedules [B, ...] of sequential halving, if there is any."""
        search, edges = self.search, tree.edges[:, 0]
        batch, width = edges.shape
        tree.summaries["left"], tree.summaries["deepest"] = simulations, 0
        edges["before"] = edges["visits"]
        if isinstance(search, PUCT) and search.dirichlet_fraction > 0:
            fraction = search.dirichlet_fraction
            drawn = noise.dirichlet(search.dirichlet_alpha, width)
            edges["prior"] = (1 - fraction) * edges["prior"] + fraction * drawn
        if not isinstance(search, Gumbel):
            return np.zeros((batch, 0), np.int64)
        edges["noise"] = search.gumbel_scale * noise.gumbel(width)
        different = np.isfinite(edges["logit"]).sum(axis=1)
        considered = np.minimum(search.considered, different).tolist()
        return np.stack([halving_schedule(number, simulations) for number in considered])

    def _decide(self, tree: Tree, statistics: dict[str, float]) -> tuple[Plan, Carry]:
        """What the trees recommend."""
        trees = np.arange(len(tree.summaries))
        if isinstance(self.search, Gumbel):
            edges, policy = gumbel_decision(self.rule, tree.summaries, tree.nodes, tree.edges)
            edges = np.maximum(edges, 0)
        else:
            edges, policy = most_visited(tree), visit_policy(tree)
        action = edges + self.start if self.discrete else tree.actions[trees, 0, edges]
        plan = Plan(
            action,
            np.repeat(action[:, None], self.repeat, axis=1),
            tree.edges["value"][trees, 0, edges],
            statistics,
            policy,
            None if self.discrete else tree.actions[:, 0].copy(),
        )
        return plan, Carry(len(trees), tree, edges)


def nothing(width: int) -> tuple[np.ndarray, ...]:
    """What a first round has found."""
    return np.empty(0), np.empty(0), np.empty(0), np.empty((0, width)), NOBODY
