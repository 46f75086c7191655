"""The games of the Atari 2600, emulated by ALE, for planners and for learners."""

from typing import Any

from suites.errors import UserError
from suites.tasks.atari.emulator import Settings
from suites.tasks.atari_names import GAMES
from suites.tasks.registry import unknown


def make(name: str, num_envs: int = 1, threads: int = 1, **options: Any) -> Any:
    """The game of that name: `suites.tasks.atari.task.AtariTask`.

    Arguments:
      threads: Taken like that of every task, and of no effect: a frame of ALE holds Python's lock.
      options: Those of `suites.tasks.atari_names.OPTIONS`.

    Raises:
      UserError: if there is no such game, for bad options, and where ale-py is not installed.
    """
    if name not in GAMES:
        raise UserError(unknown(name))
    from suites.tasks.atari.task import AtariTask

    return AtariTask(Settings(name, **options), num_envs)
