"""Noise keyed by (seed, episode, decision), never by the order in which threads arrive."""

from collections.abc import Sequence

import numpy as np


class Noise:
    """Random numbers for one decision in each of B environments.

    The row b of what is drawn is a function of (seed, episodes[b], decision) and of what was drawn
    before it in this decision: it does not depend on the other environments of the batch.
    """

    def __init__(self, seed: int, episodes: Sequence[int], decision: int):
        self._streams = [
            np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, e, decision])))
            for e in episodes
        ]

    @classmethod
    def together(cls, batch: int, seed: int, decision: int) -> "Noise":
        """For environments that are always stepped together, as in training: one stream for all.

        Other numbers than those of any episode below 2^31.
        """
        one = cls(seed, [2**31], decision)
        one._streams *= batch
        return one

    def rows(self, which: np.ndarray) -> "Noise":
        """The same streams for some of the environments."""
        part = Noise.__new__(Noise)
        part._streams = [self._streams[b] for b in which]
        return part

    @property
    def batch(self) -> int:
        """B."""
        return len(self._streams)

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normals [B, *shape]."""
        return np.stack([stream.standard_normal(shape) for stream in self._streams])

    def uniform(self, *shape: int) -> np.ndarray:
        """Uniform on [0, 1), [B, *shape]."""
        return np.stack([stream.random(shape) for stream in self._streams])

    def gumbel(self, *shape: int) -> np.ndarray:
        """Standard Gumbel, [B, *shape]."""
        return np.stack([stream.gumbel(size=shape) for stream in self._streams])

    def dirichlet(self, alpha: float, size: int) -> np.ndarray:
        """Symmetric Dirichlet of that concentration, [B, size]."""
        return np.stack([stream.dirichlet(np.full(size, alpha)) for stream in self._streams])


def coloured(noise: Noise, betas: np.ndarray, size: int, length: int) -> np.ndarray:
    """Gaussian noise [B, N, size, length], variance 1; row n's power falls as frequency^-betas[n].

    beta 0 is white, 1 pink, 2 red. The method of Timmer and Koenig (1995, "On generating power law
    noise"), as in iCEM (Pinneri et al. 2020, section 3.1).
    """
    if length == 1:
        return noise.normal(len(betas), size, length)
    frequency = np.fft.rfftfreq(length)
    frequency[0] = frequency[1]
    scale = frequency ** (-betas[:, None] / 2)
    parts = noise.normal(2, len(betas), size, len(frequency))
    spectrum = (parts[:, 0] + 1j * parts[:, 1]) * scale[:, None]
    # The constant term is real, and so is the last one of an even length: twice the variance there.
    real = [0, -1] if length % 2 == 0 else [0]
    spectrum[..., real] = spectrum[..., real].real * np.sqrt(2)
    power = 2 * scale**2
    power[:, real] /= 2
    deviation = np.sqrt(2 * power.sum(axis=1)) / length
    return np.fft.irfft(spectrum, n=length) / deviation[:, None, None]
