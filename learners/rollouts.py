"""What the present policy led to, and how much better than expected it was."""

from typing import Any

import numpy as np

from learners.interface import Transitions


class Rollouts:
    """The last T decisions of B environments, at most; the learner empties it when it is full.

    Arguments:
      length: T.
      num_envs: B.
      observation_space: Bytes are kept as bytes, all else in single precision.
      action_space: A box, or discrete.

    Attributes:
      observation: [T, B, *O].
      next_observation: [T, B, *O], written only where its value is needed: `cut`.
      action: [T, B, A], or [T, B] where actions are discrete.
      reward: [T, B].
      ended: [T, B] whether the episode ended here, of its own or not.
      cut: [T, B] whether an episode that had not terminated is known no further than to here.
      filled: Of the T decisions.
      env_steps: Control steps that these took, of all environments together.
    """

    def __init__(self, length: int, num_envs: int, observation_space: Any, action_space: Any):
        self.length, self.num_envs = length, num_envs
        size = (length, num_envs)
        of = np.uint8 if observation_space.dtype == np.uint8 else np.float32
        self.observation = np.zeros((*size, *observation_space.shape), of)
        self.next_observation = np.zeros_like(self.observation)
        of = np.int64 if hasattr(action_space, "n") else np.float32
        self.action = np.zeros((*size, *action_space.shape), of)
        self.reward = np.zeros(size, np.float32)
        self.ended = np.zeros(size, bool)
        self.cut = np.zeros(size, bool)
        self.filled = self.env_steps = 0

    @property
    def full(self) -> bool:
        """Whether all T decisions are there."""
        return self.filled == self.length

    def add(self, transitions: Transitions) -> None:
        """Take in a decision of each environment."""
        t = self.filled
        self.observation[t] = transitions.observation
        self.action[t] = transitions.action
        self.reward[t] = transitions.reward
        self.ended[t] = transitions.terminated | transitions.truncated
        last = t + 1 == self.length
        self.cut[t] = cut = (last | transitions.truncated) & ~transitions.terminated
        if cut.any():
            self.next_observation[t, cut] = transitions.next_observation[cut]
        self.filled += 1
        self.env_steps += transitions.held * self.num_envs

    def forget(self, added: int) -> None:
        """Nothing is lost but the decisions of a rollout at work."""

    def empty(self) -> None:
        """Forget everything."""
        self.filled = self.env_steps = 0

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def state(self) -> dict[str, Any]:
        """The decisions so far."""
        arrays = {name: array[: self.filled] for name, array in self._arrays().items()}
        arrays["next_observation"] = arrays["next_observation"][
            arrays["cut"]
        ]  # others mean nothing
        return {**arrays, "env_steps": self.env_steps}

    def load(self, state: dict[str, Any]) -> None:
        """Become what `state` said."""
        self.filled, self.env_steps = len(state["reward"]), int(state["env_steps"])
        for name, array in self._arrays().items():
            which = np.asarray(state["cut"]) if name == "next_observation" else slice(None)
            array[: self.filled][which] = state[name]


def following_values(values: np.ndarray, bootstraps: np.ndarray, rollouts: Rollouts) -> np.ndarray:
    """The values [T, B] of what each decision led to, where that did not end the episode for good.

    Arguments:
      values: [T, B], of `observation`.
      bootstraps: [N], of `next_observation` where the rollouts are `cut`: after a time limit the
        episode would have gone on (Pardo et al. 2018, "Time limits in reinforcement learning").
    """
    following = np.zeros_like(values)
    following[:-1] = values[1:]
    following[rollouts.ended] = 0.0
    following[rollouts.cut] = bootstraps
    return following


def advantages(
    rewards: np.ndarray,
    values: np.ndarray,
    following: np.ndarray,
    ended: np.ndarray,
    discount: float,
    trace: float,
) -> np.ndarray:
    """Generalised advantage estimates [T, B] (Schulman et al. 2016, equation 16).

    Arguments:
      rewards, values: [T, B], of decisions and of what was observed before them.
      following: [T, B] values of what they led to, 0 after a termination.
      ended: [T, B] whether an episode ended with them: no sum goes over that.
      trace: Its lambda.
    """
    errors = rewards + discount * following - values
    decay = np.where(ended, 0.0, discount * trace).astype(errors.dtype)
    estimates = np.empty_like(errors)
    estimate = np.zeros_like(errors[0])
    for t in reversed(range(len(errors))):
        estimate = errors[t] + decay[t] * estimate
        estimates[t] = estimate
    return estimates


def running_returns(
    rewards: np.ndarray, ended: np.ndarray, before: np.ndarray, discount: float
) -> tuple[np.ndarray, np.ndarray]:
    """Discounted sums [T, B] of the rewards of an episode up to each decision; the last ones [B].

    `before` [B] are those of the decisions that came before; 0 where an episode begins.
    """
    sums = np.empty(rewards.shape)
    for t, reward in enumerate(rewards):
        sums[t] = discount * before + reward
        before = np.where(ended[t], 0.0, sums[t])
    return sums, before
