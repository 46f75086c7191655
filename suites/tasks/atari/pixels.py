"""What learners see of a game: the last four pictures, grey and small.

As in Mnih et al. 2015, *Human-level control through deep reinforcement learning* (Methods,
"Preprocessing"), and Machado et al. 2018: of each decision the brighter of its last two frames, in
ALE's grey, 84 x 84.
"""

from math import gcd

import numpy as np
from numba import njit

import suites.tasks.compile_cache  # noqa: F401  (before Numba compiles anything)
from suites.tasks.atari.emulator import Emulator

SIZE = 84  # pixels of a side
STACK = 4  # pictures


class Pixels:
    """The pictures of some emulators, from now on.

    The first picture of an episode is of the one frame that it begins with, and those before are
    black. Where the game ends before the last frame of a decision, the picture is of its last one.

    Attributes:
      stacks: uint8 [B, 4, 84, 84], the newest picture last; not to be kept, since it changes.
    """

    def __init__(self, emulators: list[Emulator]):
        height, width = emulators[0].screen_shape
        self._frames = np.zeros((len(emulators), 2, height, width), np.uint8)
        for emulator, frames in zip(emulators, self._frames, strict=True):
            emulator.frames = frames
        self._shares = *shares(height), *shares(width)
        self.stacks = np.zeros((len(emulators), STACK, SIZE, SIZE), np.uint8)

    def begin(self, which: int) -> None:
        """Take the first picture of an emulator's episode."""
        self.stacks[which, :-1] = 0
        brighter(self._frames[which], *self._shares, self.stacks[which, -1])

    def follow(self) -> None:
        """Take a picture of the decision that each emulator has made."""
        self.stacks[:, :-1] = self.stacks[:, 1:]
        for frames, stack in zip(self._frames, self.stacks, strict=True):
            brighter(frames, *self._shares, stack[-1])


def shares(length: int) -> tuple[np.ndarray, np.ndarray]:
    """How much of a small pixel each of the large ones takes, along an axis of `length`.

    Returns:
      The first large pixel of each small one [84], and the shares of it and of those that follow,
      [84, K]: whole numbers, whose sum is the same for each small pixel.
    """
    large, small = SIZE // gcd(length, SIZE), length // gcd(length, SIZE)  # in a common unit
    begin = np.arange(SIZE) * small
    count = max(-(-(b + small) // large) - b // large for b in begin.tolist())
    first = np.minimum(begin // large, length - count)
    edges = (first[:, None] + np.arange(count + 1)) * large
    inside = np.clip(edges, begin[:, None], begin[:, None] + small)
    return first, np.diff(inside).astype(np.float32)


@njit(cache=True)
def brighter(frames, first_row, row_shares, first_column, column_shares, picture):
    """The brighter of two frames [2, H, W], shrunk by area into a picture [84, 84].

    Rounded once, a half to the even number: until then all are whole numbers below 2^24.
    """
    width = frames.shape[2]
    area = row_shares[0].sum() * column_shares[0].sum()
    row = np.empty(width, np.float32)
    for y in range(len(first_row)):
        row[:] = 0
        for k in range(row_shares.shape[1]):
            share, at = row_shares[y, k], first_row[y] + k
            for x in range(width):
                row[x] += share * max(frames[0, at, x], frames[1, at, x])
        for x in range(len(first_column)):
            total = np.float32(0)
            for k in range(column_shares.shape[1]):
                total += column_shares[x, k] * row[first_column[x] + k]
            picture[y, x] = np.rint(total / area)
