"""What a learner is given, and what it gives back. Shapes: B environments, O observation, A action.

Observations and actions are the task's own: scaling them is the learner's business.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Transitions:
    """What one decision led to, in each of B environments.

    Attributes:
      observation: [B, *O], in which it was decided.
      action: [B, A], or [B] where actions are discrete; as the learner chose it, so that it may lie
        outside the bounds that the task clips it to.
      reward: [B], summed over the control steps for which the action was held.
      terminated: [B] whether the episode came to an end of its own: nothing follows.
      truncated: [B] whether it was cut off: the value of `next_observation` follows.
      next_observation: [B, *O], the last one of an episode that ended.
      start: [B] whether `observation` begins an episode.
      held: Control steps for which the action was held.
      policy: [B, n] that the planner found; None where it has none.
      label: As `action`, the planner's, where another one was executed; None: `action` is it.
      candidates: [B, n, A] that `policy` is over; None: over all discrete actions.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    next_observation: np.ndarray
    start: np.ndarray
    held: int = 1
    policy: np.ndarray | None = None
    label: np.ndarray | None = None
    candidates: np.ndarray | None = None


class Source(Protocol):
    """What a learner learns from: a replay memory, or the rollouts of its present policy."""

    def add(self, transitions: Transitions) -> None:
        """Take in what a decision led to."""
        ...

    def forget(self, added: int) -> None:
        """Become as if so many decisions had been added, and lost."""
        ...

    def state(self) -> dict[str, Any]:
        """All that it holds, arrays and numbers by name, for a checkpoint."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` said."""
        ...


class Learner(Protocol):
    """A policy and a value that improve: a `planners.interface.Prior` that explores.

    Attributes:
      trains: True; False for the null learner, which acts, and learns and remembers nothing.
      num_envs: Environments that it learns from, stepped together.
      has_value: Whether `value` is worth asking for.
      on_policy: Whether it can learn only from what its own policy did.
      updates: Gradient steps so far.
      flops: Floating-point operations of its networks so far.
      imitates: Whether it learns from what a planner decides on the truth, and from nothing else;
        absent: not. Such a learner has `reactive` as well: whether its policy will have to do
        without the planner. Then the planner is dropped in evaluation, and in training
        `mix(observation, planned, noise)` says what is executed.
      needs_policy: Whether it learns from the policy that a search found; absent: not.
      latent: Whether it learns from the latents of a world model, by `LatentLearner`; absent: from
        observations.
      greedy: The same policy without exploration, as a `Prior`: what is evaluated. It shares the
        networks, and nothing that it does changes the learner.
    """

    trains: bool
    num_envs: int
    has_value: bool
    on_policy: bool
    updates: int
    flops: int

    @property
    def greedy(self) -> Any: ...

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions [B, A] or [B] for features [B, *O], with exploration."""
        ...

    def value(self, features: np.ndarray) -> np.ndarray:
        """Values [N] of features [N, *O]."""
        ...

    def make_source(self, num_envs: int, folder: Path) -> Source:
        """An empty source of its kind; what outgrows memory lies in `folder`."""
        ...

    def update(self, source: Any) -> dict[str, float]:
        """Do the gradient steps that are due; means of their losses and more, {} if none was due.

        Names of losses end in `_loss`. A value that is not finite stops the run.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Networks, optimisers, normalisers, counters, random streams: all but the source."""
        ...

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` said; exact, so that training goes on as if never interrupted."""
        ...


class LatentLearner(Learner, Protocol):
    """A learner whose features are the latents of a world model, which it helps to shape.

    In a gradient step the world model unrolls its latents, adds the learner's `shaping` to its own
    losses, goes backward once, and takes its step; then the learner takes its own in `follow`. So
    neither knows what the other is made of, and `update` has nothing left to do. The operations of
    that step are counted by the world model. Its yaml takes the size of the latents from the world
    model's.

    Attributes:
      joint: Parameters (tensors) that get gradients in the joint backward pass; the world model
        may shorten these together with its own, before either takes its step.
      ahead: Decisions after the unrolled ones that a batch is to have; absent: none.
    """

    joint: list[Any]

    def shaping(self, latents: Any, encoded: Any, batch: Any) -> tuple[Any, dict[str, Any]]:
        """A loss (a tensor) whose gradient reaches the latents, and its named terms.

        Arguments:
          latents: [K + 1, N, F], unrolled by the model from the first observation.
          encoded: [T, N, F] of the later observations, without gradient; T is K and `ahead` more.
          batch: The sequences that they come from, see the model.
        """
        ...

    def follow(self, latents: Any) -> dict[str, Any]:
        """The learner's own step, after the joint backward pass; its named terms."""
        ...
