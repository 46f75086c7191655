"""Model-predictive control with discrete actions: the cross-entropy method over action sequences.

Shapes: B environments, N candidates, T control steps. Within a decision actions count from 0.
Scores are higher for better; candidates whose rollout is not finite come with -inf, and rank last.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from planners.horizon import RecedingHorizon, split_budget
from planners.interface import Plan, Prior, State, WorldModel
from planners.noise import Noise
from planners.sampling import make_optimizer, ranking

# Options of the configuration that have a value for plans of continuous actions.
CONTINUOUS = ("single", "reach", "spline")


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

    explore: float = 0.5
    hold: float = 0.9
    iterations: int = 3
    keep: int = 0
    elites: float = 0.25
    momentum: float = 0.1
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
        best = np.take_along_axis(candidates, order[..., None], axis=1)
        counted = (best[..., None] == np.arange(chances.shape[-1])) & finite[..., None, None]
        total = finite.sum(axis=1)[:, None, None]
        new = counted.sum(axis=1) / np.maximum(total, 1)
        return np.where(total, self.momentum * chances + (1 - self.momentum) * new, chances)


@dataclass(frozen=True)
class ICEM(CEM):
    """CEM with memory, that executes its best candidate (after iCEM, Pinneri et al. 2020)."""

    keep: int = 3
    executes: ClassVar[str] = "best"


CATEGORICAL: dict[str, type[CEM]] = {"cem": CEM, "icem": ICEM}


@dataclass
class Carry:
    """Warm start, already moved on to the next decision.

    Attributes:
      nominal: Actions [B, T] of the plan that was made last.
      elites: Actions [B, E, T] of its best rivals.
      planned: Control steps [B] from now that the nominal was planned for; beyond, it is held.
    """

    nominal: np.ndarray
    elites: np.ndarray
    planned: np.ndarray


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

    def __init__(
        self,
        spec: Any,
        optimizer: str,
        budget: int,
        horizon: float,
        min_steps: int = 1,
        max_steps: int = 1000,
        discount: float = 1.0,
        latency: float = 0.0,
        **options: Any,
    ):
        super().__init__(spec, optimizer, horizon, None, min_steps, max_steps, discount, latency)
        if latency:
            raise ValueError(
                f"planner.latency is {latency}: plans of discrete actions are not late; give 0"
            )
        options = {key: value for key, value in options.items() if key not in CONTINUOUS}
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
        best, score = nominal, np.full(len(nominal), -np.inf)
        flat = np.ones(len(nominal), bool)
        pool = drawn = known
        for iteration, population in enumerate(self.populations):
            known = known[:, : population - 1]
            fresh = optimizer.sample(chances, noise, population - known.shape[1])
            candidates = np.concatenate([known, fresh], axis=1)
            rolled = model.rollout(state, candidates + self.start)
            scores = self.returns(model, prior, *rolled)
            chances = optimizer.refit(chances, candidates, scores)
            order = ranking(scores)[:, : max(self.keep, 1)]
            pool = np.take_along_axis(candidates, order[..., None], axis=1)
            top = np.take_along_axis(scores, order, axis=1)[:, 0]
            best = np.where((top > score)[:, None], pool[:, 0], best)
            score = np.maximum(top, score)
            drawn = candidates[:, -1] if iteration == 0 else drawn  # from what is still wide
            # Where nothing is finite there is no landscape, and the nominal stays.
            flat &= (np.isfinite(scores) & (scores == scores[:, :1])).all(axis=1)
            known = np.concatenate([chances.argmax(axis=-1)[:, None], pool[:, : self.keep]], axis=1)
        found = best
        if optimizer.executes == "mode":
            found = np.where(np.isfinite(score)[:, None], chances.argmax(axis=-1), nominal)
        used_up = flat & (carry.planned <= 0)
        found = np.where(flat[:, None], np.where(used_up[:, None], drawn, nominal), found)
        until = np.where(flat & ~used_up, carry.planned, self.horizon) - 1
        action = found + self.start
        plan = Plan(action[:, 0], action, score, {"flat": float(flat.mean())})
        return plan, Carry(later(found), later(pool[:, : self.keep]), until)

    def _on(self, actions: np.ndarray) -> np.ndarray:
        """Probabilities [..., actions] that are 1 on the actions [...]."""
        return (actions[..., None] == np.arange(self.actions)).astype(float)


def later(actions: np.ndarray) -> np.ndarray:
    """Sequences [..., T] one control step later; the last action is held."""
    return np.concatenate([actions[..., 1:], actions[..., -1:]], axis=-1)
