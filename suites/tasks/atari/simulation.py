"""B emulators of a game, and rollouts of plans from any state, in this process or in workers."""

from typing import TYPE_CHECKING

import numpy as np

from suites.errors import UserError
from suites.tasks.atari.dice import mix
from suites.tasks.atari.emulator import KEY, LIVES, RAM, Emulator, Settings

if TYPE_CHECKING:
    from suites.tasks.atari.workers import Workers


class AtariSimulation:
    """`n` emulators, with the face of `suites.tasks.control.simulation.Simulation`.

    Rows are uint8 [S], as described in `suites.tasks.atari.emulator`. The result of a rollout does
    not depend on the number of threads: each plan is computed from its own root alone.

    Arguments:
      threads: Processes that roll plans out, since ALE holds Python's lock; 1: this one. They are
        started by the first rollout of more than one plan.

    Attributes:
      substeps: Emulator frames per decision.
      has_dice: Whether chance plays a part.
      kinds: Of observations.
    """

    kinds = ("ram", "lives", "screen")

    def __init__(self, settings: Settings, n: int = 1, threads: int = 1):
        self.settings, self.threads = settings, threads
        self.emulators = [Emulator(settings) for _ in range(n)]
        self.state_size = self.emulators[0].state_size
        self.substeps = settings.frame_skip
        self.has_dice = settings.sticky > 0
        self._workers: Workers | None = None

    def read(self) -> np.ndarray:
        """States of the emulators, [n, S]."""
        return np.stack([emulator.read() for emulator in self.emulators])

    def write(self, rows: np.ndarray) -> None:
        """Set the states of the emulators to rows [n, S]."""
        for emulator, row in zip(self.emulators, rows, strict=True):
            emulator.write(row, settle=True)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rewards [n], and whether the episode has ended [n], after one decision of each."""
        rewards = [
            emulator.step(action)
            for emulator, action in zip(self.emulators, actions.tolist(), strict=True)
        ]
        return np.array(rewards), np.array([not emulator.alive for emulator in self.emulators])

    @property
    def replayed(self) -> int:
        """Frames that were executed again so far, to get to states (`restore=replay`)."""
        own = sum(emulator.replayed for emulator in self.emulators)
        return own + (self._workers.replayed if self._workers else 0)

    def ram(self) -> np.ndarray:
        """What is in the RAM of the emulators, [n, 128]."""
        return np.stack([emulator.console.getRAM() for emulator in self.emulators])

    def observe(self, rows: np.ndarray, kind: str = "ram") -> np.ndarray:
        """Observations of states [N, S]: the RAM [N, 128], or of another kind.

        `lives` are those left [N, 1], 0 in games without; `screen` is [N, 33600] in most games, and
        there only if the settings ask for it.

        Raises:
          UserError: for the screen, where they do not.
        """
        if kind in ("ram", "lives"):
            return rows[:, RAM if kind == "ram" else LIVES].copy()
        if not self.settings.screen:
            raise UserError(
                "planner.features of screens need states that hold their screen: set"
                " task.screen=true, or choose planner.features=ram"
            )
        height, width = self.emulators[0].screen_shape
        return rows[:, -height * width :].copy()

    def redraw(self, rows: np.ndarray, salt: int | np.ndarray) -> np.ndarray:
        """The states [N, S] with other dice, by the old ones and a salt (one, or [N])."""
        rows = rows.copy()
        keys = rows[:, KEY].copy().view("<u8")[:, 0]
        rows[:, KEY] = mix(keys, salt)[:, None].view(np.uint8)
        return rows

    def rollout(
        self, roots: np.ndarray, root_of: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards [N, H], continuation [N, H] and last states [N, S] of plans [N, H].

        Plan n begins in `roots[root_of[n]]`; after a termination rewards and continuation are 0.
        """
        if self.threads > 1 and len(plans) > 1:
            if self._workers is None:
                from suites.tasks.atari.workers import Workers

                self._workers = Workers(self.settings, self.threads)
            return self._workers.rollout(roots, root_of, plans)
        rewards, continuation = np.empty(plans.shape), np.empty(plans.shape)
        last = np.empty((len(plans), self.state_size), np.uint8)
        emulate(self.emulators[0], roots, root_of, plans, rewards, continuation, last)
        return rewards, continuation, last


def emulate(
    emulator: Emulator,
    roots: np.ndarray,
    root_of: np.ndarray,
    plans: np.ndarray,
    rewards: np.ndarray,
    continuation: np.ndarray,
    last: np.ndarray,
) -> None:
    """Roll out plans on one emulator, as `AtariSimulation.rollout`, into the last three."""
    for n, plan in enumerate(plans):
        emulator.write(roots[root_of[n]])
        for h, action in enumerate(plan.tolist()):
            rewards[n, h] = emulator.step(action)
            continuation[n, h] = emulator.alive
        last[n] = emulator.read()
