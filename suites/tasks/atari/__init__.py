"""The games of the Atari 2600, emulated by ALE, for planners and for learners."""

from typing import Any

from suites.errors import UserError
from suites.tasks.atari.emulator import Settings
from suites.tasks.atari_names import GAMES
from suites.tasks.registry import unknown


def make(name: str, num_envs: int = 1, threads: int = 1, **options: Any) -> Any:
    """The game of that name, for planners: `suites.tasks.atari.task.AtariTask`.

    Its own environments are stepped in this process, whatever `threads` says.

    Raises:
      UserError: if there is no such game, for bad options, and where ale-py is not installed.
    """
    from suites.tasks.atari.task import AtariTask

    return AtariTask(settings(name, **options), num_envs)


def settings(name: str, **options: Any) -> Settings:
    """The settings of a game.

    Raises:
      UserError: if there is no such game, and for bad options.
    """
    if name not in GAMES:
        raise UserError(unknown(name))
    return Settings(name, **options)
