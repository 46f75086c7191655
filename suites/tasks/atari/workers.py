"""Processes that roll plans out beside this one, each on its own emulator.

Arrays lie in memory that all of them share, so that only a few numbers go through a pipe. A worker
that dies is replaced and its part done again. Workers end when their pipe closes, so at the latest
when this process ends, however that happens.
"""

import itertools
import json
import math
import mmap
import os
import selectors
import struct
import subprocess
import sys
import tempfile
import weakref
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from suites.errors import UserError
from suites.tasks.atari.emulator import Emulator, Settings
from suites.tasks.atari.simulation import emulate

_PARTS = 4  # that a worker does of a rollout, so that none waits long for the slowest
_DEATHS = 3  # on the same part, after which another worker would not help
# Bytes of the arena; roots, plans, steps and bytes of a row; first and last plan of a part.
_ORDER = struct.Struct("<7q")
_DONE = b"."


class Workers:
    """`count` processes for one game.

    Attributes:
      processes: The workers, started by the first rollout. One that dies is replaced in its place.
      replayed: Frames that they executed again so far.
    """

    def __init__(self, settings: Settings, count: int):
        self._settings, self._count = settings, count
        self._file = _shared_file()
        self._arena = mmap.mmap(-1, 1)
        self.processes: list[subprocess.Popen] = []
        self.replayed = 0
        weakref.finalize(self, end, self.processes)

    def _start(self) -> subprocess.Popen:
        descriptor = self._file.fileno()
        return subprocess.Popen(
            [sys.executable, "-m", __name__, str(descriptor), json.dumps(asdict(self._settings))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=[descriptor],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,  # an interrupt from the keyboard is for this process alone
        )

    def rollout(
        self, roots: np.ndarray, root_of: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `AtariSimulation.rollout`.

        Raises:
          UserError: if workers keep dying.
        """
        while len(self.processes) < self._count:
            self.processes.append(self._start())
        shape = len(roots), *plans.shape, roots.shape[1]
        arrays = self._map(shape)
        arrays["roots"][:], arrays["root_of"][:], arrays["plans"][:] = roots, root_of, plans
        parts = min(len(plans), _PARTS * len(self.processes))
        edges = [len(plans) * part // parts for part in range(parts + 1)]
        orders = [
            _ORDER.pack(len(self._arena), *shape, begin, end)
            for begin, end in itertools.pairwise(edges)
        ]
        try:
            self._work(orders)
        except BaseException:
            end(self.processes)  # lest they answer later to what nobody waits for any more
            self.processes.clear()
            raise
        self.replayed += int(arrays["replayed"][edges[:-1]].sum())
        return arrays["rewards"].copy(), arrays["continuation"].copy(), arrays["last"].copy()

    def _map(self, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        size = arena_size(shape)
        if size > len(self._arena):
            os.ftruncate(self._file.fileno(), size)
            self._arena = mmap.mmap(self._file.fileno(), size)
        return arena_arrays(self._arena, shape)

    def _work(self, orders: list[bytes]) -> None:
        """Have all orders done, by whichever worker is free."""
        waiting, idle = list(range(len(orders)))[::-1], list(range(len(self.processes)))[::-1]
        deaths = [0] * len(orders)
        with selectors.DefaultSelector() as selector:
            while waiting or selector.get_map():
                while waiting and idle:
                    worker, part = idle.pop(), waiting.pop()
                    process: Any = self.processes[worker]
                    with suppress(BrokenPipeError):  # it is dead, and its answer will say so
                        process.stdin.write(orders[part])
                    selector.register(process.stdout, selectors.EVENT_READ, (worker, part))
                for key, _ in selector.select():
                    selector.unregister(key.fileobj)
                    worker, part = key.data
                    idle.append(worker)
                    if os.read(key.fd, 1) == _DONE:
                        continue
                    waiting.append(part)
                    deaths[part] += 1
                    code = self._replace(worker)
                    if deaths[part] == _DEATHS:
                        raise UserError(
                            f"{_DEATHS} processes with an emulator of {self._settings.game} died"
                            f" one after the other (exit code {code}): threads=1 does without"
                        )

    def _replace(self, worker: int) -> int:
        """Put a new process in the place of one that ended; the exit code of that."""
        with suppress(subprocess.TimeoutExpired):  # so that it tells its own exit code
            self.processes[worker].wait(timeout=1)
        code = end([self.processes[worker]])
        self.processes[worker] = self._start()
        return code


def end(processes: list[subprocess.Popen]) -> int:
    """Kill processes, where they still live; the exit code of the last."""
    for process in processes:
        process.kill()
    code = 0
    for process in processes:
        code = process.wait()
        for pipe in filter(None, (process.stdin, process.stdout)):
            with suppress(BrokenPipeError):
                pipe.close()
    return code


def _shared_file() -> Any:
    """A file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("rollouts"), "r+b")
    return tempfile.TemporaryFile()


def _places(shape: tuple[int, ...]) -> dict[str, tuple[type, tuple[int, ...]]]:
    """What lies in the arena, for B roots, N plans of H steps and rows of S bytes."""
    roots, plans, steps, row = shape
    return {
        "root_of": (np.int64, (plans,)),
        "plans": (np.int64, (plans, steps)),
        "replayed": (np.int64, (plans,)),  # of a part, at its first plan
        "rewards": (np.float64, (plans, steps)),
        "continuation": (np.float64, (plans, steps)),
        "roots": (np.uint8, (roots, row)),
        "last": (np.uint8, (plans, row)),
    }


def arena_size(shape: tuple[int, ...]) -> int:
    """Bytes of the arena."""
    return sum(math.prod(size) * np.dtype(kind).itemsize for kind, size in _places(shape).values())


def arena_arrays(arena: mmap.mmap, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """The arrays in the arena, by name; those of 8 bytes come first, so that all are aligned."""
    arrays, at = {}, 0
    for name, (kind, size) in _places(shape).items():
        arrays[name] = np.frombuffer(arena, kind, math.prod(size), at).reshape(size)
        at += arrays[name].nbytes
    return arrays


def main(descriptor: int, settings: Settings) -> None:
    """A worker: does what is ordered on stdin, until that closes."""
    emulator, arena = Emulator(settings), mmap.mmap(-1, 1)
    while len(order := sys.stdin.buffer.read(_ORDER.size)) == _ORDER.size:
        size, *shape, begin, end = _ORDER.unpack(order)
        if size != len(arena):
            arena = mmap.mmap(descriptor, size)
        arrays = arena_arrays(arena, tuple(shape))
        part = slice(begin, end)
        names = ("root_of", "plans", "rewards", "continuation", "last")
        before = emulator.replayed
        emulate(emulator, arrays["roots"], *(arrays[name][part] for name in names))
        arrays["replayed"][begin] = emulator.replayed - before
        os.write(sys.stdout.fileno(), _DONE)


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # nobody waits for the answer any more
        main(int(sys.argv[1]), Settings(**json.loads(sys.argv[2])))
