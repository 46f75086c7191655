"""Model-predictive control: optimise a plan over a receding horizon, execute its beginning, repeat."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from planners.horizon import RecedingHorizon
from planners.ilqg import ILQG
from planners.interface import Plan, Planner, Prior, State, WorldModel
from planners.noise import Noise
from planners.sampling import SAMPLING, Gaussian, SamplingOptimizer, ranking, take
from planners.splines import KINDS, weights


@dataclass
class Carry:
    """Warm start, already moved on to the next decision.

    Attributes:
      nominal: Knots [B, P, A] of the plan that was made last.
      elites: Knots [B, E, P, A] of its best candidates.
    """

    nominal: np.ndarray
    elites: np.ndarray


class MPC(RecedingHorizon):
    """Receding-horizon control with a sampling optimizer.

    Arguments:
      spec: Facts of the task: `name`, `action_space` (bounds) and `control_dt` are read.
      optimizer: One of `predictive_sampling`, `cem`, `icem`, `mppi`.
      budget: Simulated control steps per decision, at most.
      horizon: Seconds of simulated time that a plan looks ahead.
      min_steps, max_steps: Bounds of the horizon in control steps.
      knots: Knots of the action spline; None: one per control step.
      spline: `zero`, `linear` or `cubic`.
      discount: Per control step, for rewards and the terminal value.
      latency: Seconds of simulated time from the begin of planning to its first action.
      options: Parameters of the optimizer.

    Raises:
      ValueError: for a task whose actions are not continuous, and for bad parameters.
    """

    def __init__(
        self,
        spec: Any,
        optimizer: str,
        budget: int,
        horizon: float,
        min_steps: int = 1,
        max_steps: int = 1000,
        knots: int | None = None,
        spline: str = "linear",
        discount: float = 1.0,
        latency: float = 0.0,
        **options: Any,
    ):
        super().__init__(spec, optimizer, horizon, min_steps, max_steps, discount, latency)
        if spline not in KINDS:
            raise ValueError(f"planner.spline is '{spline}': choose one of {', '.join(KINDS)}")
        self.optimizer = make_optimizer(optimizer, options)
        self.populations = split_budget(budget, self.horizon, self.optimizer.iterations)
        self.knots = min(knots or self.horizon, self.horizon)
        steps = np.arange(self.horizon, dtype=float)
        self.to_actions = weights(steps, self.knots, self.horizon, spline)
        self.shift = shift_knots(self.knots, self.horizon, spline, self.plan_every)

    def init(self, batch: int) -> Carry:
        nominal = np.tile(self.middle, (batch, self.knots, 1))
        return Carry(nominal, np.empty((batch, 0, self.knots, len(self.middle))))

    def plan(
        self, model: WorldModel, prior: Prior, state: State, carry: Carry, noise: Noise
    ) -> tuple[Plan, Carry]:
        """Decide in `state` ([B] environments). The nominal is the first candidate throughout."""
        optimizer = self.optimizer
        std = np.broadcast_to(optimizer.sigma * self.half_range, carry.nominal.shape)
        gaussian = Gaussian(carry.nominal, std)
        pool, pool_scores = carry.elites, np.full(carry.elites.shape[:2], -np.inf)
        best, best_score = carry.nominal, np.full(len(carry.nominal), -np.inf)
        spread = 0.0
        for population in self.populations:
            known = np.concatenate([gaussian.mean[:, None], pool[:, : optimizer.keep]], axis=1)
            known = known[:, :population]
            fresh = optimizer.sample(gaussian, noise, population - known.shape[1])
            candidates = np.clip(np.concatenate([known, fresh], axis=1), self.low, self.high)
            scores = self.score(model, prior, state, candidates)
            gaussian = optimizer.refit(gaussian, candidates, scores)
            order = ranking(scores)[:, : max(optimizer.keep, 1)]
            pool, pool_scores = take(candidates, order), np.take_along_axis(scores, order, axis=1)
            better = pool_scores[:, 0] > best_score
            best = np.where(better[:, None, None], pool[:, 0], best)
            best_score = np.where(better, pool_scores[:, 0], best_score)
            spread = float(np.mean(pool_scores[:, 0] - scores[:, 0]))
        executed = best if optimizer.executes == "best" else gaussian.mean
        actions = self.actions(executed)
        plan = Plan(actions[:, 0], actions, best_score, {"improvement": spread})
        elites = np.einsum("qp,bepa->beqa", self.shift, pool[:, : optimizer.keep])
        return plan, Carry(np.einsum("qp,bpa->bqa", self.shift, executed), elites)

    def actions(self, knots: np.ndarray) -> np.ndarray:
        """Actions [..., H, A] of knots [..., P, A], within their bounds."""
        return np.clip(self.to_actions @ knots, self.low, self.high)

    def score(
        self, model: WorldModel, prior: Prior, state: State, candidates: np.ndarray
    ) -> np.ndarray:
        """Returns [B, N] of candidates [B, N, P, A], terminal value included; -inf where not finite."""
        rewards, continuation, last = model.rollout(state, self.actions(candidates))
        return self.returns(model, prior, rewards, continuation, last)


def make_planner(spec: Any, optimizer: str, **options: Any) -> Planner:
    """The planner of `planner=mpc`: `MPC` with a sampling optimizer, or `ILQG`."""
    if optimizer == "ilqg":
        return ILQG(spec, **options)
    return MPC(spec, optimizer, **options)


def make_optimizer(name: str, options: dict[str, Any]) -> SamplingOptimizer:
    """The optimizer of that name with the given options; those that are None keep their default.

    Raises:
      ValueError: for an unknown optimizer, or an option that it does not have.
    """
    if name not in SAMPLING:
        raise ValueError(
            f"planner.optimizer is '{name}': choose one of {', '.join(sorted([*SAMPLING, 'ilqg']))}"
        )
    given = {key: value for key, value in options.items() if value is not None}
    known = [field.name for field in fields(SAMPLING[name])]
    for key in given:
        if key not in known:
            raise ValueError(
                f"planner.{key}: optimizer {name} has no such option; it has {', '.join(known)}"
            )
    optimizer = SAMPLING[name](**given)
    if optimizer.iterations < 1:
        raise ValueError(f"planner.iterations is {optimizer.iterations}: give at least 1")
    return optimizer


def split_budget(budget: int, horizon: int, iterations: int) -> list[int]:
    """Candidates per iteration, such that all of them together stay within the budget.

    Raises:
      ValueError: if the budget does not pay for two candidates per iteration.
    """
    candidates = budget // horizon
    if candidates < 2 * iterations:
        raise ValueError(
            f"planner.budget is {budget}: {iterations} iterations of at least 2 candidates over"
            f" {horizon} control steps need {2 * iterations * horizon}"
        )
    return [
        candidates * (i + 1) // iterations - candidates * i // iterations for i in range(iterations)
    ]


def shift_knots(knots: int, horizon: int, spline: str, steps: int) -> np.ndarray:
    """The matrix [P, P] that moves a spline on by some control steps; its end is held."""
    if spline == "zero":
        times = (np.arange(knots) + 0.5) * horizon / knots - 0.5
    else:
        times = np.arange(knots) * ((horizon - 1) / max(knots - 1, 1))
    return weights(np.minimum(times + steps, horizon - 1), knots, horizon, spline)
