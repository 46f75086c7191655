"""Sampling optimizers: each is two functions, `sample` and `refit`, over a Gaussian on actions.

Shapes: B environments, N candidates, T control steps, A action dimensions. Scores are higher for
better; candidates whose rollout is not finite come with -inf, and rank last.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, ClassVar, TypeVar, cast

import numpy as np

from planners.noise import Noise, coloured
from suites.parameters import Range, Share, checked

Several = Annotated[int, Range(0, 10_000)]
Iterations = Annotated[int, Range(1, 10_000)]
Spread = Annotated[float, Range(1e-6, 1e6)]


@dataclass
class Gaussian:
    """A diagonal Gaussian over action sequences: mean [B, T, A], std [B, T, A].

    Along the knots, the samples' noise goes from the colour `whitest` to the optimizer's `beta`.
    `unit` are half ranges of the action, [A] or one number.
    """

    mean: np.ndarray
    std: np.ndarray
    whitest: float = 0.0
    unit: np.ndarray | float = 1.0


def ranking(scores: np.ndarray) -> np.ndarray:
    """Indices [B, N] from best to worst; ties go to the lower index."""
    return np.argsort(-scores, axis=1, kind="stable")


def take(candidates: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Candidates [B, M, ...] at the indices [B, M]."""
    order = order.reshape(order.shape + (1,) * (candidates.ndim - 2))
    return np.take_along_axis(candidates, order, axis=1)


@dataclass
class Found:
    """What a search has found so far. Shapes: continuous actions have a last axis, A.

    Attributes:
      pool: The best candidates of the last iteration [B, E, T], best first.
      best, score: The best candidate so far [B, T] and its score [B].
      flat: [B] whether all candidates so far had one and the same finite score.
    """

    pool: np.ndarray
    best: np.ndarray
    score: np.ndarray
    flat: np.ndarray

    def note(self, candidates: np.ndarray, scores: np.ndarray, keep: int, flat: np.ndarray) -> None:
        """Take note of an iteration's candidates [B, N, T], scores [B, N]; `keep` stay a pool."""
        order = ranking(scores)[:, : max(keep, 1)]
        self.pool = take(candidates, order)
        top = np.take_along_axis(scores, order, axis=1)[:, 0]
        better = (top > self.score).reshape(-1, *[1] * (self.best.ndim - 1))
        self.best = np.where(better, self.pool[:, 0], self.best)
        self.score = np.maximum(top, self.score)
        self.flat &= flat


def is_flat(scores: np.ndarray) -> np.ndarray:
    """Whether scores [B, N] are one and the same finite number [B].

    Where nothing is finite there is no landscape, and the nominal stays.
    """
    return (np.isfinite(scores) & (scores == scores[:, :1])).all(axis=1)


def begin(nominal: np.ndarray, pool: np.ndarray) -> Found:
    """Nothing yet but a nominal [B, T] and its rivals [B, E, T]."""
    batch = len(nominal)
    return Found(pool, nominal, np.full(batch, -np.inf), np.ones(batch, bool))


def elite_gaussian(
    old: Gaussian, candidates: np.ndarray, scores: np.ndarray, elites: int
) -> Gaussian:
    """Mean and deviation of the best; where fewer are finite, of those."""
    order = ranking(scores)[:, :elites]
    finite = np.isfinite(np.take_along_axis(scores, order, axis=1))[..., None, None]
    best, count = take(candidates, order), np.maximum(finite.sum(axis=1), 1)
    mean = np.where(finite, best, 0).sum(axis=1) / count
    variance = (np.where(finite, best - mean[:, None], 0) ** 2).sum(axis=1) / count
    return replace(old, mean=mean, std=np.sqrt(variance))


def where_finite(scores: np.ndarray, new: Gaussian, old: Gaussian) -> Gaussian:
    """`new`, but `old` in environments where no candidate is finite."""
    some = np.asarray(np.isfinite(scores).any(axis=1))[:, None, None]
    return replace(
        old, mean=np.where(some, new.mean, old.mean), std=np.where(some, new.std, old.std)
    )


@dataclass(frozen=True)
class SamplingOptimizer(ABC):
    """What the optimizers share: candidates are Gaussian noise of several colours around the mean.

    Attributes:
      sigma: First standard deviation, in half ranges of the action.
      beta: Colour of the noise along the knots, up to which the candidates spread.
      iterations: Of sampling and refitting, in a decision.
      keep: How many of the best are candidates again in the next iteration and the next decision.
      guides: Plans of the prior's policy that are candidates in each iteration.
      executes: The `best` candidate or the last `mean`.
      explores: Whether, in training, an action of the last Gaussian is executed instead.
    """

    sigma: Spread = 1.0
    beta: Annotated[float, Range(0.0, 10.0)] = 2.0
    iterations: Iterations = 2
    keep: Several = 0
    guides: Several = 0
    executes: ClassVar[str] = "mean"
    explores: ClassVar[bool] = False

    def sample(self, gaussian: Gaussian, noise: Noise, n: int, spline: np.ndarray) -> np.ndarray:
        """Candidates [B, n, T, A]: noise at P knots, carried to the T steps by `spline` [T, P].

        No one colour serves all tasks (a swing needs slow motion, a spinning finger quick taps), so
        the samples spread from the whitest one to `beta`.
        """
        colours = np.linspace(gaussian.whitest, self.beta, n)
        epsilon = coloured(noise, colours, gaussian.mean.shape[-1], spline.shape[1])
        return gaussian.mean[:, None] + gaussian.std[:, None] * (spline @ epsilon.swapaxes(-1, -2))

    @abstractmethod
    def refit(self, gaussian: Gaussian, candidates: np.ndarray, scores: np.ndarray) -> Gaussian:
        """The Gaussian of the next iteration, from candidates [B, N, T, A], scores [B, N]."""


