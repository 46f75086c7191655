"""Fractal Monte Carlo: walkers that clone one another towards what is rewarding and rare.

Hernandez Cerezo, Duran Ballester and Baxevanakis (2018), "Solving Atari games using fractals and
entropy"; the theory is in Hernandez Cerezo and Duran Ballester (2018), "Fractal AI: a fragile
theory of intelligence", section 4. All walkers begin in the root state with an action of
their own, which is their decision. Then, in every tick,

1. every walker takes a step with an action drawn uniformly (in the first one, its decision);
2. its virtual reward is D R^balance, of its distance from a walker drawn from those alive, perhaps
   itself (D), and its rewards so far (R), each relativised over the walkers;
3. it compares itself with a walker j drawn from those alive, perhaps itself, and takes over j's
   state, rewards and decision: for certain if it is dead or its own virtual reward is 0, else with
   probability (VR_j - VR_i) / VR_i, cut to [0, 1].

The decision that most walkers have in the end is executed; ties go to the lower action.

A walker is dead where the model ends the episode, and where a life is lost: to FMC there are no
good ends. It looks no farther where all walkers are dead.

Where this departs from the authors' implementation (github.com/FragileTheory/FractalAI): there,

- a walker's distance is that from its image under a random permutation of all walkers, the dead
  ones too;
- the virtual reward has a third factor, the ticks since the walker last became a copy, relativised;
- nobody clones in the first two ticks, and later who clones whom is decided before the tick's step,
  from the virtual rewards until then: a walker becomes what the other one is after the step, which
  may be dead;
- one random number decides on the cloning of all walkers of a tick, and here each has its own;
- balance, walkers and steps are adapted from decision to decision, and here they stay.
"""

from typing import Annotated, Any, NamedTuple

import numpy as np

from planners.clock import Clock
from planners.interface import Plan, Prior, State, StepModel
from planners.lives import lives_lost
from planners.noise import Noise
from suites.parameters import Count, NonNegative, Positive, Range, checked


class Walkers(NamedTuple):
    """What the walkers of a decision did. Nothing goes on from it: it is there to be looked at.

    Attributes:
      actions: [B, W, ticks] of the steps that led to where each walker ended; a walker's first one
        is its decision. -1 after all were dead.
      rewards: [B, W], their sums on the way.
    """

    actions: np.ndarray
    rewards: np.ndarray


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

    @checked("planner")
    def __init__(
        self,
        spec: Any,
        budget: Count,
        seconds: Positive | None = None,
        walkers: Annotated[int, Range(2)] = 32,
        balance: NonNegative = 1.0,
    ):
        steps = budget // spec.budget_per_step
        if steps < walkers:
            raise ValueError(
                f"planner.budget is {budget}: one step of each of {walkers} walkers takes"
                f" {walkers * spec.budget_per_step}; give more, or fewer planner.walkers"
            )
        self.actions, self.start = int(spec.action_space.n), int(spec.action_space.start)
        self.walkers, self.ticks, self.balance = walkers, steps // walkers, balance
        self.seconds, self.has_lives = seconds, spec.has_lives

    def init(self, batch: int) -> None:
        """No warm start: every decision begins with new walkers."""

    def plan(
        self, model: StepModel, prior: Prior, state: State, carry: Any, noise: Noise
    ) -> tuple[Plan, Walkers]:
        """Decide in states [B, S]."""
        clock = Clock(self.seconds)
        batch, walkers = len(state), self.walkers
        row = np.arange(batch)[:, None]
        state = np.repeat(state[:, None], walkers, axis=1)
        rewards, alive = np.zeros((batch, walkers)), np.ones((batch, walkers), bool)
        path = np.full((batch, walkers, self.ticks), -1)
        for tick in range(self.ticks):
            action = self._actions(noise)
            goes = np.flatnonzero(alive.all(axis=1))  # all walkers of an environment, or none
            if not goes.size or (tick and clock.over):
                break
            path[goes, :, tick] = action[goes] + self.start
            before = state[goes].reshape(len(goes) * walkers, -1)
            after, reward, continuation = model.step(before, path[goes, :, tick].reshape(-1))
            ends = continuation == 0
            if self.has_lives:
                ends |= lives_lost(model, before, after)
            state[goes] = after.reshape(len(goes), walkers, -1)
            rewards[goes] += reward.reshape(-1, walkers)
            alive[goes] = ~ends.reshape(-1, walkers)
            alive &= np.isfinite(rewards)
            features = model.features(state.reshape(batch * walkers, -1))
            distances = distance(features.reshape(batch, walkers, -1), companions(noise, alive))
            virtual = virtual_reward(rewards, distances, self.balance)
            companion = companions(noise, alive)
            clones = noise.uniform(walkers) < cloning(virtual, alive, companion)
            source = np.where(clones, companion, np.arange(walkers))
            state, rewards = state[row, source], rewards[row, source]
            path, alive = path[row, source], alive[row, source]
        decisions = path[:, :, :1] - self.start
        counts = (decisions == np.arange(self.actions)).sum(axis=1)
        action = counts.argmax(axis=1) + self.start
        statistics = {"majority": float(counts.max(axis=1).mean() / walkers)}
        value = np.where(np.isfinite(rewards), rewards, -np.inf).max(axis=1)
        return Plan(action, action[:, None], value, statistics), Walkers(path, rewards)

    def _actions(self, noise: Noise) -> np.ndarray:
        """Actions [B, W], uniform, from 0."""
        return (self.actions * noise.uniform(self.walkers)).astype(np.int64)


def companions(noise: Noise, alive: np.ndarray) -> np.ndarray:
    """Per walker one [B, W] of those alive [B, W], perhaps itself; of all, where none is."""
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
