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
