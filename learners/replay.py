"""A replay memory of preallocated rows."""

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from learners.interface import Transitions
from learners.squashed import ActionBox, OneHot


class Batch(NamedTuple):
    """Transitions drawn from a memory, float32 tensors.

    Attributes:
      observation, next_observation: [N, O]. action: [N, A], in [-1, 1].
      reward: [N]. continuation: [N], 0 where the episode terminated, else 1.
    """

    observation: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    continuation: torch.Tensor
    next_observation: torch.Tensor


def allocate(shape: tuple[int, ...], dtype: Any, folder: Path) -> np.ndarray:
    """An array, in a file of `folder` where it is larger than half of the machine's memory.

    The file has no name from the beginning, so that nothing is left of it. Pages are not touched
    before they are written to.

    Raises:
      ValueError: where it is too large for that, too.
    """
    size = math.prod(map(int, shape)) * np.dtype(dtype).itemsize
    if size <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2:
        return np.empty(shape, dtype)
    path = folder / f".replay-{os.getpid()}-{id(shape)}"
    try:
        return np.memmap(path, dtype, "w+", shape=shape)
    except (OSError, OverflowError, ValueError) as error:
        raise ValueError(
            f"a replay memory of {size / 2**30:,.0f} GiB fits neither into memory nor into a file"
            f" of {folder}: give a smaller learner.capacity"
        ) from error
    finally:
        path.unlink(missing_ok=True)


class Replay:
    """The last `capacity` transitions, from which batches are drawn uniformly.

    A transition is one row, observation, action, reward, continuation and next observation side by
    side, so that a batch is one gathering of rows.

    Attributes:
      added: Transitions so far, also those that have been overwritten.
      forgotten: How many of them were lost with an interrupted training.
    """

    def __init__(self, capacity: int, observation: int, box: ActionBox | OneHot, folder: Path):
        self.capacity, self.size, self.box = capacity, observation, box
        self._widths = (observation, box.size, 1, 1, observation)
        self.rows = allocate((capacity, sum(self._widths)), np.float32, folder)
        self._tensor = torch.from_numpy(self.rows)
        self.added = self.forgotten = 0

    def __len__(self) -> int:
        return min(self.added - self.forgotten, self.capacity)

    def forget(self, added: int) -> None:
        """Become as if so many transitions had been added, and lost."""
        self.added = self.forgotten = added

    def add(self, transitions: Transitions) -> None:
        """Add a transition of each environment."""
        batch = len(transitions.reward)
        parts = (
            transitions.observation,
            self.box.to_unit(transitions.action),
            transitions.reward[:, None],
            ~transitions.terminated[:, None],
            transitions.next_observation,
        )
        place = (self.added - self.forgotten + np.arange(batch)) % self.capacity
        start = 0
        for part, width in zip(parts, self._widths, strict=True):
            self.rows[place, start : start + width] = part
            start += width
        self.added += batch

    def sample(self, size: int, generator: torch.Generator, device: torch.device) -> Batch:
        """A batch, with replacement."""
        which = torch.randint(len(self), (size,), generator=generator)
        return self._batch(self._tensor.index_select(0, which).to(device))

    def everything(self, device: torch.device) -> Batch:
        """All transitions, in no particular order."""
        return self._batch(self._tensor[: len(self)].to(device))

    def _batch(self, rows: torch.Tensor) -> Batch:
        observation, action, reward, continuation, following = rows.split(self._widths, dim=1)
        return Batch(observation, action, reward[:, 0], continuation[:, 0], following)

    def since(self, added: int) -> torch.Tensor:
        """Observations [N, O] of what was added after the first `added` transitions."""
        new = np.arange(max(added, self.added - len(self)), self.added) - self.forgotten
        return torch.from_numpy(self.observations(new % self.capacity))

    def observations(self, which: np.ndarray) -> np.ndarray:
        """Observations [N, O] of some rows, counted from 0."""
        return self.rows[which, : self.size]

    def state(self) -> dict[str, Any]:
        """The rows that are filled, and how many were added."""
        rows = self.rows[: len(self)]
        return {"rows": rows, "added": self.added, "forgotten": self.forgotten}

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` said."""
        rows = np.asarray(state["rows"])
        self.rows[: len(rows)] = rows
        self.added, self.forgotten = int(state["added"]), int(state["forgotten"])
