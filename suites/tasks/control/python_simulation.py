"""The face of `Simulation` over dm_control's own Python: for the tasks without a compiled twin."""

from collections.abc import Callable

import mujoco
import numpy as np

from suites.errors import NoOtherPhysicsError
from suites.tasks.control.physics import STATE
from suites.tasks.control.source import SuiteSource
from suites.tasks.other_physics import OtherPhysics

# Arrays of the model that a reset writes, by domain and task.
_WRITTEN = {("quadruped", "escape"): ("hfield_data",)}


class PythonSimulation:
    """`n` environments that take turns on one dm_control environment. Slow: 1k to 10k steps/s."""

    def __init__(self, source: SuiteSource, n: int, other: OtherPhysics | None = None):
        if other not in (None, OtherPhysics()):
            raise NoOtherPhysicsError(
                f"{source.domain}-{source.task} runs through dm_control's Python, where planning"
                " has no other physics; leave out world_model.physics"
            )
        self.source, self.n, self.threads = source, n, 1
        self.substeps = source.substeps
        self.environment = source.environment
        self.physics = source.environment.physics
        self.model, self.data = source.model, source.data
        self.fields = _WRITTEN.get((source.domain, source.task), ())
        self.action_size = int(self.model.nu)
        self.integration_size = mujoco.mj_stateSize(self.model, STATE)
        self.state_size = len(self.present())
        self.states = np.tile(self.present(), (n, 1))

    def present(self) -> np.ndarray:
        integration = np.empty(self.integration_size)
        mujoco.mj_getState(self.model, self.data, integration, STATE)
        written = [np.ravel(getattr(self.model, name)) for name in self.fields]
        return np.concatenate([integration, self.data.sensordata, *written])

    def _write(self, row: np.ndarray) -> None:
        at = self.integration_size
        mujoco.mj_setState(self.model, self.data, row[:at], STATE)
        sensors = row[at : at + self.model.nsensordata]
        at += self.model.nsensordata
        for name in self.fields:
            array = getattr(self.model, name)
            array[:] = row[at : at + array.size].reshape(array.shape)
            at += array.size
        mujoco.mj_step1(self.model, self.data)
        self.data.sensordata[:] = sensors

    def _observe(self) -> np.ndarray:
        return flatten(self.environment.task.get_observation(self.physics))

    def _step(self, action: np.ndarray) -> tuple[float, bool]:
        """Reward (NaN where the physics diverges), and whether the episode ended."""
        task = self.environment.task
        before = self.data.warning.number.sum()
        task.before_step(action, self.physics)
        with self.physics.suppress_physics_errors():
            self.physics.step(self.source.substeps)
        task.after_step(self.physics)
        if self.data.warning.number.sum() != before:
            return np.nan, False
        return float(task.get_reward(self.physics)), task.get_termination(self.physics) is not None

    def read(self) -> np.ndarray:
        return self.states.copy()

    def write(self, which: np.ndarray, rows: np.ndarray) -> None:
        self.states[which] = rows

    def observe(self, rows: np.ndarray) -> np.ndarray:
        out = []
        for row in rows:
            self._write(row)
            out.append(self._observe())
        return np.array(out)

    def step(
        self, actions: np.ndarray, observations: np.ndarray, rewards: np.ndarray, ended: np.ndarray
    ) -> None:
        for i in range(self.n):
            self._write(self.states[i])
            rewards[i], ended[i] = self._step(actions[i])
            observations[i] = self._observe()
            self.states[i] = self.present()

    def on_threads(self, n: int, work: Callable[[int], None]) -> None:
        """`work(0)`: there is one thread."""
        work(0)

    def rollout(
        self, roots: np.ndarray, root_of: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, horizon = plans.shape[:2]
        rewards, continuation = np.zeros((n, horizon)), np.zeros((n, horizon))
        last = np.empty((n, self.state_size))
        for i in range(n):
            self._write(roots[root_of[i]])
            for h in range(horizon):
                rewards[i, h], ended = self._step(plans[i, h])
                if np.isnan(rewards[i, h]):
                    rewards[i, h:] = np.nan
                    break
                if ended:
                    break
                continuation[i, h] = 1.0
            last[i] = self.present()
        return rewards, continuation, last


def flatten(observation: dict) -> np.ndarray:
    """dm_control's dictionary as one row, in its order."""
    return np.concatenate([np.ravel(value) for value in observation.values()]).astype(np.float64)
