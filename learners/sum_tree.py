"""A sum tree: numbers drawn in proportion to their priorities, in logarithmic time.

Schaul et al. (2016), "Prioritized Experience Replay", appendix B.2.1.
"""

import numpy as np


class SumTree:
    """Priorities of the places 0 to `size` - 1, at first 0.

    A node holds the sum of its two children, always computed from them anew: what the tree says is
    a function of the priorities alone, and not of the order in which they came.
    """

    def __init__(self, size: int):
        self._depth = max(size - 1, 0).bit_length()
        self._leaves = 1 << self._depth
        self._sums = np.zeros(2 * self._leaves)

    @property
    def total(self) -> float:
        """The sum of all priorities."""
        return float(self._sums[1])

    def __getitem__(self, places: np.ndarray | slice) -> np.ndarray:
        """Priorities of these places."""
        return self._sums[self._leaves :][places]

    def set(self, places: np.ndarray, priorities: np.ndarray | float) -> None:
        """Give priorities [N] to places [N]; where one is named twice, the last one counts."""
        sums, node = self._sums, places + self._leaves
        sums[node] = priorities
        for _ in range(self._depth):
            node >>= 1
            left = 2 * node
            sums[node] = sums[left] + sums[left + 1]

    def find(self, mass: np.ndarray) -> np.ndarray:
        """The places [N] at which the running sum of priorities passes `mass` [N].

        Never one of priority 0, as long as there is another, whatever the rounding.
        """
        sums, mass, node = self._sums, mass.copy(), np.ones(len(mass), np.int64)
        for _ in range(self._depth):
            node *= 2
            left = sums[node]
            right = (mass >= left) & (sums[node + 1] > 0)
            mass -= left * right
            node += right
        return node - self._leaves

    def sample(self, uniform: np.ndarray) -> np.ndarray:
        """Places [N] by priority, one of each N-th of the total, for uniform numbers [N]."""
        return self.find((np.arange(len(uniform)) + uniform) * (self.total / len(uniform)))
