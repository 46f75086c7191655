"""Small decision processes with discrete actions, as tables with the face of a world model."""

from types import SimpleNamespace

import gymnasium
import numpy as np


class Tables:
    """State s goes to `after[s, a]` and pays `rewards[s, a]`; where `ends[s]`, the episode is over.

    Attributes:
      bytes: Features [states, F].
      lives: Left in each state [states].
      stepped: States and actions of each call of `step`.
    """

    def __init__(self, after, rewards, ends, features):
        self.after, self.rewards, self.ends = after, rewards, ends
        self.bytes, self.lives = features, np.zeros(len(features), np.uint8)
        self.stepped: list[tuple[np.ndarray, np.ndarray]] = []
        self.sim_steps = self.sim_frames = self.model_steps = 0

    def step(self, state, action):
        s = state[:, 0].astype(int)
        assert not self.ends[s].any()  # there is nothing after the end
        self.stepped.append((s, action))
        self.sim_steps += len(s)
        after = self.after[s, action]
        rewards, continuation = self.rewards[s, action], 1.0 - self.ends[after]
        return after[:, None].astype(float), rewards, continuation

    def rollout(self, state, plans):
        rewards, continuation = np.zeros(plans.shape), np.zeros(plans.shape)
        s = np.repeat(state.astype(int), plans.shape[1], axis=1)
        alive = np.ones(s.shape, bool)
        self.sim_steps += plans.size
        for h in range(plans.shape[2]):
            action = plans[:, :, h]
            rewards[:, :, h] = alive * self.rewards[s, action]
            s = np.where(alive, self.after[s, action], s)
            alive = alive & ~self.ends[s]
            continuation[:, :, h] = alive
        return rewards, continuation, s[..., None].astype(float)

    def select(self, state, which):
        return state[which]

    def features(self, state, kind="bytes"):
        table = self.lives[:, None] if kind == "lives" else self.bytes
        return table[state[..., 0].astype(int)]


def random_tables(seed, states=40, actions=3, size=4, values=6):
    """Random transitions, features and rewards; one state in 16 ends the episode, 0 never."""
    rng = np.random.default_rng(seed)
    ends = rng.random(states) < 1 / 16
    ends[0] = False
    return Tables(
        rng.integers(states, size=(states, actions)),
        rng.choice([0.0, 0.0, 1.0, 5.0, -1.0], size=(states, actions)),
        ends,
        rng.integers(values, size=(states, size)).astype(np.uint8),
    )


def corridor(length, goal=1.0):
    """Action 0 goes left, 1 right; the last cell pays `goal` and ends the episode."""
    cells = np.arange(length)
    after = np.stack([np.maximum(cells - 1, 0), np.minimum(cells + 1, length - 1)], axis=1)
    rewards = np.where(after == length - 1, goal, 0.0)
    return Tables(after, rewards, cells == length - 1, cells[:, None].astype(np.uint8))


def make_spec(actions=3, per_step=1, start=0, has_lives=False):
    return SimpleNamespace(
        name="test",
        action_space=gymnasium.spaces.Discrete(actions, start=start),
        control_dt=0.1,
        budget_per_step=per_step,
        has_lives=has_lives,
    )
