"""Finite decision processes with the face of a world model, and their solution."""

from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np

from learners.none import NoLearner
from planners.mcts import MCTS
from planners.noise import Noise
from planners.searches import make_planner


class Finite:
    """States are rows [M, 1] of a state's number; an action leads to one of several states.

    Attributes:
      successors: [S, A, O] numbers of the states that may follow, drawn with equal probability.
      rewards, continuation: [S, A, O] of these.
      sim_steps: Control steps simulated so far.
      calls: How many of them at a time.
    """

    def __init__(self, successors, rewards, continuation, seed=0):
        self.successors, self.rewards, self.continuation = successors, rewards, continuation
        self.random = np.random.default_rng(seed)
        self.sim_steps = self.sim_frames = self.model_steps = 0
        self.calls: list[int] = []

    def step(self, state, action):
        self.sim_steps += len(state)
        self.calls.append(len(state))
        s, outcomes = state[:, 0].astype(int), self.successors.shape[2]
        outcome = self.random.integers(outcomes, size=len(s)) if outcomes > 1 else 0
        which = (s, action, outcome)
        following = self.successors[which][:, None].astype(state.dtype)
        return following, self.rewards[which], self.continuation[which]

    def rollout(self, state, plans):
        batch, candidates, horizon = plans.shape
        rows = np.repeat(state, candidates, axis=0)
        rewards, continuation = np.zeros((2, len(rows), horizon))
        alive = np.ones(len(rows))
        for h in range(horizon):
            following, reward, ends = self.step(rows, plans[..., h].ravel())
            rewards[:, h] = alive * reward
            rows = np.where(alive[:, None] > 0, following, rows)
            alive = alive * ends
            continuation[:, h] = alive
        shape = (batch, candidates, horizon)
        return rewards.reshape(shape), continuation.reshape(shape), rows.reshape(*shape[:2], 1)

    def select(self, state, which):
        return state[which]

    def features(self, state):
        return state

    def solve(self, discount):
        """Q [S, A] by value iteration."""
        q = np.zeros(self.rewards.shape[:2])
        for _ in range(1000):
            value = q.max(axis=1)[self.successors]
            q = (self.rewards + discount * self.continuation * value).mean(axis=2)
        return q


def layered(seed, actions=3, outcomes=1, layers=4, width=4, ends=0.15) -> Finite:
    """A random process that is over after so many steps, and sometimes before.

    State 0 is the start; layer l has the states from 1 + l * width on.
    """
    random = np.random.default_rng(seed)
    size = 1 + layers * width
    layer = (np.arange(size) + width - 1) // width  # the start is layer 0
    shape = (size, actions, outcomes)
    successors = 1 + layer[:, None, None] * width + random.integers(width, size=shape)
    last = layer == layers
    successors[last] = 0
    continuation = (random.random(shape) > ends).astype(float)
    continuation[layer == layers - 1] = 0.0
    return Finite(successors, random.normal(size=shape), continuation)


def endless(seed, actions=4, size=30) -> Finite:
    """A random process that never ends."""
    random = np.random.default_rng(seed)
    shape = (size, actions, 1)
    return Finite(random.integers(size, size=shape), random.normal(size=shape), np.ones(shape))


class Oracle:
    """Given values and logits of each state, for discrete actions."""

    has_value, discount = True, 0.99

    def __init__(self, values, logits):
        self.values, self.of_logits = values, logits
        self.asked = 0

    def value(self, features):
        assert features.ndim == 2
        self.asked += len(features)
        return self.values[features[:, 0].astype(int)]

    def logits(self, features):
        return self.of_logits[features[:, 0].astype(int)]


def make_spec(actions=3, **facts: Any):
    space = gymnasium.spaces.Discrete(actions)
    facts = {"control_dt": 1.0, "budget_per_step": 1, **facts}
    return SimpleNamespace(name="finite", action_space=space, **facts)


def make_box(bound=1.0, actuators=1, dt=0.05):
    space = gymnasium.spaces.Box(-bound, bound, (actuators,), np.float64)
    return SimpleNamespace(name="reach", action_space=space, control_dt=dt, budget_per_step=1)


def make(search, budget: int = 400, actions: int = 3, spec: Any = None, **options: Any) -> MCTS:
    spec = spec or make_spec(actions)
    planner = make_planner(spec, search, budget, **options)
    assert isinstance(planner, MCTS)
    return planner


def decide(
    planner, model, states=(0,), prior=None, seed=0, decision=0, episodes=None, carry=None
) -> tuple[Any, Any]:
    """The plan in the given states, and the carry."""
    prior = prior or NoLearner(SimpleNamespace(action_space=planner.space))
    state = np.array(states, float)[:, None]
    noise = Noise(seed, range(len(state)) if episodes is None else episodes, decision)
    carry = planner.init(len(state)) if carry is None else carry
    return planner.plan(model, prior, state, carry, noise)


def random_oracle(seed, model):
    random = np.random.default_rng(seed)
    size, actions = model.rewards.shape[:2]
    return Oracle(random.normal(size=size), random.normal(size=(size, actions)))
