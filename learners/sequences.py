"""A memory of whole episodes, from which runs of consecutive decisions are drawn."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from learners.interface import Transitions
from learners.replay import allocate

_TRIES = 1000  # draws of starts, before it is said that there is nothing to draw


class Sequences(NamedTuple):
    """N runs of T decisions, time first, on the device that was asked for.

    Beyond the end of an episode its last observation is repeated, with rewards 0, the first action
    and terminations as they were.

    Attributes:
      observation: [T + 1, N, *O], bytes or float32.
      action: [T, N, A] in float32 as it was chosen, or [T, N] int64, from 0, where discrete.
      reward: [T, N].
      terminated: [T, N] float32, 1 from where the episode came to an end of its own.
      valid: [T, N] float32, 1 where the decision was made, 0 beyond the end.
      held: [T, N] float32, control steps that it lasted; 0 beyond the end.
      policy: [T + 1, N, n] that the planner found; 0 where nothing was decided. Empty where
        policies are not kept.
      places: [N], of the first decisions.
    """

    observation: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    terminated: torch.Tensor
    valid: torch.Tensor
    held: torch.Tensor
    policy: torch.Tensor
    places: np.ndarray


class SequenceReplay:
    """Rings of decisions, one for each environment.

    An episode of T decisions takes T + 1 rows: the last one holds the observation that it ended
    with, and no decision.

    Arguments:
      capacity: Rows that it holds.
      spec: Facts of the task: `observation_space` and `action_space`.
      actions: Of a policy that is kept beside each decision; 0: none is.

    Attributes:
      added: Decisions so far, also those that have been overwritten.
      forgotten: How many of them were lost with an interrupted training.

    Raises:
      ValueError: for bad parameters.
    """

    def __init__(self, capacity: int, spec: Any, num_envs: int, folder: Path, actions: int = 0):
        self.num_envs, self.length = num_envs, capacity // num_envs
        if self.length < 2:
            raise ValueError(f"capacity is {capacity}: give at least {2 * num_envs}")
        space, size = spec.observation_space, self.length * num_envs
        self._discrete = hasattr(spec.action_space, "n")
        self._first = int(spec.action_space.start) if self._discrete else 0
        # Place p: row p // num_envs of the ring of environment p % num_envs.
        of = np.uint8 if space.dtype == np.uint8 else np.float32
        acted = () if self._discrete else spec.action_space.shape
        self._arrays = {
            "observation": allocate((size, *space.shape), of, folder),
            "action": np.zeros((size, *acted), np.int64 if self._discrete else np.float32),
            "reward": np.zeros(size, np.float32),
            "terminated": np.zeros(size, bool),
            "held": np.zeros(size, np.float32),
            "policy": np.zeros((size, actions), np.float32),
            "episode": np.full(size, -1, np.int64),  # -1: nothing is there
            "decided": np.zeros(size, bool),
        }
        self._rows = np.zeros(num_envs, np.int64)  # written so far in each ring
        self._episodes = np.arange(num_envs)  # the one at work in each
        self.added = self.forgotten = 0

    def forget(self, added: int) -> None:
        """Become as if so many decisions had been added, and lost."""
        self.added = self.forgotten = added

    def __len__(self) -> int:
        """Rows that are filled."""
        return int(np.minimum(self._rows, self.length).sum())

    def add(self, transitions: Transitions) -> None:
        """Take in a decision of each environment."""
        arrays, batch = self._arrays, len(transitions.reward)
        envs = np.arange(batch)
        p = self._next(envs)
        arrays["observation"][p] = transitions.observation
        arrays["action"][p] = transitions.action - self._first
        arrays["reward"][p] = transitions.reward
        arrays["terminated"][p] = transitions.terminated
        arrays["held"][p] = transitions.held
        arrays["decided"][p] = True
        if arrays["policy"].shape[1]:
            missing = np.zeros(arrays["policy"].shape[1])
            arrays["policy"][p] = missing if transitions.policy is None else transitions.policy
        self.added += batch
        ended = np.flatnonzero(transitions.terminated | transitions.truncated)
        if ended.size:
            p = self._next(ended)
            arrays["observation"][p] = transitions.next_observation[ended]
            for name in ("action", "reward", "terminated", "held", "policy", "decided"):
                arrays[name][p] = 0
            self._episodes[ended] += self.num_envs

    def _next(self, envs: np.ndarray) -> np.ndarray:
        """Places of the next rows of some environments, now taken by their episodes."""
        p = self._rows[envs] % self.length * self.num_envs + envs
        self._rows[envs] += 1
        self._arrays["episode"][p] = self._episodes[envs]
        return p

    def sample(
        self,
        size: int,
        length: int,
        generator: torch.Generator,
        device: torch.device,
        whole: bool = True,
    ) -> Sequences:
        """Runs of `length` decisions, with replacement, beginning anywhere with equal probability.

        Arguments:
          whole: Only runs that lie within an episode; else they may go on beyond its end, though
            not beyond what is known of one at work.

        Raises:
          ValueError: where there is none.
        """
        arrays, n = self._arrays, self.num_envs
        found = np.empty(0, np.int64)
        filled = min(int(self._rows.max()), self.length) * n
        for _ in range(_TRIES):
            drawn = torch.randint(max(filled, 1), (2 * size,), generator=generator).numpy()
            found = np.concatenate([found, drawn[self._usable(drawn, length, whole)]])
            if len(found) >= size:
                break
        else:
            raise ValueError(f"there are no runs of {length} decisions in memory yet")
        places = found[:size]
        way = (places + n * np.arange(length + 1)[:, None]) % len(arrays["episode"])  # [T + 1, N]
        same = arrays["episode"][way] == arrays["episode"][places]
        valid = same & arrays["decided"][way]
        # Beyond the end: the last row of the episode, which is always there.
        last = np.maximum.accumulate(np.where(same, np.arange(length + 1)[:, None], 0), axis=0)
        rows = np.take_along_axis(way, last, axis=0)
        terminated = np.maximum.accumulate(arrays["terminated"][rows] & same, axis=0)
        now = rows[:-1]

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).to(device)

        return Sequences(
            observation=tensor(arrays["observation"][rows]),
            action=tensor(arrays["action"][now]),
            reward=tensor(arrays["reward"][now]),
            terminated=tensor(terminated[:-1].astype(np.float32)),
            valid=tensor(valid[:-1].astype(np.float32)),
            held=tensor(arrays["held"][now]),
            policy=tensor(arrays["policy"][rows]),
            places=places,
        )

    def _usable(self, places: np.ndarray, length: int, whole: bool) -> np.ndarray:
        """Whether runs can begin at places [M]."""
        arrays, n = self._arrays, self.num_envs
        env, row = places % n, places // n
        head = (self._rows[env] - 1) % self.length  # the newest row of its ring
        known = (head - row) % self.length  # rows after this one
        decided = arrays["decided"][places]
        end = (places + n * np.minimum(known, length)) % len(arrays["episode"])
        within = arrays["episode"][end] == arrays["episode"][places]
        if whole:
            return decided & (known >= length) & within
        return decided & ((known >= length) | ~within | ~arrays["decided"][end])

    def overwrite(self, places: np.ndarray, policy: np.ndarray) -> None:
        """Keep other policies [M, n] for the decisions at places [M]."""
        self._arrays["policy"][places] = policy

    def state(self) -> dict[str, Any]:
        """All of it that is filled."""
        top = min(int(self._rows.max()), self.length) * self.num_envs
        arrays = {
            name: array[:top] if len(array) else array for name, array in self._arrays.items()
        }
        counters = {"rows": self._rows, "episodes": self._episodes}
        return {**arrays, **counters, "added": self.added, "forgotten": self.forgotten}

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` said."""
        for name, array in self._arrays.items():
            array[: len(state[name])] = state[name]
        self._rows[:] = state["rows"]
        self._episodes[:] = state["episodes"]
        self.added, self.forgotten = int(state["added"]), int(state["forgotten"])
