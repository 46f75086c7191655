"""Sampling optimizers: each is two functions, `sample` and `refit`, over a Gaussian on knots.

Shapes: B environments, N candidates, P knots, A action dimensions. Scores are higher for better;
candidates whose rollout is not finite come with -inf, and rank last.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from planners.noise import Noise, coloured


@dataclass
class Gaussian:
    """A diagonal Gaussian over knots: mean [B, P, A], std [B, P, A]."""

    mean: np.ndarray
    std: np.ndarray


def perturb(gaussian: Gaussian, noise: Noise, n: int, beta: float) -> np.ndarray:
    """n samples [B, n, P, A], whose noise along the knots is coloured with exponent `beta`."""
    _, knots, size = gaussian.mean.shape
    epsilon = coloured(noise, (n, size), knots, beta).swapaxes(-1, -2)
    return gaussian.mean[:, None] + gaussian.std[:, None] * epsilon


def ranking(scores: np.ndarray) -> np.ndarray:
    """Indices [B, N] from best to worst; ties go to the lower index."""
    return np.argsort(-scores, axis=1, kind="stable")


def take(candidates: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Candidates [B, M, P, A] at the indices [B, M]."""
    return np.take_along_axis(candidates, order[:, :, None, None], axis=1)


def elite_gaussian(candidates: np.ndarray, scores: np.ndarray, elites: int) -> Gaussian:
    """Mean and deviation of the best; where fewer are finite, of those."""
    order = ranking(scores)[:, :elites]
    finite = np.isfinite(np.take_along_axis(scores, order, axis=1))[..., None, None]
    best, count = take(candidates, order), np.maximum(finite.sum(axis=1), 1)
    mean = np.where(finite, best, 0).sum(axis=1) / count
    variance = (np.where(finite, best - mean[:, None], 0) ** 2).sum(axis=1) / count
    return Gaussian(mean, np.sqrt(variance))


def where_finite(scores: np.ndarray, new: Gaussian, old: Gaussian) -> Gaussian:
    """`new`, but `old` in environments where no candidate is finite."""
    some = np.isfinite(scores).any(axis=1, keepdims=True)[..., None]
    return Gaussian(np.where(some, new.mean, old.mean), np.where(some, new.std, old.std))


@dataclass(frozen=True)
class PredictiveSampling:
    """The best of Gaussian samples around the nominal (Howell et al. 2022, Algorithm 1).

    Attributes:
      sigma: Standard deviation, in half ranges of the action.
      beta: Exponent of the noise's colour along the knots.
    """

    sigma: float = 0.3
    beta: float = 0.0
    iterations: int = 1
    executes: ClassVar[str] = "mean"
    keep: ClassVar[int] = 0

    def sample(self, gaussian: Gaussian, noise: Noise, n: int) -> np.ndarray:
        return perturb(gaussian, noise, n, self.beta)

    def refit(self, gaussian: Gaussian, candidates: np.ndarray, scores: np.ndarray) -> Gaussian:
        best = take(candidates, ranking(scores)[:, :1])[:, 0]
        return where_finite(scores, Gaussian(best, gaussian.std), gaussian)


@dataclass(frozen=True)
class MPPI:
    """Softmax-weighted mean of the samples (Williams et al. 2017, "Information-theoretic MPC").

    Attributes:
      temperature: In standard deviations of the candidates' scores, so that it has no task's units.
    """

    sigma: float = 0.5
    beta: float = 0.0
    temperature: float = 0.3
    iterations: int = 1
    executes: ClassVar[str] = "mean"
    keep: ClassVar[int] = 0

    def sample(self, gaussian: Gaussian, noise: Noise, n: int) -> np.ndarray:
        return perturb(gaussian, noise, n, self.beta)

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
        mean = np.einsum("bn,bnpa->bpa", weights, candidates)
        return where_finite(scores, Gaussian(mean, gaussian.std), gaussian)


@dataclass(frozen=True)
class CEM:
    """Cross-entropy method (Rubinstein and Kroese 2004; for MPC, Chua et al. 2018).

    Attributes:
      elites: Fraction of the candidates that refit the Gaussian, at least two of them.
      momentum: Weight of the old Gaussian in the new one.
      keep: How many elites are candidates again in the next iteration and the next decision.
    """

    sigma: float = 0.5
    beta: float = 0.0
    iterations: int = 4
    elites: float = 0.25
    momentum: float = 0.1
    keep: int = 0
    executes: ClassVar[str] = "mean"

    def sample(self, gaussian: Gaussian, noise: Noise, n: int) -> np.ndarray:
        return perturb(gaussian, noise, n, self.beta)

    def refit(self, gaussian: Gaussian, candidates: np.ndarray, scores: np.ndarray) -> Gaussian:
        count = max(2, round(self.elites * candidates.shape[1]))
        new = elite_gaussian(candidates, scores, count)
        old, new = gaussian, where_finite(scores, new, gaussian)
        return Gaussian(
            self.momentum * old.mean + (1 - self.momentum) * new.mean,
            self.momentum * old.std + (1 - self.momentum) * new.std,
        )


@dataclass(frozen=True)
class ICEM(CEM):
    """CEM with coloured noise and memory, that executes its best candidate (Pinneri et al. 2020)."""

    beta: float = 2.0
    iterations: int = 4
    keep: int = 3
    executes: ClassVar[str] = "best"


SamplingOptimizer = PredictiveSampling | MPPI | CEM
SAMPLING: dict[str, type[SamplingOptimizer]] = {
    "predictive_sampling": PredictiveSampling,
    "cem": CEM,
    "icem": ICEM,
    "mppi": MPPI,
}
