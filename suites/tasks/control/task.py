"""A control task: B environments behind Gymnasium's `VectorEnv`, with exact snapshots."""

import copy
from dataclasses import dataclass
from typing import Any

import gymnasium
import mujoco
import numpy as np

from suites.errors import UserError
from suites.tasks.base import Task
from suites.tasks.control import kernels
from suites.tasks.control.physics import STATE, make_table
from suites.tasks.control.python_simulation import PythonSimulation
from suites.tasks.control.simulation import Simulation, control_range
from suites.tasks.control.source import Source, SuiteSource
from suites.tasks.control.twin import Twin
from suites.tasks.other_physics import OtherPhysics
from suites.tasks.seeds import Seed, environment_seeds
from suites.tasks.spec import TaskSpec


@dataclass(frozen=True)
class Snapshot:
    """The whole state of the environments: physics [B, S], steps [B], random streams [B]."""

    states: np.ndarray
    steps: np.ndarray
    randoms: list[Any]


class ControlTask(Task):
    """`num_envs` environments of one task, stepped together.

    Observations, actions and rewards are float64, actions in the model's own units.

    The environment i of `reset(seed=s)` goes through the same episodes as dm_control's with
    `random=s + i`.

    Raises:
      UserError: where the physics diverges or the reward is not finite.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        twin: Twin | None,
        observation_size: int,
        num_envs: int = 1,
        threads: int = 1,
    ):
        self.source, self.twin = source, twin
        self.simulation = self._simulation(num_envs, threads, None, observation_size)
        bound = np.full(observation_size, np.inf)
        facts = TaskSpec(
            name=name,
            observation_space=gymnasium.spaces.Box(-bound, bound, dtype=np.float64),
            action_space=gymnasium.spaces.Box(*control_range(source.model), dtype=np.float64),
            control_dt=source.substeps * source.model.opt.timestep,
            frames_per_step=source.substeps,
            horizon=source.horizon,
            reference={"random": 0.0, "best": float(source.horizon)},
            compiled=twin is not None,
            observed_reward=twin.observed_reward if twin else None,
        )
        super().__init__(facts, num_envs)
        self._steps = np.zeros(num_envs, np.int64)
        # A thread begins the episodes of its own environments, with a source of its own. Only a
        # model that is drawn with the seed (lqr) differs from environment to environment.
        self._sources: list[Source] = [source] * num_envs
        self._thread_of = np.zeros(num_envs, np.int64)
        self._own_models = isinstance(source, SuiteSource) and source.domain == "lqr"
        if isinstance(source, SuiteSource) and twin is not None:
            count = min(threads, num_envs)
            self._thread_of = np.arange(num_envs) * count // num_envs
            distinct = num_envs if self._own_models else count
            copies = [source] + [
                SuiteSource(source.domain, source.task) for _ in range(1, distinct)
            ]
            self._sources = [copies[i * distinct // num_envs] for i in range(num_envs)]
        self._randoms: list[np.random.RandomState] = []

    def _simulation(
        self, n: int, threads: int, other: OtherPhysics | None, observation_size: int
    ) -> Simulation | PythonSimulation:
        if self.twin is None:
            assert isinstance(self.source, SuiteSource)
            return PythonSimulation(self.source, n, other)
        return Simulation(self.source, self.twin, n, observation_size, threads, other)

    def planning_simulation(
        self, threads: int, other: OtherPhysics | None = None
    ) -> Simulation | PythonSimulation:
        """Physics of its own for a planner, with `threads` workers."""
        size = self.facts.observation_space.shape[0]
        return self._simulation(threads, threads, other, size)

    def reset(self, *, seed: Seed = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode in every environment: environment i with seed `seed + i`."""
        if seed is not None or not self._randoms:
            seeds = environment_seeds(seed, self.num_envs)
            self._randoms = [source.seed(s) for source, s in zip(self._sources, seeds, strict=True)]
        return self._restart(np.arange(self.num_envs)), {}

    def _restart(self, which: np.ndarray) -> np.ndarray:
        """Begin an episode in some environments; their first observations [M, O]."""
        rows = np.empty((len(which), self.simulation.state_size))

        def begin(thread: int) -> None:
            for row, i in zip(rows, which, strict=True):
                if self._thread_of[i] == thread:
                    self._sources[i].restart(self._randoms[i])
                    row[:] = self._source_state(self._sources[i])

        self.simulation.on_threads(self.num_envs, begin)
        self.simulation.write(which, rows)
        self._steps[which] = 0
        return self._observe(which, rows)

    def _source_state(self, source: Source) -> np.ndarray:
        if isinstance(self.simulation, PythonSimulation):
            return self.simulation.present()
        assert self.twin is not None
        integration = np.empty(self.simulation.integration_size)
        mujoco.mj_getState(source.model, source.data, integration, STATE)
        fields = [np.ravel(getattr(source.model, name)) for name in self.twin.model_fields]
        return np.concatenate([integration, source.data.sensordata, *fields])

    def _observe(self, which: np.ndarray, rows: np.ndarray) -> np.ndarray:
        if isinstance(self.simulation, PythonSimulation):
            return self.simulation.observe(rows)
        out = np.empty((len(which), self.simulation.observation_size))
        kernels.observe_present(self.simulation.tables[which], self.simulation.functions[0], out)
        return out

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One control step of each environment with `actions` [B, A]."""
        observations = np.empty((self.num_envs, *self.facts.observation_space.shape))
        rewards = np.empty(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.empty(self.num_envs, bool)
        actions = np.ascontiguousarray(actions, np.float64)
        if actions.shape != self.action_space.shape:
            raise ValueError(f"actions are {actions.shape}, expected {self.action_space.shape}")
        self.simulation.step(actions, observations, rewards, terminated)
        ended = kernels.end_step(self._steps, self.facts.horizon, rewards, terminated, truncated)
        if ended < 0:
            bad = int(np.flatnonzero(~np.isfinite(rewards))[0])
            raise UserError(
                f"{self.facts.name}: reward is {rewards[bad]} at control step"
                f" {self._steps[bad]} of environment {bad}: the physics diverged or the reward"
                " is not finite; check the actions and the task's reward"
            )
        infos: dict[str, Any] = {}
        if ended:
            over = terminated | truncated
            infos = {"final_obs": observations.copy(), "_final_obs": over}
            which = np.flatnonzero(over)
            observations[which] = self._restart(which)
        return observations, rewards, terminated, truncated, infos

    def snapshot(self) -> Snapshot:
        """All that decides how the environments go on."""
        randoms = [random.get_state() for random in self._randoms]
        return Snapshot(self.simulation.read(), self._steps.copy(), copy.deepcopy(randoms))

    def restore(self, snapshot: Snapshot) -> np.ndarray:
        """Go back to a snapshot, exact to the bit; the observations [B, O] there."""
        everyone = np.arange(self.num_envs)
        self.simulation.write(everyone, snapshot.states)
        self._steps = snapshot.steps.copy()
        self._randoms = [np.random.RandomState() for _ in snapshot.randoms]
        for random, state in zip(self._randoms, snapshot.randoms, strict=True):
            random.set_state(state)
        if self._own_models:  # the episodes to come need the snapshot's models too
            for source, row in zip(self._sources, snapshot.states, strict=True):
                assert self.twin is not None
                table = make_table(source.model, source.data, self.twin.model_fields)
                kernels.write_states(table[None], self.simulation.integration_size, row[None])
        return self._observe(everyone, snapshot.states)
