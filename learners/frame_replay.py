"""A replay memory for discrete actions that stores each frame once.

Mnih et al. (2015), "Human-level control through deep reinforcement learning"; by priority: Schaul
et al. (2016), "Prioritized Experience Replay".
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from learners.convolutions import pictures
from learners.interface import Transitions
from learners.replay import allocate
from learners.sum_tree import SumTree

SMALLEST_ERROR = 1e-6  # so that no priority is 0


class Batch(NamedTuple):
    """Transitions drawn from a memory, over as many steps as there are up to n.

    Attributes:
      observations: [2 N, *O] of bytes or float32: the first N as they were decided in, then those
        N that the n steps led to. Where the episode terminated, nothing depends on the latter.
      action: [N] int64, from 0.
      reward: [N], the discounted sum of the steps' rewards.
      discount: [N], of the value of what follows; 0 where the episode terminated.
      weight: [N], importance weights, at most 1; 1 where all are drawn alike.
      places: [N], for `prioritise`.
    """

    observations: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    discount: torch.Tensor
    weight: torch.Tensor
    places: np.ndarray


class FrameReplay:
    """Rings of frames, one for each environment.

    In a ring, an episode is a run of consecutive frames: those of its first stack, as the task gave
    it, then the newest frame of each observation, up to that of the last one. So a stack is a
    frame and those before it, and what n steps led to lies n frames on. An observation that is no
    stack of pictures is a single frame.

    A decision can be drawn once its n steps are there, or the episode's end, until the first
    frame of its stack is overwritten.

    Arguments:
      capacity: Frames that it holds, so nearly as many decisions.
      space: Of observations: uint8 [stack, height, width], or any other.
      start: The first of the task's discrete actions.
      n_step: Rewards of a return, fewer at an episode's end.
      discount: Per decision.
      exponent: Of priorities; 0: all are drawn alike.
      reward_clip: Rewards are clipped to [-clip, clip]; None: they are not.

    Attributes:
      added: Decisions so far, also those that have been overwritten.
      forgotten: How many of them were lost with an interrupted training.

    Raises:
      ValueError: for bad parameters.
    """

    def __init__(
        self,
        capacity: int,
        space: Any,
        start: int,
        num_envs: int,
        n_step: int,
        discount: float,
        folder: Path,
        exponent: float = 0.0,
        reward_clip: float | None = None,
    ):
        self._shape = space.shape
        self._pictures = pictures(space)
        self.stack = space.shape[0] if self._pictures else 1
        frame = space.shape[1:] if self._pictures else space.shape
        self.num_envs, self.n_step, self.start = num_envs, n_step, start
        self.exponent, self.reward_clip = exponent, reward_clip
        self.length = -(-capacity // num_envs)  # frames of a ring
        least = n_step + 2 * self.stack + 2
        if self.length < least:
            raise ValueError(
                f"learner.capacity is {capacity}: give at least {least} for each of"
                f" {num_envs} environments"
            )
        self._size = size = self.length * num_envs
        # Place p: frame p // num_envs of the ring of environment p % num_envs.
        dtype = np.uint8 if space.dtype == np.uint8 else np.float32
        self.frames = allocate((size, *frame), dtype, folder)
        self._pixels = torch.from_numpy(self.frames).view(size, -1)
        self._action, self._reward = np.zeros(size, np.int32), np.zeros(size, np.float32)
        self._terminated, self._ended = np.zeros(size, bool), np.zeros(size, bool)
        self._ready = np.zeros(size, bool)
        self._tree = SumTree(size) if exponent > 0 else None
        self._greatest = 1.0  # priority so far, which new decisions get
        self._head = np.full(num_envs, -1)  # frames so far of each environment, less one
        self._age = np.zeros(num_envs, np.int64)  # decisions so far of its episode
        self._count = self.added = self.forgotten = 0
        self._discounts = discount ** np.arange(n_step + 1)
        self._envs = np.arange(num_envs)

    def __len__(self) -> int:
        """How many decisions can be drawn."""
        return self._count

    def add(self, transitions: Transitions) -> None:
        """Add a decision of each environment.

        Raises:
          ValueError: where a stack has not moved on by one frame.
        """
        seen, following = transitions.observation, transitions.next_observation
        if not self._pictures:
            seen, following = seen[:, None], following[:, None]
        if not np.array_equal(seen[:, 1:], following[:, :-1]):
            raise ValueError(
                "a decision must move a stack of frames on by one: leave planner.repeat at 1"
            )
        begin = np.flatnonzero(transitions.start | (self._head < 0))
        self._age[begin] = 0
        for k in range(self.stack if len(begin) else 0):
            self._push(begin, seen[begin, k])
        now = self._places(self._envs)
        clip = np.inf if self.reward_clip is None else self.reward_clip
        ended = transitions.terminated | transitions.truncated
        self._action[now] = transitions.action - self.start
        self._reward[now] = np.clip(transitions.reward, -clip, clip)
        self._terminated[now], self._ended[now] = transitions.terminated, ended
        self._push(self._envs, following[:, -1])
        back = np.arange(self.n_step)
        whole = (back <= self._age[:, None]) & (ended[:, None] | (back == self.n_step - 1))
        self._mark((now[:, None] - self.num_envs * back)[whole] % self._size, True)
        self._age += 1
        self.added += self.num_envs

    def forget(self, added: int) -> None:
        """Become as if so many decisions had been added, and lost."""
        self.added = self.forgotten = added

    def _places(self, envs: np.ndarray) -> np.ndarray:
        """Of their newest frames."""
        return self._head[envs] % self.length * self.num_envs + envs

    def _push(self, envs: np.ndarray, frames: np.ndarray) -> None:
        """Write the next frame of these environments; no stack may reach back to what was there."""
        self._head[envs] += 1
        places = self._places(envs)
        self.frames[places] = frames
        gone = (places[:, None] + self.num_envs * np.arange(self.stack)).ravel() % self._size
        self._mark(gone[self._ready[gone]], False)

    def _mark(self, places: np.ndarray, ready: bool) -> None:
        if len(places) == 0:
            return
        self._ready[places] = ready
        self._count += len(places) if ready else -len(places)
        if self._tree:
            self._tree.set(places, self._greatest if ready else 0.0)

    def sample(
        self, size: int, generator: torch.Generator, device: torch.device, beta: float = 1.0
    ) -> Batch:
        """A batch, with replacement, by priority or uniformly.

        By priority p of a sum P the importance weights are (N p / P)^-beta, over the greatest of
        the batch (Schaul et al. 2016, section 3.4).
        """
        weight = np.ones(size)
        if self._tree:
            uniform = torch.rand(size, generator=generator, dtype=torch.float64).numpy()
            places = self._tree.sample(uniform)
            weight = (self._tree[places] * (self._count / self._tree.total)) ** -beta
            weight /= weight.max()
        else:
            places = self._uniform(size, generator)
        steps, reward = self._returns(places)
        last = (places + self.num_envs * (steps - 1)) % self._size
        discount = np.where(self._terminated[last], 0.0, self._discounts[steps])
        numbers = np.stack([reward, discount, weight]).astype(np.float32)
        action = torch.from_numpy(self._action[places].astype(np.int64)).to(device)
        reward, discount, weight = torch.from_numpy(numbers).to(device)
        observations = self.observations(np.concatenate([places, last + self.num_envs]))
        return Batch(observations.to(device), action, reward, discount, weight, places)

    def _uniform(self, size: int, generator: torch.Generator) -> np.ndarray:
        """Places of decisions that can be drawn, each as likely as any other."""
        written = self._filled * self.num_envs
        places = torch.randint(written, (size,), generator=generator).numpy()
        while len(wrong := np.flatnonzero(~self._ready[places])):
            again = torch.randint(written, (len(wrong),), generator=generator)
            places[wrong] = again.numpy()
        return places

    def _returns(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many rewards [N] there are up to n, and their discounted sums [N]."""
        steps = (places[:, None] + self.num_envs * np.arange(self.n_step)) % self._size
        over = np.logical_or.accumulate(self._ended[steps], axis=1)
        going = np.ones(steps.shape, bool)
        going[:, 1:] = ~over[:, :-1]
        rewards = np.where(going, self._reward[steps] * self._discounts[:-1], 0.0)
        return going.sum(axis=1), rewards.sum(axis=1)

    def observations(self, places: np.ndarray) -> torch.Tensor:
        """[N, *O] whose newest frames lie there."""
        back = np.arange(1 - self.stack, 1)
        wanted = (places[:, None] + self.num_envs * back) % self._size
        drawn = self._pixels.index_select(0, torch.from_numpy(wanted.ravel()))
        return drawn.view(len(places), *self._shape)

    def prioritise(self, places: np.ndarray, errors: np.ndarray) -> None:
        """Give what was drawn the priorities of its errors [N], at least 0."""
        assert self._tree
        priorities = (errors.astype(np.float64) + SMALLEST_ERROR) ** self.exponent
        self._tree.set(places, priorities)
        self._greatest = max(self._greatest, float(priorities.max()))

    @property
    def _filled(self) -> int:
        """Frames of the ring that has most."""
        return min(int(self._head.max()) + 1, self.length)

    def state(self) -> dict[str, Any]:
        """What is filled, by name."""
        end = self._filled * self.num_envs
        arrays = {name.lstrip("_"): getattr(self, name)[:end] for name in _ARRAYS}
        if self._tree:
            arrays["priorities"] = self._tree[slice(end)]
        numbers = {"greatest": self._greatest, "added": self.added, "forgotten": self.forgotten}
        return {**arrays, "head": self._head, "age": self._age, **numbers}

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` said."""
        end = len(state["ready"])
        for name in _ARRAYS:
            getattr(self, name)[:end] = state[name.lstrip("_")]
        if self._tree:
            self._tree.set(np.arange(end), np.asarray(state["priorities"]))
        self._head[:], self._age[:] = state["head"], state["age"]
        self._greatest, self.added = float(state["greatest"]), int(state["added"])
        self.forgotten = int(state["forgotten"])
        self._count = int(self._ready.sum())


_ARRAYS = ("frames", "_action", "_reward", "_terminated", "_ended", "_ready")
