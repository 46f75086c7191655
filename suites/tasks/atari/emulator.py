"""One Atari 2600, whose whole state is a row of bytes.

A row is uint8 [S], S fixed per game and its options: a header (the key of the dice, the action that
was executed last, whether the episode goes on, the lives left, the length of the serialised state),
the 128 bytes of RAM, the emulator's serialised state, padding, and, if asked for, what was executed
since the start of the game (`restore=replay`: how many frames, a byte for each, padding) and the
screen as palette indices.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from suites.errors import UserError
from suites.tasks.atari.dice import throw
from suites.tasks.atari_names import OBSERVATIONS, RESTORES

HEADER = struct.Struct("<QBBBxI")  # key, last executed action, alive, lives, length of the state
KEY, LIVES = slice(0, 8), slice(10, 11)
RAM = slice(HEADER.size, HEADER.size + 128)
_COUNT = struct.Struct("<I")  # frames executed since the start of the game
_SLACK = 64  # bytes that a serialised state may outgrow the first one by; klax's does by one
_NOOP = 0

# After a restore ALE 0.12.1 goes on as before, except that its state leaves out whether a frame was
# cut off unfinished. This game does that while it thinks.
_CUTS_FRAMES = ("tic_tac_toe_3d",)


@dataclass(frozen=True)
class Settings:
    """What decides how a game goes: `suites.tasks.atari_names.OPTIONS` says what each means.

    Raises:
      UserError: for a value that makes no sense.
    """

    game: str
    sticky: float = 0.25
    frame_skip: int = 4
    full_action_space: bool = False
    noop_max: int = 30
    max_frames: int = 108_000
    mode: int | None = None
    difficulty: int | None = None
    screen: bool = False
    restore: str = "state"
    observation: str | None = None

    def __post_init__(self) -> None:
        number = isinstance(self.sticky, int | float) and not isinstance(self.sticky, bool)
        if not (number and 0 <= self.sticky < 1):
            raise UserError(f"task.sticky is {self.sticky!r}: give a probability from 0, below 1")
        for name, least in {"frame_skip": 1, "noop_max": 0, "max_frames": 1}.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UserError(
                    f"task.{name} is {value!r}: give a whole number of at least {least}"
                )
        for name in ("full_action_space", "screen"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"task.{name} is {getattr(self, name)!r}: give true or false")
        if self.restore not in RESTORES:
            raise UserError(f"task.restore is {self.restore!r}: give {' or '.join(RESTORES)}")
        if self.observation not in (None, *OBSERVATIONS):
            raise UserError(
                f"task.observation is {self.observation!r}: give {' or '.join(OBSERVATIONS)}"
            )


def import_ale() -> Any:
    """The package `ale_py`, with its messages off.

    Raises:
      UserError: if it is not installed.
    """
    try:
        import ale_py
    except ImportError:
        raise UserError(
            "Atari games need ale-py, which is not installed: pip install 'plan-or-learn[atari]'"
        ) from None
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    return ale_py


def start_console(settings: Settings) -> Any:
    """An `ale_py.ALEInterface` at the start of the game.

    Always at the very same one: only the first game after a ROM is loaded begins in a state that is
    independent of what was played before.

    Raises:
      UserError: for a mode or a difficulty that the game does not have.
    """
    ale_py = import_ale()
    console = ale_py.ALEInterface()
    console.setInt("random_seed", 0)
    console.setFloat("repeat_action_probability", 0.0)  # the dice are ours: see `Emulator.step`
    console.setInt("max_num_frames_per_episode", 0)  # time limits are the task's
    console.loadROM(ale_py.roms.get_rom_path(settings.game))
    for name, known, use in (
        ("mode", console.getAvailableModes(), console.setMode),
        ("difficulty", console.getAvailableDifficulties(), console.setDifficulty),
    ):
        value = getattr(settings, name)
        if value is not None and value not in known:
            choice = ", ".join(map(str, known))
            raise UserError(f"task.{name} is {value!r}: {settings.game} has {choice}")
        if value is not None:
            use(value)
    console.reset_game()
    return console


class Emulator:
    """An emulator that is set to rows, stepped, and read.

    With `restore=state` it goes to a row by its serialised state. With `restore=replay` it executes
    again all that was executed since the start of the game, or what is missing of that: this relies
    on ALE's state of the start alone, and takes the longer the later in the game. Where a plan went
    on beyond the end of the true episode, of which rows keep no more, it goes by the state all the
    same.

    Attributes:
      actions, action_names: ALE's code and name of each action.
      state_size: Bytes of a row.
      screen_shape: (210, 160) in most games.
      replayed: Frames that were executed again so far.
      frames: The last two frames of the last decision in grey, uint8 [2, *screen_shape]; twice the
        last one where it had no more, or an episode has just begun. None: nobody looks.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.console = start_console(settings)
        full, console = settings.full_action_space, self.console
        codes = console.getLegalActionSet() if full else console.getMinimalActionSet()
        self.actions = [code.value for code in codes]
        self.action_names = tuple(code.name for code in codes)
        self.screen_shape = tuple(self.console.getScreenDims())
        self._state_type: Any = type(self.console.cloneState())
        self._key, self._last, self.alive = 0, _NOOP, True
        self._capacity = len(self.console.cloneState().__getstate__()) + _SLACK
        # Lives, length of the state, and what follows a row's header, of the console as it is now;
        # None when it has been stepped since they were known.
        self._body: tuple[int, int, bytes] | None = None
        # What the console has executed since the start of the game, of which rows hold `_frames`;
        # one more, and this is not all, or not known.
        self._executed = bytearray()
        self._frames = _longest(settings) if settings.restore == "replay" else 0
        self.replayed = 0
        history = _COUNT.size + self._frames if self._frames else 0
        pixels = self.screen_shape[0] * self.screen_shape[1] if settings.screen else 0
        self.state_size = RAM.stop + self._capacity + history + pixels
        self._first, self._first_frame = self.read(), self.console.getScreenGrayscale()
        self._first_body = self._body
        self.frames: np.ndarray | None = None
        self.restart(0, 0)

    def restart(self, key: int, noops: int) -> None:
        """Begin an episode, whose dice are `key`, after some frames without action."""
        self._start()
        for _ in range(noops):
            self._act(_NOOP)
        if self.console.game_over(False):
            self._start()
            noops = 0
        if not noops:  # a restored console draws only with its next frame
            self._body = self._first_body
        if self.frames is not None:
            self.frames[:] = self.console.getScreenGrayscale() if noops else self._first_frame
        self._key, self._last, self.alive = key, _NOOP, True

    def _start(self) -> None:
        """Go to the start of the game, settled."""
        self._settle()
        self._restore(self._first)
        self._executed.clear()

    def _settle(self) -> None:
        """Do a frame elsewhere.

        So that the little which the console's states leave out does not depend on what it has
        played, when it is then restored.
        """
        self._restore(self._first)
        self.console.act(_NOOP)

    def write(self, row: np.ndarray, settle: bool = False) -> None:
        """Go to the state of a row. Costs little where the emulator already is there.

        With `settle`, where it goes by the state, the console settles before.
        """
        data = row.tobytes()
        self._key, self._last, alive, lives, length = HEADER.unpack_from(data)
        self.alive = bool(alive)
        body = (lives, length, data[HEADER.size :])
        if self._frames:
            if body != self._body:
                self._replay(row)
        else:
            settle = settle or self.settings.game in _CUTS_FRAMES
            if settle:
                self._settle()
            if settle or body != self._body:
                self._restore(row)
        self._body = body

    def _restore(self, row: np.ndarray) -> None:
        """Go by the serialised state of a row."""
        data = row.tobytes()
        length = HEADER.unpack_from(data)[-1]
        state = self._state_type.__new__(self._state_type)
        state.__setstate__(data[RAM.stop : RAM.stop + length])
        self.console.restoreState(state)
        self._body = None
        self._executed = bytearray(self._frames + 1)

    def _replay(self, row: np.ndarray) -> None:
        """Go to a row by what was executed until there."""
        history = row[RAM.stop + self._capacity :].tobytes()
        (count,) = _COUNT.unpack_from(history)
        if count > self._frames:
            self._settle()
            self._restore(row)
            return
        executed = history[_COUNT.size : _COUNT.size + count]
        if not executed.startswith(bytes(self._executed)):
            self._start()
        missing = executed[len(self._executed) :]
        for action in missing:
            self._act(action)
        self.replayed += len(missing)

    def _act(self, action: int) -> int:
        """The reward of a frame."""
        self._body = None
        if len(self._executed) <= self._frames:
            self._executed.append(action)
        return self.console.act(action)

    def read(self) -> np.ndarray:
        """The row of the present state, not to be written to."""
        if self._body is None:
            state = self.console.cloneState().__getstate__()
            if len(state) > self._capacity:
                raise RuntimeError(f"a state of {len(state)} bytes: more than {self._capacity}")
            ram = self.console.getRAM().tobytes()
            history = b""
            if self._frames:
                executed = bytes(self._executed[: self._frames]).ljust(self._frames, b"\0")
                history = _COUNT.pack(len(self._executed)) + executed
            screen = self.console.getScreen().tobytes() if self.settings.screen else b""
            body = b"".join([ram, state.ljust(self._capacity, b"\0"), history, screen])
            self._body = (self.console.lives(), len(state), body)
        lives, length, body = self._body
        header = HEADER.pack(self._key, self._last, self.alive, lives, length)
        return np.frombuffer(header + body, np.uint8)

    def step(self, action: int) -> float:
        """The reward of a decision; after the end of an episode nothing happens any more.

        Sticky actions are those of Machado et al. 2018, as ALE implements them: at
        each frame the action that was executed last goes on with probability `sticky`. The dice
        are thrown here, since ALE's own can't be told apart from its state.
        """
        if not self.alive:
            return 0.0
        chosen, sticky, reward = self.actions[action], self.settings.sticky, 0
        last = self.settings.frame_skip - 1
        for frame in range(last + 1):
            if sticky:
                self._key, thrown = throw(self._key)
                if thrown >= sticky:
                    self._last = chosen
            else:
                self._last = chosen
            reward += self._act(self._last)
            over = self.console.game_over(False)
            if self.frames is not None and (frame >= last - 1 or over):
                self._look(again=frame == last > 0)
            if over:
                self.alive = False
                break
        return float(reward)

    def _look(self, again: bool) -> None:
        """Note the frame on the screen, beside the one before if this is the decision's second."""
        assert self.frames is not None
        self.console.getScreenGrayscale(self.frames[1])
        if not again:
            self.frames[0] = self.frames[1]

    def picture(self, row: np.ndarray) -> np.ndarray:
        """What the screen shows one frame after a row, [210, 160, 3] in most games."""
        self._restore(row)
        self.console.act(HEADER.unpack_from(row.tobytes())[1])
        return self.console.getScreenRGB()


def _longest(settings: Settings) -> int:
    """The most frames that an episode can have, those of its start included."""
    skip = settings.frame_skip
    return settings.noop_max + math.ceil(settings.max_frames / skip) * skip
