"""Tasks whose dynamics are functions of NumPy arrays: small games, and models written by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from suites.tasks.base import Task
from suites.tasks.other_physics import OtherPhysics
from suites.tasks.seeds import Seed, begin_streams, states_of, streams_at
from suites.tasks.spec import TaskSpec


@dataclass(frozen=True)
class Rules:
    """A task, but for its facts. A state is a row of S numbers.

    Attributes:
      begin: With a random stream, the first state [S] of an episode.
      advance: States [N, S] and actions [N] or [N, A] to the next states, rewards [N] and whether
        that ends the episode [N]: the whole of the dynamics, without chance. Planners ask of ended
        states, too, and make nothing of the answer.
      observe: States [N, S] to observations [N, *O].
    """

    begin: Callable[[np.random.Generator], Any]
    advance: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
    observe: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Snapshot:
    """The whole state: states [B, S], steps [B], and each environment's random stream."""

    states: np.ndarray
    steps: np.ndarray
    randoms: list[Any]


class ArraySimulation:
    """The task for a planner, with the face of `suites.tasks.control.simulation.Simulation`."""

    substeps = 1

    def __init__(self, rules: Rules, n: int = 1):
        self.rules = rules
        self.states = np.tile(np.array(rules.begin(np.random.default_rng(0)), float), (n, 1))
        self.state_size = self.states.shape[1]

    def read(self) -> np.ndarray:
        """States of the environments, [n, S]."""
        return self.states.copy()

    def observe(self, rows: np.ndarray) -> np.ndarray:
        """Observations [N, *O] of states [N, S]."""
        return self.rules.observe(rows)

    def rollout(
        self, roots: np.ndarray, root_of: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards [N, H], continuation [N, H] and last states [N, S] of plans [N, H, ...].

        Plan n begins in `roots[root_of[n]]`; after a termination rewards and continuation are 0.
        """
        rewards, continuation = np.zeros(plans.shape[:2]), np.zeros(plans.shape[:2])
        states, alive = roots[root_of], np.ones(len(plans), bool)
        for h in range(plans.shape[1]):
            moved, reward, ended = self.rules.advance(states.copy(), plans[:, h])
            states = np.where(alive[:, None], moved, states)
            rewards[:, h] = np.where(alive, reward, 0.0)
            alive = alive & ~np.asarray(ended, bool)
            continuation[:, h] = alive
        return rewards, continuation, states


class ArrayTask(Task):
    """`num_envs` environments, with the face of `suites.tasks.control.ControlTask`."""

    def __init__(self, facts: TaskSpec, rules: Rules, num_envs: int):
        super().__init__(facts, num_envs)
        self.rules, self.simulation = rules, ArraySimulation(rules, num_envs)
        self._steps = np.zeros(num_envs, np.int64)
        self._randoms: list[np.random.Generator] = []

    def planning_simulation(
        self, threads: int, other: OtherPhysics | None = None
    ) -> ArraySimulation:
        """One of its own for a planner; it is too small for threads.

        Raises:
          NoOtherPhysicsError: for other physics.
        """
        self.refuse(other)
        return ArraySimulation(self.rules)

    def reset(self, *, seed: Seed = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode in every environment: environment i with seed `seed + i`."""
        if seed is not None or not self._randoms:
            self._randoms = begin_streams(seed, self.num_envs)
        self._restart(np.arange(self.num_envs))
        return self._observe(), {}

    def _observe(self) -> np.ndarray:
        # Of a copy: what was observed, and who writes into that, may not share the states.
        return self.rules.observe(self.simulation.read())

    def _restart(self, which: np.ndarray) -> None:
        for i in which:
            self.simulation.states[i] = self.rules.begin(self._randoms[i])
        self._steps[which] = 0

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One step of each environment with `actions` [B] or [B, A]."""
        states, rewards, ended = self.rules.advance(self.simulation.read(), actions)
        self.simulation.states, terminated = np.array(states, float), np.asarray(ended, bool)
        self._steps += 1
        truncated = (self._steps >= self.facts.horizon) & ~terminated
        observations = self._observe()
        infos: dict[str, Any] = {}
        ended = terminated | truncated
        if ended.any():
            infos = {"final_obs": observations, "_final_obs": ended.copy()}
            self._restart(np.flatnonzero(ended))
            observations = self._observe()
        return observations, rewards, terminated, truncated, infos

    def snapshot(self) -> Snapshot:
        """All that decides how the environments go on."""
        return Snapshot(self.simulation.read(), self._steps.copy(), states_of(self._randoms))

    def restore(self, snapshot: Snapshot) -> np.ndarray:
        """Go back to a snapshot; the observations [B, *O] there."""
        self.simulation.states, self._steps = snapshot.states.copy(), snapshot.steps.copy()
        self._randoms = streams_at(snapshot.randoms)
        return self._observe()
