"""The dice of sticky actions: 64-bit keys and what is thrown with them.

SplitMix64 (Steele, Lea, Flood 2014, "Fast Splittable Pseudorandom Number Generators", section 5):
a key is a counter, and what is thrown is a hash of it. So all chance that is to come for an
emulator is one number in its state.
"""

import numpy as np

_MASK = 2**64 - 1
_GAMMA = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def throw(key: int) -> tuple[int, float]:
    """The next key, and a number drawn uniformly from [0, 1)."""
    key = (key + _GAMMA) & _MASK
    z = ((key ^ (key >> 30)) * _FIRST) & _MASK
    z = ((z ^ (z >> 27)) * _SECOND) & _MASK
    return key, ((z ^ (z >> 31)) >> 11) / 2**53


def mix(keys: np.ndarray, salt: int | np.ndarray) -> np.ndarray:
    """Other keys [N], by uint64 keys [N] and a salt (one, or [N]): what they throw is unrelated."""
    return _hash(_hash(keys) + np.asarray(salt, np.uint64) * np.uint64(_GAMMA))


def _hash(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
    return z ^ (z >> np.uint64(31))
