"""Fractal Monte Carlo: walkers that clone one another towards what is rewarding and rare.

Hernandez Cerezo, Duran Ballester and Baxevanakis (2018), "Solving Atari games using fractals and
entropy"; the theory is in Hernandez Cerezo and Duran Ballester (2018), "Fractal AI: a fragile
theory of intelligence", sections 2.2 and 4. All walkers begin in the root state with an action of
their own, which is their decision. Then, in every tick,

1. every walker takes a step with an action drawn uniformly (in the first one, its decision);
2. its virtual reward is D R^balance, of its distance from another walker, drawn from those alive
   (D), and its rewards so far (R), each relativised over the walkers;
3. it compares itself with another walker j, drawn from those alive, and takes over j's state,
   rewards and decision: for certain if it is dead or its own virtual reward is 0, else with
   probability (VR_j - VR_i) / VR_i, cut to [0, 1].

The decision that most walkers have in the end is executed; ties go to the lower action.

A walker is dead where the model ends the episode: to FMC there are no good ends. It looks no
farther where all walkers are dead.
"""

from typing import Any

import numpy as np

from planners.clock import Clock, check_seconds
from planners.interface import Plan, Prior, State, StepModel
from planners.noise import Noise


class FMC:
    """Fractal Monte Carlo with discrete actions.

    Arguments:
      budget: Per decision and environment, at most; a simulated step takes `spec.budget_per_step`.
      seconds: Of a decision of all environments; after the first tick that ends later it is over.
      walkers: How many there are; they take as many steps as the budget pays for.
      balance: Of exploiting rewards to exploring distances; 0: distances alone count.

    Raises:
      ValueError: for bad parameters.
    """

    plan_every, late = 1, False

    def __init__(
        self,
        spec: Any,
        budget: int,
        seconds: float | None = None,
        walkers: int = 32,
        balance: float = 1.0,
    ):
        check_seconds(seconds)
        if walkers < 2:
            raise ValueError(f"planner.walkers is {walkers}: give a whole number of at least 2")
        if balance < 0:
            raise ValueError(f"planner.balance is {balance}: give a number of at least 0")
        steps = budget // spec.budget_per_step
        if steps < walkers:
            raise ValueError(
                f"planner.budget is {budget}: one step of each of {walkers} walkers takes"
                f" {walkers * spec.budget_per_step}; give more, or fewer planner.walkers"
            )
        self.actions, self.start = int(spec.action_space.n), int(spec.action_space.start)
        self.walkers, self.ticks, self.balance = walkers, steps // walkers, balance
        self.seconds = seconds

    def init(self, batch: int) -> None:
        """No warm start: every decision begins with new walkers."""

    def plan(
        self, model: StepModel, prior: Prior, state: State, carry: None, noise: Noise
    ) -> tuple[Plan, None]:
        """Decide in states [B, S]."""
        clock = Clock(self.seconds)
        batch, walkers = len(state), self.walkers
        row = np.arange(batch)[:, None]
        state = np.repeat(state[:, None], walkers, axis=1)
        rewards, alive = np.zeros((batch, walkers)), np.ones((batch, walkers), bool)
        decision = action = self._actions(noise)
        for tick in range(self.ticks):
            action = self._actions(noise) if tick else action
            goes = np.flatnonzero(alive.all(axis=1))  # all walkers of an environment, or none
            if not goes.size or clock.over:
                break
            after, reward, continuation = model.step(
                state[goes].reshape(len(goes) * walkers, -1), action[goes].reshape(-1) + self.start
            )
            state[goes] = after.reshape(len(goes), walkers, -1)
            rewards[goes] += reward.reshape(-1, walkers)
            alive[goes] = continuation.reshape(-1, walkers) != 0
            alive &= np.isfinite(rewards)
            features = model.features(state.reshape(batch * walkers, -1))
            distances = distance(features.reshape(batch, walkers, -1), companions(noise, alive))
            virtual = virtual_reward(rewards, distances, self.balance)
            companion = companions(noise, alive)
            clones = noise.uniform(walkers) < cloning(virtual, alive, companion)
            source = np.where(clones, companion, np.arange(walkers))
            state, rewards = state[row, source], rewards[row, source]
            decision, alive = decision[row, source], alive[row, source]
        counts = (decision[:, :, None] == np.arange(self.actions)).sum(axis=1)
        action = counts.argmax(axis=1) + self.start
        statistics = {"majority": float(counts.max(axis=1).mean() / walkers)}
        return Plan(action, action[:, None], rewards.max(axis=1), statistics), None

    def _actions(self, noise: Noise) -> np.ndarray:
        """Actions [B, W], uniform, from 0."""
        return (self.actions * noise.uniform(self.walkers)).astype(np.int64)


def companions(noise: Noise, alive: np.ndarray) -> np.ndarray:
    """Per walker another one [B, W] of those alive [B, W]; of all, where none is."""
    batch, walkers = alive.shape
    pool = np.where(alive.any(axis=1, keepdims=True), alive, True)
    lots = noise.uniform(walkers)
    chosen = np.empty((batch, walkers), np.int64)
    for b in range(batch):
        among = np.flatnonzero(pool[b])
        chosen[b] = among[(lots[b] * len(among)).astype(np.int64)]
    return chosen


def distance(features: np.ndarray, companion: np.ndarray) -> np.ndarray:
    """Euclidean distances [B, W] between features [B, W, F] of walkers and of their companions."""
    features = features.astype(np.float64)
    other = np.take_along_axis(features, companion[:, :, None], axis=1)
    return np.sqrt(((features - other) ** 2).sum(axis=-1))


def relativise(values: np.ndarray) -> np.ndarray:
    """Values [B, W] above 0, of whatever scale: with z standardised, 1 + ln(1 + z) or e^z below 0.

    1 where all are the same; 0 where they are not finite ("relativize", Fractal AI, section 2.2.3).
    """
    finite = np.isfinite(values)
    count = np.maximum(finite.sum(axis=1, keepdims=True), 1)
    clean = np.where(finite, values, 0.0)
    mean = clean.sum(axis=1, keepdims=True) / count
    spread = np.sqrt((np.where(finite, clean - mean, 0.0) ** 2).sum(axis=1, keepdims=True) / count)
    z = (clean - mean) / np.where(spread > 0, spread, 1.0)
    relative = np.where(z > 0, 1 + np.log1p(np.maximum(z, 0)), np.exp(np.minimum(z, 0)))
    return np.where(finite, relative, 0.0)


def virtual_reward(rewards: np.ndarray, distances: np.ndarray, balance: float) -> np.ndarray:
    """Virtual rewards [B, W] of rewards [B, W] and distances [B, W]."""
    return relativise(distances) * relativise(rewards) ** balance


def cloning(virtual: np.ndarray, alive: np.ndarray, companion: np.ndarray) -> np.ndarray:
    """Probabilities [B, W] of taking over the companion's state; 0 if the companion is dead."""
    row = np.arange(len(virtual))[:, None]
    gain = virtual[row, companion] - virtual
    chance = np.where(virtual > 0, gain / np.where(virtual > 0, virtual, 1.0), 1.0)
    chance = np.where(alive, np.clip(chance, 0, 1), 1.0)
    return np.where(alive[row, companion], chance, 0.0)
