"""Model-predictive control with discrete actions: the cross-entropy method over action sequences.

Shapes: B environments, N candidates, T control steps. Within a decision actions count from 0.
Scores are higher for better; candidates whose rollout is not finite come with -inf, and rank last.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from planners.horizon import Carry, Latency, RecedingHorizon, Seconds, move_on, split_budget
from planners.interface import Plan, Prior, State, WorldModel
from planners.noise import Noise
from planners.sampling import (
    Iterations,
    Several,
    begin,
    is_flat,
    make_optimizer,
    ranking,
    take,
)
from suites.parameters import Count, Discount, Share, checked


@checked("planner")
@dataclass(frozen=True)
class CEM:
    """Cross-entropy method over a categorical per control step (Rubinstein and Kroese 2004).

    Attributes:
      explore: Share of the uniform distribution in the first one; the rest is on the last plan.
      hold: The highest probability with which a candidate keeps its last action for another step,
        up to which the candidates spread: what coloured noise is to continuous actions.
      iterations: Of sampling and refitting, in a decision.
      keep: How many of the best are candidates again in the next iteration and the next decision.
      elites: Fraction of the candidates that refit the distribution, at least two of them.
      momentum: Weight of the old distribution in the new one (the book's smoothing).
      executes: The `best` candidate or the `mode` of the last distribution.
    """

    explore: Share = 0.5
    hold: Share = 0.9
    iterations: Iterations = 3
    keep: Several = 0
    elites: Share = 0.25
    momentum: Share = 0.1
    executes: ClassVar[str] = "mode"

    def sample(self, chances: np.ndarray, noise: Noise, n: int) -> np.ndarray:
        """Candidates [B, n, T] from the probabilities [B, T, actions]."""
        steps = chances.shape[1]
        drawn, held = noise.uniform(n, steps), noise.uniform(n, steps)
        below = drawn[..., None] >= np.cumsum(chances, axis=-1)[:, None, :, :-1]
        fresh = below.sum(axis=-1)
        holds = held < np.linspace(0, self.hold, n)[:, None]
        holds[..., 0] = False  # there is nothing to hold yet
        since = np.maximum.accumulate(np.where(holds, 0, np.arange(steps)), axis=-1)
        return np.take_along_axis(fresh, since, axis=-1)

    def refit(self, chances: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """The next probabilities [B, T, actions], from candidates [B, N, T], scores [B, N].

        Where fewer than the elites are finite: of those; where none is: the old ones.
        """
        order = ranking(scores)[:, : max(2, round(self.elites * scores.shape[1]))]
        finite = np.isfinite(np.take_along_axis(scores, order, axis=1))
        best = take(candidates, order)
        counted = (best[..., None] == np.arange(chances.shape[-1])) & finite[..., None, None]
        total = finite.sum(axis=1)[:, None, None]
        new = counted.sum(axis=1) / np.maximum(total, 1)
        return np.where(total, self.momentum * chances + (1 - self.momentum) * new, chances)


@checked("planner")
@dataclass(frozen=True)
class ICEM(CEM):
    """CEM with memory, that executes its best candidate (after iCEM, Pinneri et al. 2020)."""

    keep: Several = 3
    executes: ClassVar[str] = "best"


CATEGORICAL: dict[str, type[CEM]] = {"cem": CEM, "icem": ICEM}


class DiscreteMPC(RecedingHorizon):
    """Receding-horizon control with discrete actions.

    Where all candidates score the same (a sparse reward, out of sight), a first sample becomes the
    plan and is carried through, before another is drawn: chance gets somewhere only if it persists.

    Arguments:
      optimizer: `cem` or `icem`.
      budget: Per decision and environment, at most; a simulated step takes `spec.budget_per_step`.
      options: Parameters of the optimizer.
      The rest as in `RecedingHorizon`.

    Raises:
      ValueError: for bad parameters.
    """

    continuous = False

    @checked("planner")
    def __init__(
        self,
        spec: Any,
        optimizer: str,
        budget: Count,
        horizon: Seconds,
        single: Seconds | None = None,
        min_steps: Count = 1,
        max_steps: Count = 1000,
        discount: Discount | None = 1.0,
        latency: Latency = 0.0,
        **options: Any,
    ):
        super().__init__(spec, optimizer, horizon, single, min_steps, max_steps, discount, latency)
        if latency:
            raise ValueError(
                f"planner.latency is {latency}: plans of discrete actions are not late; give 0"
            )
        self.optimizer = make_optimizer(optimizer, options, CATEGORICAL)
        iterations, per_step = self.optimizer.iterations, spec.budget_per_step
        self.populations = split_budget(budget, self.horizon, iterations, per_step)
        self.keep = min(self.optimizer.keep, min(self.populations) // 4)  # most are fresh
        self.actions, self.start = int(spec.action_space.n), int(spec.action_space.start)

    def init(self, batch: int) -> Carry:
        nominal = np.zeros((batch, self.horizon), np.int64)
        return Carry(nominal, nominal[:, None][:, :0], np.zeros(batch, int))

    def plan(
        self, model: WorldModel, prior: Prior, state: State, carry: Carry, noise: Noise
    ) -> tuple[Plan, Carry]:
        """Decide in `state` ([B] environments). The nominal is the first candidate."""
        optimizer, nominal = self.optimizer, carry.nominal
        planned = np.arange(self.horizon) < carry.planned[:, None]
        explore = np.where(planned, optimizer.explore, 1.0)[..., None]
        chances = explore / self.actions + (1 - explore) * self._on(nominal)
        known = np.concatenate([nominal[:, None], carry.elites], axis=1)
        found, drawn = begin(nominal, known), nominal
        for iteration, population in enumerate(self.populations):
            known = known[:, : population - 1]
            fresh = optimizer.sample(chances, noise, population - known.shape[1])
            candidates = np.concatenate([known, fresh], axis=1)
            rolled = model.rollout(state, candidates + self.start)
            scores = self.returns(model, prior, *rolled)
            chances = optimizer.refit(chances, candidates, scores)
            found.note(candidates, scores, self.keep, is_flat(scores))
            drawn = candidates[:, -1] if iteration == 0 else drawn  # from what is still wide
            elites = found.pool[:, : self.keep]
            known = np.concatenate([chances.argmax(axis=-1)[:, None], elites], axis=1)
        best, flat = found.best, found.flat
        if optimizer.executes == "mode":
            best = np.where(np.isfinite(found.score)[:, None], chances.argmax(axis=-1), nominal)
        used_up = flat & (carry.planned <= 0)
        best = np.where(flat[:, None], np.where(used_up[:, None], drawn, nominal), best)
        until = np.where(flat & ~used_up, carry.planned, self.horizon) - 1
        action = best + self.start
        plan = Plan(action[:, 0], action, found.score, {"flat": float(flat.mean())})
        elites = move_on(found.pool[:, : self.keep], 1, axis=-1)
        return plan, Carry(move_on(best, 1, axis=-1), elites, until)

    def _on(self, actions: np.ndarray) -> np.ndarray:
        """Probabilities [..., actions] that are 1 on the actions [...]."""
        return (actions[..., None] == np.arange(self.actions)).astype(float)
