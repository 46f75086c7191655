"""What receding-horizon planners share: how far they look, when they plan, what a plan is worth."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy as np

from planners.interface import Prior, State, WorldModel
from suites.parameters import Count, Discount, Range, checked

Seconds = Annotated[float, Range(0, above=True, told="a positive number of seconds")]
Latency = Annotated[float, Range(0, told="seconds, 0 or more")]


@dataclass
class Carry:
    """Warm start of a sampling optimizer, already moved on to the next decision.

    Shapes: continuous actions have a last axis, A.

    Attributes:
      nominal: Actions [B, R] of the plan that was made last; where actions are continuous, over the
        whole reach.
      elites: Actions [B, E, H] of its best rivals.
      planned: Control steps [B] from now that the nominal was planned for; beyond, it is held.
    """

    nominal: np.ndarray
    elites: np.ndarray
    planned: np.ndarray

    def restarted(self, fresh: Any, begun: np.ndarray) -> Self:
        """The same, and `fresh` where an episode begins, begun [B]: its nominal for elites."""
        nominal = fresh.nominal[:, None, : self.elites.shape[2]]
        return replace(
            self,
            nominal=choose(begun, fresh.nominal, self.nominal),
            elites=choose(begun, nominal, self.elites),
            planned=choose(begun, fresh.planned, self.planned),
        )


class RecedingHorizon:
    """Horizon and timing of a planner; with continuous actions, their bounds.

    Arguments:
      spec: Facts of the task: `name`, `action_space` (bounds) and `control_dt` are read.
      optimizer: Its name, for messages.
      horizon: Seconds of simulated time that a plan looks ahead.
      single: The same for tasks with a single actuator (a pole, a pendulum), where a plan has few
        numbers to search over and a swing takes long to pay; None: `horizon`.
      min_steps, max_steps: Bounds of the horizon in control steps.
      discount: Per control step, for rewards and the terminal value; None: that of the prior.
      latency: Seconds of simulated time from the begin of planning to its first action. The
        actions of the last plan that are executed meanwhile, `committed` of them, stay as they are.

    Raises:
      ValueError: for a task whose actions are not continuous, and for bad parameters.
    """

    continuous = True

    @checked("planner")
    def __init__(
        self,
        spec: Any,
        optimizer: str,
        horizon: Seconds,
        single: Seconds | None,
        min_steps: Count,
        max_steps: Count,
        discount: Discount | None,
        latency: Latency,
    ):
        if self.continuous and not hasattr(spec.action_space, "low"):
            raise ValueError(
                f"planner mpc with optimizer {optimizer} needs continuous actions, and task"
                f" {spec.name} has {spec.action_space}: choose planner.optimizer=icem or cem"
            )
        if single is not None and spec.action_space.shape == (1,):
            horizon = single
        if max_steps < min_steps:
            raise ValueError(
                f"planner.max_steps is {max_steps}: give at least planner.min_steps, {min_steps}"
            )
        self.horizon = int(np.clip(round(horizon / spec.control_dt), min_steps, max_steps))
        self.discount = discount
        self.late = latency > 0
        self.plan_every = max(1, int(np.ceil(round(latency / spec.control_dt, 9))))
        self.committed = self.plan_every if self.late else 0
        if not self.continuous:
            return
        low, high = np.asarray(spec.action_space.low), np.asarray(spec.action_space.high)
        bounded = np.isfinite(low) & np.isfinite(high)
        self.low, self.high = low, high
        # Without bounds: as if they were -1 and 1.
        low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
        self.middle, self.half_range = (low + high) / 2, (high - low) / 2

    def init(self, batch: int) -> Any:
        """The warm start of the first decision of an episode."""
        raise NotImplementedError

    def restart(self, carry: Any, begun: np.ndarray) -> Any:
        """The warm start where only in some environments, begun [B], an episode begins."""
        return carry.restarted(self.init(len(begun)), begun)

    def discount_of(self, prior: Prior) -> float:
        """The discount of a step, with a prior."""
        return prior.discount if self.discount is None else self.discount

    def returns(
        self,
        model: WorldModel,
        prior: Prior,
        rewards: np.ndarray,
        continuation: np.ndarray,
        last: State,
    ) -> np.ndarray:
        """Returns [B, N] of rollouts [B, N, H], terminal value included; -inf where not finite."""
        horizon = rewards.shape[-1]
        discount = self.discount_of(prior)
        scores = rewards @ discount ** np.arange(horizon)
        if prior.has_value:
            features = model.features(last)
            value = prior.value(features.reshape(-1, features.shape[-1])).reshape(scores.shape)
            scores = scores + discount**horizon * continuation[..., -1] * value
        return np.where(np.isfinite(scores), scores, -np.inf)


def choose(which: np.ndarray, these: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Rows [B, ...] of these where `which` [B], else of the others."""
    return np.where(which.reshape(-1, *[1] * (others.ndim - 1)), these, others)


def move_on(actions: np.ndarray, steps: int, axis: int) -> np.ndarray:
    """Sequences some control steps later, along the axis of time; the last action is held."""
    end = actions.shape[axis] - 1
    return np.take(actions, np.minimum(np.arange(end + 1) + steps, end), axis=axis)


def split_budget(budget: int, horizon: int, iterations: int, per_step: int = 1) -> list[int]:
    """Candidates per iteration, such that all of them together stay within the budget.

    A control step takes `per_step` of it.

    Raises:
      ValueError: if the budget does not pay for two candidates per iteration.
    """
    candidates = budget // (horizon * per_step)
    if candidates < 2 * iterations:
        raise ValueError(
            f"planner.budget is {budget}: {iterations} iterations of at least 2 candidates over"
            f" {horizon} control steps need {2 * iterations * horizon * per_step}"
        )
    return [
        candidates * (i + 1) // iterations - candidates * i // iterations for i in range(iterations)
    ]
