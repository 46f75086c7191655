"""Iterative LQG: Newton-like trajectory optimisation with derivatives of the model.

Sources: Tassa, Erez and Todorov 2012, "Synthesis and stabilization of complex behaviors through
online trajectory optimization" (regularisation, model-predictive control); Tassa, Mansard and
Todorov 2014, "Control-limited differential dynamic programming" (bounds of the actions).

A state x is opaque here; differences of states are tangent vectors of size n, made by the model.
The cost of a control step is 1 - reward. For the full Hessian the constant plays no part; where the
budget pays for gradients alone it does: a reward of at most 1, as in all of dm_control, makes the
cost a half square s^2 / 2, whose Gauss-Newton Hessian is the gradient's outer product divided by
twice the cost. Rewards above 1 get no curvature then, and regularisation alone bounds the step.

iLQG only follows gradients. On a plan along which the reward is flat (dm_control's are 0 or 1 over
whole regions: pendulum and reacher far from the goal) it stays where it is.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from planners.backward import backward
from planners.horizon import Latency, RecedingHorizon, Seconds, choose
from planners.interface import Plan, Prior, State, WorldModel
from planners.noise import Noise
from suites.parameters import Count, Discount, checked

SMALLEST_STEP = 1e-3  # of the line search, whose steps are spaced evenly on a logarithmic scale
MU_MIN, MU_MAX, MU_FACTOR = 1e-6, 1e6, 2.0  # Tassa et al. 2012, section II-F
VALUE_EPSILON = 1e-2  # a learned value is float32: smaller differences drown in its rounding


class Differentiable(WorldModel, Protocol):
    """What iLQG needs of a world model. Arrays of states have shape [..., S], S the model's own."""

    def feedback_rollout(
        self,
        state: State,
        plans: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        gains: np.ndarray | None = None,
        reference: State | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, State]:
        """Roll out clip(plans[b, k, h] + gains[b, h] (x - reference[b, h]), low, high).

        Arguments:
          plans: [B, K, H, A]. gains: [B, H, A, n], None for 0. reference: states [B, H + 1, S].

        Returns:
          Rewards [B, K, H] and continuation [B, K, H] as `rollout`, the actions [B, K, H, A] and
          the states [B, K, H + 1, S], of which the first is `state`.
        """
        ...

    def derivatives(
        self, states: State, actions: np.ndarray, lengths: np.ndarray, full: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """Derivatives along trajectories: states [B, H + 1, S], actions [B, H, A].

        With z = (x_h, u_h) and d = n + A, after lengths[b] control steps all 0.

        Returns:
          Of the next state: fx [B, H, n, n] and fu [B, H, n, A]. Of the step's reward as a function
          of z: gradient [B, H, d], and if `full` the Hessian [B, H, d, d] for linear dynamics.
        """
        ...

    def derivative_steps(self, full: bool) -> int:
        """Simulated control steps that `derivatives` takes per control step of a plan."""
        ...

    @property
    def tangent_size(self) -> int:
        """The n of these shapes."""
        ...

    def displace(self, state: State, tangents: np.ndarray) -> State:
        """States [B, M, S] beside states [B, S] by tangents [M, n]; each counts as one step."""
        ...


@dataclass
class Carry:
    """Warm start, already moved on to the next decision.

    Attributes:
      nominal: Actions [B, H, A].
      mu: Regularisation [B], added to the Hessian of the value over states.
      delta: The factor [B] by which mu changed last.
    """

    nominal: np.ndarray
    mu: np.ndarray
    delta: np.ndarray

    def restarted(self, fresh: Any, begun: np.ndarray) -> "Carry":
        """The same, and `fresh` where an episode begins, begun [B]."""
        steps = self.nominal.shape[1]  # that the budget pays for
        return Carry(
            choose(begun, fresh.nominal[:, :steps], self.nominal),
            choose(begun, fresh.mu, self.mu),
            choose(begun, fresh.delta, self.delta),
        )


@dataclass(frozen=True)
class Size:
    """What the budget pays for: horizon, full Hessians, step sizes per line search, iterations."""

    steps: int
    full: bool
    alphas: int
    iterations: int


@dataclass
class Trajectory:
    """The best so far. Rewards and continuation [B, H], actions [B, H, A], states [B, H + 1, S]."""

    rewards: np.ndarray
    continuation: np.ndarray
    actions: np.ndarray
    states: Any
    scores: np.ndarray

    def lengths(self) -> np.ndarray:
        """Control steps [B] until the reward is not finite, or the episode has ended."""
        entered = np.concatenate([np.ones((len(self.rewards), 1)), self.continuation[:, :-1]], 1)
        usable = np.isfinite(self.rewards) & (entered > 0)
        return np.cumprod(usable, axis=1).sum(axis=1)


class ILQG(RecedingHorizon):
    """iLQG over a receding horizon: one action per control step, one or two iterations a decision.

    The budget is kept by this rule. Derivatives take 2d steps per control step of the plan (central
    differences in d = n + A directions) and d (d + 1) + 1 more for the reward's full Hessian, which
    is taken where one iteration with it fits; else its Gauss-Newton approximation. Where that does
    not fit, the horizon shrinks, down to `min_steps`; then the line search. What is left pays for
    more iterations, at most `iterations`. A terminal value takes n (n + 1) steps more for its
    derivatives, 2n without Hessians.

    Arguments:
      budget: Simulated control steps per decision and environment, at most.
      iterations: At most so many per decision; None: 2.
      alphas: Step sizes in a line search; None: 8.
      options: What other optimizers of `planner=mpc` have: None here.
      The rest as in `RecedingHorizon`.

    Raises:
      ValueError: for bad parameters; at the first plan for a model without derivatives, and for a
        budget that does not pay for one iteration.
    """

    needs_derivatives = True

    @checked("planner")
    def __init__(
        self,
        spec: Any,
        budget: Count,
        horizon: Seconds,
        single: Seconds | None = None,
        min_steps: Count = 1,
        max_steps: Count = 1000,
        discount: Discount | None = 1.0,
        latency: Latency = 0.0,
        iterations: Count | None = None,
        alphas: Count | None = None,
        **options: Any,
    ):
        super().__init__(spec, "ilqg", horizon, single, min_steps, max_steps, discount, latency)
        for key, value in options.items():
            if value is not None:
                raise ValueError(
                    f"planner.{key}: optimizer ilqg has no such option; it has iterations, alphas"
                )
        self.budget = budget
        self.min_steps = min(min_steps, self.horizon)
        self.iterations = 2 if iterations is None else iterations
        self.alphas = 8 if alphas is None else alphas

    def init(self, batch: int) -> Carry:
        nominal = np.tile(self.middle, (batch, self.horizon, 1))
        return Carry(nominal, np.zeros(batch), np.ones(batch))

    def plan(
        self, model: Any, prior: Prior, state: State, carry: Carry, noise: Noise
    ) -> tuple[Plan, Carry]:
        """Decide in `state` ([B] environments). Never worse in the model than the nominal."""
        size = self.size(model, prior)
        nominal = carry.nominal[:, : size.steps]
        best = self._best(
            model, prior, model.feedback_rollout(state, nominal[:, None], self.low, self.high)
        )
        before = best.scores
        mu, delta = carry.mu.copy(), carry.delta.copy()
        alphas = np.geomspace(1, SMALLEST_STEP, size.alphas)[:, None, None]
        for _ in range(size.iterations):
            k, gains, expected = self._policy(model, prior, best, size.full, mu, delta)
            plans = best.actions[:, None] + alphas * k[:, None]
            found = self._best(
                model,
                prior,
                model.feedback_rollout(state, plans, self.low, self.high, gains, best.states),
            )
            better = found.scores > best.scores
            for b in range(len(better)):
                if better[b]:
                    mu[b], delta[b] = decrease(mu[b], delta[b])
                elif expected[b] > 0:  # a plan that can't be better needs no shorter steps
                    mu[b], delta[b] = increase(mu[b], delta[b])
            best = _where(better, found, best)
        gained = np.where(np.isfinite(before), best.scores - before, 0)
        plan = Plan(
            best.actions[:, 0],
            best.actions,
            best.scores,
            {"improvement": float(np.mean(gained)), "regularisation": float(np.mean(mu))},
        )
        # A plan on which the physics diverges has no derivatives to repair it: begin anew.
        kept = np.where(np.isfinite(best.scores)[:, None, None], best.actions, self.middle)
        moved = np.minimum(np.arange(size.steps) + self.plan_every, size.steps - 1)
        return plan, Carry(kept[:, moved], mu, delta)

    def size(self, model: Any, prior: Prior) -> Size:
        """What the budget pays for on this model, by the rule of the class."""
        if not hasattr(model, "derivatives"):
            raise ValueError(
                "planner.optimizer is 'ilqg', which needs a model with derivatives, and"
                f" {type(model).__name__} has none; choose another optimizer"
            )
        n = model.tangent_size

        def cost(steps: int, full: bool, alphas: int, iterations: int) -> int:
            per_step = model.derivative_steps(full) + alphas
            terminal = prior.has_value * n * (n + 1 if full else 2)
            return steps * (1 + iterations * per_step) + iterations * terminal

        full = cost(self.horizon, True, self.alphas, 1) <= self.budget
        steps, alphas, iterations = self.horizon, self.alphas, self.iterations
        while steps > self.min_steps and cost(steps, full, alphas, 1) > self.budget:
            steps -= 1
        while alphas > 1 and cost(steps, full, alphas, 1) > self.budget:
            alphas -= 1
        while iterations > 1 and cost(steps, full, alphas, iterations) > self.budget:
            iterations -= 1
        if (needed := cost(steps, full, alphas, iterations)) > self.budget:
            raise ValueError(
                f"planner.budget is {self.budget}: one iteration of ilqg over {steps} control steps"
                f" needs {needed}"
            )
        return Size(steps, full, alphas, iterations)

    def _best(self, model: Any, prior: Prior, rollouts: tuple) -> Trajectory:
        """The best candidate of each environment; of equal ones the first."""
        rewards, continuation, actions, states = rollouts
        scores = self.returns(model, prior, rewards, continuation, states[:, :, -1])
        at = np.arange(len(scores)), np.argmax(scores, axis=1)
        return Trajectory(rewards[at], continuation[at], actions[at], states[at], scores[at])

    def _policy(
        self,
        model: Any,
        prior: Prior,
        best: Trajectory,
        full: bool,
        mu: np.ndarray,
        delta: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Steps k [B, H, A], gains [B, H, A, n], expected decrease of the cost [B].

        `mu` and `delta` are raised in place until the backward pass succeeds; where it never does,
        all three results are 0.
        """
        lengths = best.lengths()
        fx, fu, gradient, hessian = model.derivatives(best.states, best.actions, lengths, full)
        lengths = np.minimum(lengths, _finite(fx, fu, gradient, hessian))
        cost_gradient, cost_hessian = cost_derivatives(best.rewards, gradient, hessian)
        discounts = self.discount_of(prior) ** np.arange(best.rewards.shape[1])
        cost_gradient = cost_gradient * discounts[:, None]
        cost_hessian = cost_hessian * discounts[:, None, None]
        vx, vxx = self._terminal(model, prior, best, lengths, full)
        batch, horizon, size = best.actions.shape
        k, gains = np.zeros((batch, horizon, size)), np.zeros((batch, horizon, size, fx.shape[-1]))
        expected = np.zeros(batch)
        lower, upper = self.low - best.actions, self.high - best.actions
        lower[:, : self.committed] = upper[:, : self.committed] = 0
        for b in range(batch):
            while True:
                done, expected[b] = backward(
                    fx[b],
                    fu[b],
                    cost_gradient[b],
                    cost_hessian[b],
                    vx[b],
                    vxx[b],
                    lower[b],
                    upper[b],
                    lengths[b],
                    mu[b],
                    k[b],
                    gains[b],
                )
                if done or mu[b] >= MU_MAX:
                    break
                mu[b], delta[b] = increase(mu[b], delta[b])
            if not done:
                k[b], gains[b], expected[b] = 0, 0, 0
        return k, gains, expected

    def _terminal(
        self, model: Any, prior: Prior, best: Trajectory, lengths: np.ndarray, full: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient [B, n] and semidefinite Hessian [B, n, n] of the cost after the last step.

        That is the negative value of the prior; its Hessian is a diagonal unless `full`.
        """
        batch, horizon = best.rewards.shape
        n = model.tangent_size
        if not prior.has_value:
            return np.zeros((batch, n)), np.zeros((batch, n, n))

        def values(states: Any) -> np.ndarray:
            features = model.features(states)
            return prior.value(features.reshape(-1, features.shape[-1])).reshape(batch, -1)

        last = best.states[:, -1]
        rows, columns = np.tril_indices(n, -1 if full else -n)
        unit = np.eye(n)
        directions = np.concatenate([unit, unit[rows] + unit[columns]]) * VALUE_EPSILON
        beside = values(model.displace(last, np.concatenate([directions, -directions])))
        up, down = np.split(beside, 2, axis=1)
        reached = (lengths == horizon) & (best.continuation[:, -1] > 0)
        weight = (self.discount_of(prior) ** horizon * reached)[:, None]
        gradient = -weight * (up - down)[:, :n] / (2 * VALUE_EPSILON)
        second = -weight * (up + down - 2 * values(last)) / VALUE_EPSILON**2
        hessian = unit * second[:, :n, None]
        hessian[:, rows, columns] = (second[:, n:] - second[:, rows] - second[:, columns]) / 2
        hessian[:, columns, rows] = hessian[:, rows, columns]
        return np.nan_to_num(gradient), semidefinite(hessian)


def cost_derivatives(
    rewards: np.ndarray, gradient: np.ndarray, hessian: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and positive semidefinite Hessian of 1 - reward; Gauss-Newton's where it is None."""
    if hessian is None:
        cost = (1 - rewards)[..., None, None]
        scale = np.where(cost > 1e-6, 1 / np.maximum(2 * cost, 1e-6), 0)
        scale = np.where(np.isfinite(cost), scale, 0)
        return -gradient, scale * gradient[..., :, None] * gradient[..., None, :]
    return -gradient, semidefinite(-hessian)


def semidefinite(hessian: np.ndarray) -> np.ndarray:
    """The nearest positive semidefinite matrices [..., d, d]; what is not finite counts as 0."""
    values, vectors = np.linalg.eigh(np.nan_to_num(hessian))
    return (vectors * np.maximum(values, 0)[..., None, :]) @ vectors.swapaxes(-1, -2)


def increase(mu: float, delta: float) -> tuple[float, float]:
    """The next higher mu: its factor grows with each increase (Tassa et al. 2012, section II-F)."""
    delta = max(MU_FACTOR, delta * MU_FACTOR)
    return min(max(MU_MIN, mu * delta), MU_MAX), delta


def decrease(mu: float, delta: float) -> tuple[float, float]:
    """The next lower mu, 0 below `MU_MIN`."""
    delta = min(1 / MU_FACTOR, delta / MU_FACTOR)
    return (mu * delta if mu * delta >= MU_MIN else 0.0), delta


def _where(better: np.ndarray, new: Trajectory, old: Trajectory) -> Trajectory:
    def choose(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return Trajectory(
        choose(new.rewards, old.rewards),
        choose(new.continuation, old.continuation),
        choose(new.actions, old.actions),
        choose(new.states, old.states),
        choose(new.scores, old.scores),
    )


def _finite(*arrays: np.ndarray | None) -> np.ndarray:
    """Control steps [B] before the first in which one of the arrays [B, H, ...] is not finite."""
    finite = [np.isfinite(a).reshape(*a.shape[:2], -1).all(axis=2) for a in arrays if a is not None]
    return np.cumprod(np.all(finite, axis=0), axis=1).sum(axis=1)