@checked("planner")
@dataclass(frozen=True)
class PredictiveSampling(SamplingOptimizer):
    """The best of Gaussian samples around the nominal (Howell et al. 2022, Algorithm 1)."""

    sigma: Spread = 0.5

    def refit(self, gaussian: Gaussian, candidates: np.ndarray, scores: np.ndarray) -> Gaussian:
        best = take(candidates, ranking(scores)[:, :1])[:, 0]
        return where_finite(scores, replace(gaussian, mean=best), gaussian)


@checked("planner")
@dataclass(frozen=True)
class MPPI(SamplingOptimizer):
    """Softmax-weighted mean of the samples (Williams et al. 2017, "Information-theoretic MPC").

    Attributes:
      temperature: In standard deviations of the candidates' scores, so that it has no task's units.
    """

    temperature: Spread = 0.3

    def refit(self, gaussian: Gaussian, candidates: np.ndarray, scores: np.ndarray) -> Gaussian:
        finite = np.isfinite(scores)
        clean = np.where(finite, scores, np.nan)
        if not finite.any(axis=1).all():  # rows without a finite score: any number, never used
            clean[~finite.any(axis=1)] = 0
        best = np.nanmax(clean, axis=1, keepdims=True)
        spread = np.nanstd(clean, axis=1, keepdims=True)
        logits = (clean - best) / np.maximum(self.temperature * spread, 1e-12)
        weights = np.where(finite, np.exp(logits), 0.0)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
        mean = np.einsum("bn,bnta->bta", weights, candidates)
        return where_finite(scores, replace(gaussian, mean=mean), gaussian)


@checked("planner")
@dataclass(frozen=True)
class EliteMPPI(SamplingOptimizer):
    """The planner of TD-MPC (Hansen et al. 2022, Algorithm 1; TD-MPC2, 2024, section 3.2).

    The best candidates, weighted by the exponential of their scores, give mean and deviation.

    Attributes:
      elites: Fraction of the candidates that are weighted, at least two of them.
      temperature: Factor of scores in the exponential, in the task's units.
      floor: Least standard deviation, in half ranges of the action.
    """

    sigma: Spread = 2.0
    beta: Annotated[float, Range(0.0, 10.0)] = 0.0
    iterations: Iterations = 6
    elites: Share = 0.125
    temperature: Spread = 0.5
    floor: Annotated[float, Range(0.0, 1e6)] = 0.05
    explores: ClassVar[bool] = True

    def refit(self, gaussian: Gaussian, candidates: np.ndarray, scores: np.ndarray) -> Gaussian:
        order = ranking(scores)[:, : max(2, round(self.elites * candidates.shape[1]))]
        best, score = take(candidates, order), take(scores, order)
        top = np.where(np.isfinite(score[:, :1]), score[:, :1], 0.0)
        weights = np.exp(self.temperature * (score - top))
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
        mean = np.einsum("bn,bnta->bta", weights, best)
        variance = np.einsum("bn,bnta->bta", weights, (best - mean[:, None]) ** 2)
        std = np.maximum(np.sqrt(variance), self.floor * gaussian.unit)
        return where_finite(scores, replace(gaussian, mean=mean, std=std), gaussian)


@checked("planner")
@dataclass(frozen=True)
class CEM(SamplingOptimizer):
    """Cross-entropy method (Rubinstein and Kroese 2004; for MPC, Chua et al. 2018).

    Attributes:
      elites: Fraction of the candidates that refit the Gaussian, at least two of them.
      momentum: Weight of the old Gaussian in the new one.
    """

    iterations: Iterations = 4
    elites: Share = 0.25
    momentum: Share = 0.1

    def refit(self, gaussian: Gaussian, candidates: np.ndarray, scores: np.ndarray) -> Gaussian:
        count = max(2, round(self.elites * candidates.shape[1]))
        new = elite_gaussian(gaussian, candidates, scores, count)
        old, new = gaussian, where_finite(scores, new, gaussian)
        return replace(
            old,
            mean=self.momentum * old.mean + (1 - self.momentum) * new.mean,
            std=self.momentum * old.std + (1 - self.momentum) * new.std,
        )


@checked("planner")
@dataclass(frozen=True)
class ICEM(CEM):
    """CEM with memory, that executes its best candidate (iCEM, Pinneri et al. 2020)."""

    keep: Several = 3
    executes: ClassVar[str] = "best"


SAMPLING: dict[str, type[SamplingOptimizer]] = {
    "predictive_sampling": PredictiveSampling,
    "cem": CEM,
    "icem": ICEM,
    "mppi": MPPI,
    "elite_mppi": EliteMPPI,
}

T = TypeVar("T")


def make_optimizer(name: str, options: dict[str, Any], table: dict[str, type[T]]) -> T:
    """The optimizer of that name with the given options; those that are None keep their default.

    Raises:
      ValueError: for an unknown optimizer, or an option that it does not have.
    """
    if name not in table:
        raise ValueError(
            f"planner.optimizer is '{name}': choose one of {', '.join(sorted([*table, 'ilqg']))}"
        )
    given = {key: value for key, value in options.items() if value is not None}
    known = [field.name for field in fields(cast(Any, table[name]))]
    for key in given:
        if key not in known:
            raise ValueError(
                f"planner.{key}: optimizer {name} has no such option; it has {', '.join(known)}"
            )
    return table[name](**given)
