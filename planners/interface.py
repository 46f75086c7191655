"""What a planner is given, what it gives back. Shapes: B environments, K candidates, H horizon."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from planners.noise import Noise

State = Any  # opaque to a planner: only the world model that made it reads it
Carry = Any  # a planner's warm start, passed from decision to decision


class PlanningError(ValueError):
    """A planner can't decide with what its model tells; the message says what to choose."""


class WorldModel(Protocol):
    """Predicts. `world_models.simulator.Simulator` is the truth; learned models look the same."""

    def rollout(self, state: State, plans: np.ndarray) -> tuple[np.ndarray, np.ndarray, State]:
        """Rewards [B, K, H], continuation [B, K, H] and the last states of plans [B, K, H, A].

        The reward after a termination is 0; a plan on which the model diverges has NaN rewards.
        """
        ...

    def select(self, state: State, which: np.ndarray) -> State:
        """The state in some of the environments, [M]."""
        ...

    def features(self, state: State) -> np.ndarray:
        """What a policy or value sees of a state, [..., F]."""
        ...


class TraceModel(WorldModel, Protocol):
    """A world model that tells what its rollouts come by."""

    def trace(
        self, state: State, plans: np.ndarray, every: int
    ) -> tuple[np.ndarray, np.ndarray, State, np.ndarray]:
        """As `rollout`, and the features [B, K, P, F] on the way.

        At its beginning, then after each `every` steps, and at its end.
        """
        ...


class StepModel(WorldModel, Protocol):
    """A world model that a tree can be searched in."""

    def step(self, state: State, action: np.ndarray) -> tuple[State, np.ndarray, np.ndarray]:
        """Next states, rewards [M] and continuation [M] of actions [M, A], or [M] if discrete."""
        ...


class Prior(Protocol):
    """A policy and a value; of a learner, or the broad one of `learners.none`."""

    def sample(self, features: np.ndarray, noise: Noise) -> np.ndarray:
        """Actions [B, A] for features [B, F]."""
        ...

    def value(self, features: np.ndarray) -> np.ndarray:
        """Values [N] of features [N, F]."""
        ...

    @property
    def has_value(self) -> bool:
        """False where the value is 0 everywhere, so that a planner need not ask for it."""
        ...

    @property
    def discount(self) -> float:
        """Of the value, per decision."""
        ...


class DrawingPrior(Prior, Protocol):
    """A prior whose samples are all alike, as for evaluation, but draws others for a search."""

    def draw(self, features: np.ndarray, noise: Noise) -> np.ndarray:
        """Actions [B, A] for features [B, F]."""
        ...


class ProposingPrior(Prior, Protocol):
    """A prior over continuous actions that says how it draws them."""

    def propose(
        self, features: np.ndarray, number: int, noise: Noise
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions [N, K, A] for features [N, F], and log(pi / beta) [N, K] of each.

        pi is the policy and beta what they are drawn from, or as much apart for all of a row.
        """
        ...


class DiscretePrior(Prior, Protocol):
    """A prior over discrete actions."""

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Of a policy over discrete actions: [N, n] for features [N, F]."""
        ...


@dataclass
class Plan:
    """A decision.

    Attributes:
      action: [B, A], to be executed now.
      actions: [B, H, A], the sequence that `action` begins.
      value: [B], the predicted return of the best plan that was found, over what the search looked
        at, with the terminal value. An optimizer that executes a mean executes another plan.
      statistics: Named numbers about the search, for the metrics.
      policy: [B, n] probabilities of the actions that a policy can learn from; None where the
        search has none.
      candidates: [B, n, A], continuous actions that these are of; None: of all discrete ones.
    """

    action: np.ndarray
    actions: np.ndarray
    value: np.ndarray
    statistics: dict[str, float] = field(default_factory=dict)
    policy: np.ndarray | None = None
    candidates: np.ndarray | None = None


class Planner(Protocol):
    """Decides by search.

    Attributes:
      plan_every: Control steps between two plans, for which the actions of the last one go on:
        1, or the latency, or for how long an action is held.
      late: Whether a plan begun at step t is ready only at step t + plan_every.
      needs_derivatives: Whether it asks the model for them; absent: not.
      finds_policy: Whether its plans have a `policy`; absent: not.
      greedy: The same without exploration, for evaluation; absent: it does not explore.
      restart: Of a carry, with `begun` [B]: the carry where only in some environments an episode
        begins; absent: what it carries says by itself whether it fits the state.
    """

    plan_every: int
    late: bool

    def init(self, batch: int) -> Carry:
        """The warm start of the first decision of an episode."""
        ...

    def plan(
        self, model: Any, prior: Prior, state: State, carry: Carry, noise: Noise
    ) -> tuple[Plan, Carry]:
        """Decide in `state`."""
        ...
