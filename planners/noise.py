"""Noise that depends on (seed, episode, decision) alone, never on the order in which threads arrive."""

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


def coloured(noise: Noise, shape: tuple[int, ...], length: int, beta: float) -> np.ndarray:
    """Gaussian noise [B, *shape, length] whose power falls as frequency^-beta; variance 1.

    beta 0 is white, 1 pink, 2 red. The method of Timmer and Koenig (1995, "On generating power law
    noise"), as in iCEM (Pinneri et al. 2020, section 3.1).
    """
    if beta == 0 or length == 1:
        return noise.normal(*shape, length)
    frequency = np.fft.rfftfreq(length)
    frequency[0] = frequency[1]
    scale = frequency ** (-beta / 2)
    parts = noise.normal(2, *shape, len(frequency))
    spectrum = (parts[:, 0] + 1j * parts[:, 1]) * scale
    # The constant term is real, and so is the last one of an even length: twice the variance there.
    real = [0, -1] if length % 2 == 0 else [0]
    spectrum[..., real] = spectrum[..., real].real * np.sqrt(2)
    power = 2 * scale**2
    if length % 2 == 0:
        power[-1] /= 2
    power[0] /= 2
    deviation = np.sqrt(2 * power.sum()) / length
    return np.fft.irfft(spectrum, n=length) / deviation
