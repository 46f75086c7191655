"""An Atari game: B environments behind Gymnasium's `VectorEnv`, with exact snapshots."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from suites.tasks.atari.emulator import Settings
from suites.tasks.atari.simulation import AtariSimulation
from suites.tasks.atari_names import SCORES
from suites.tasks.base import Task
from suites.tasks.seeds import Seed, begin_streams, states_of, streams_at
from suites.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from suites.tasks.atari.pixels import Pixels

FRAMES_PER_SECOND = 60


@dataclass(frozen=True)
class Snapshot:
    """The whole state: emulators [B, S], decisions [B], and each environment's random stream.

    Where environments show pixels also what they show, [B, 4, 84, 84].
    """

    states: np.ndarray
    steps: np.ndarray
    randoms: list[Any]
    pixels: np.ndarray | None = None


def make_facts(settings: Settings, observation_space: Any, actions: int) -> TaskSpec:
    """Facts of a game, for planners as for learners."""
    scores = SCORES.get(settings.game)
    return TaskSpec(
        name=settings.game,
        observation_space=observation_space,
        action_space=gymnasium.spaces.Discrete(actions),
        control_dt=settings.frame_skip / FRAMES_PER_SECOND,
        frames_per_step=settings.frame_skip,
        horizon=math.ceil(settings.max_frames / settings.frame_skip),
        reference=dict(zip(("random", "human"), scores, strict=True)) if scores else {},
        compiled=True,
        budget_per_step=settings.frame_skip,
        has_lives=True,
    )


class AtariTask(Task):
    """`num_envs` environments of one game, with the face of `suites.tasks.control.ControlTask`.

    Observations are the RAM, uint8 [B, 128], or with `observation=pixels` the last four pictures,
    uint8 [B, 4, 84, 84]: see `suites.tasks.atari.pixels`. Rewards are the game's own points,
    float64 [B], not clipped. An episode ends with the game, not with a life.

    The environments step one after another, in this process and thread, since a frame of ALE holds
    Python's lock.
    """

    def __init__(self, settings: Settings, num_envs: int = 1):
        self.settings = settings
        self.simulation = AtariSimulation(settings, num_envs)
        self._pixels: Pixels | None = None
        shape: tuple[int, ...] = (128,)
        if settings.observation == "pixels":
            from suites.tasks.atari import pixels  # Numba is slow to import

            self._pixels = pixels.Pixels(self.simulation.emulators)
            shape = self._pixels.stacks.shape[1:]
        facts = make_facts(
            settings,
            gymnasium.spaces.Box(0, 255, shape, np.uint8),
            len(self.simulation.emulators[0].actions),
        )
        super().__init__(facts, num_envs)
        self._steps = np.zeros(num_envs, np.int64)
        self._randoms: list[np.random.Generator] = []

    @property
    def action_names(self) -> tuple[str, ...]:
        """What ALE calls the actions: NOOP, FIRE, LEFT."""
        return self.simulation.emulators[0].action_names

    def planning_simulation(self, threads: int, other: Any = None) -> AtariSimulation:
        """Emulators of its own for a planner, on `threads` processes."""
        self.refuse(other)
        return AtariSimulation(self.settings, threads=threads)

    def reset(self, *, seed: Seed = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode in every environment: environment i with seed `seed + i`.

        The seed draws the frames without action at the start, and the dice of sticky actions.
        """
        if seed is not None or not self._randoms:
            self._randoms = begin_streams(seed, self.num_envs)
        self._restart(np.arange(self.num_envs))
        return self._observe(), {}

    def _restart(self, which: np.ndarray) -> None:
        for i in which:
            noops = int(self._randoms[i].integers(self.settings.noop_max + 1))
            key = int(self._randoms[i].integers(2**64, dtype=np.uint64))
            self.simulation.emulators[i].restart(key, noops)
            if self._pixels:
                self._pixels.begin(i)
        self._steps[which] = 0

    def _observe(self) -> np.ndarray:
        return self._pixels.stacks.copy() if self._pixels else self.simulation.ram()

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        """One decision of each environment with `actions` [B]."""
        actions = np.asarray(actions)
        if not self.action_space.contains(actions.astype(np.int64)):
            raise ValueError(f"actions are {actions}, expected {self.action_space}")
        rewards, terminated = self.simulation.step(actions)
        if self._pixels:
            self._pixels.follow()
        self._steps += 1
        truncated = (self._steps >= self.facts.horizon) & ~terminated
        observations = self._observe()
        infos: dict[str, Any] = {}
        ended = terminated | truncated
        if ended.any():
            infos = {"final_obs": observations, "_final_obs": ended}
            self._restart(np.flatnonzero(ended))
            observations = self._observe()
        return observations, rewards, terminated, truncated, infos

    def snapshot(self) -> Snapshot:
        """All that decides how the environments go on."""
        pixels = self._pixels.stacks.copy() if self._pixels else None
        return Snapshot(
            self.simulation.read(), self._steps.copy(), states_of(self._randoms), pixels
        )

    def restore(self, snapshot: Snapshot) -> np.ndarray:
        """Go back to a snapshot, exact to the bit; the observations there.

        Raises:
          ValueError: for a snapshot without the pixels that this task shows.
        """
        if self._pixels:
            if snapshot.pixels is None:
                raise ValueError("the snapshot is of a task that did not show pixels")
            self._pixels.stacks[:] = snapshot.pixels
        self.simulation.write(snapshot.states)
        self._steps = snapshot.steps.copy()
        self._randoms = streams_at(snapshot.randoms)
        return self._observe()

    def picture(self, state: np.ndarray) -> np.ndarray:
        """The screen of a state [S], [420, 480, 3] in most games, for a video.

        Enlarged to about the shape that it has on a television. The first environment's own state
        is lost.
        """
        return self.simulation.emulators[0].picture(state).repeat(2, axis=0).repeat(3, axis=1)
