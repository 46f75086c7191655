"""The command of one run in a process of its own, on whatever machine.

Imports nothing of the suite, so that a worker elsewhere is ready at once.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

_POLL = 0.1  # seconds
_GRACE = 10.0  # seconds between asking a process to end and killing it
# Of every library that makes threads by itself; a run makes its own, as `threads` says.
_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "NUMBA")
_THREADS = (*(f"{name}_NUM_THREADS" for name in _LIBRARIES), "VECLIB_MAXIMUM_THREADS")
_PARENT = "PLAN_OR_LEARN_PARENT"  # tells a process with which other one it ends


@dataclass(frozen=True)
class Order:
    """What is to be done.

    Attributes:
      folder: Where the command is started.
      log: What it says goes to the end of this file.
      seconds: That it may take; None: any.
      threads: That it will use.
    """

    command: tuple[str, ...]
    folder: str
    log: str
    seconds: float | None
    threads: int


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
      code: The exit code, negative for a signal; None where the machine was lost.
      reason: Why it failed, in one line.
      final: Whether another try makes no sense.
    """

    code: int | None
    reason: str = ""
    cpu_seconds: float = 0.0
    final: bool = False


class Process:
    """An order at work.

    Its process ends when this one does, however that happens, so that none is left behind that
    holds a run directory.
    """

    def __init__(self, order: Order):
        self._order = order
        pinned = dict.fromkeys(_THREADS, "1")
        with open(order.log, "ab") as log:
            self._said = log.tell()
            self._process = subprocess.Popen(
                order.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=order.folder,
                env={**os.environ, **pinned, _PARENT: str(os.getpid())},
                start_new_session=True,  # ctrl-c is for the sweep, which tells its runs
            )
        self._began = time.monotonic()
        self._asked: float | None = None  # when it was asked to end
        self._late = False

    def poll(self) -> Outcome | None:
        """What came of it; None while it is at work."""
        now, order = time.monotonic(), self._order
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if pid:
            self.kill()  # what it started, too
            code = self._process.returncode = os.waitstatus_to_exitcode(status)
            spent = usage.ru_utime + usage.ru_stime
            if self._late and code:
                reason = f"took longer than sweep.timeout={order.seconds:g} seconds"
                return Outcome(code, reason, spent, final=True)
            return Outcome(code, self._reason(code), spent)
        if order.seconds is not None and now - self._began > order.seconds and not self._late:
            self._late = True
            self.stop()
        if self._asked is not None and now - self._asked > _GRACE:
            self.kill()
        return None

    def _reason(self, code: int) -> str:
        if code == 0:
            return ""
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        said: list[str] = []
        with suppress(OSError), open(self._order.log, "rb") as log:
            log.seek(self._said)
            lines = log.read().decode(errors="replace").split("\n")
            said = [line.strip() for line in lines if line.strip()]
        return said[-1].removeprefix("error: ") if said else f"exit code {code}"

    def stop(self) -> None:
        """Ask it to end, as ctrl-c does; it is killed if it takes long."""
        self._asked = time.monotonic()
        os.kill(self._process.pid, signal.SIGINT)  # it was not waited for: the number is its own

    def kill(self) -> None:
        """End it and what it started, at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def perform(order: Order) -> Outcome:
    """Carry out an order to its end."""
    Path(order.log).parent.mkdir(parents=True, exist_ok=True)
    process = Process(order)
    while (outcome := process.poll()) is None:
        time.sleep(_POLL)
    return outcome


class Requeued:
    """`perform`, for a queue that takes the machine back before a run is done.

    Then the order goes into the queue again, and the run goes on from its checkpoint: what it had
    at work ends with this process. The protocol is submitit's.
    """

    def __call__(self, order: Order) -> Outcome:
        """Carry out an order to its end."""
        return perform(order)

    def checkpoint(self, order: Order) -> object:
        """What is to be queued."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, order)


def perform_all(orders: Sequence[Order], workers: int) -> Iterator[tuple[int, Outcome]]:
    """Carry out orders on this machine, so many at a time: the index and outcome of each.

    Who stops to ask ends those at work.
    """
    at_work: dict[int, Process] = {}
    waiting = iter(range(len(orders)))
    try:
        while True:
            at_work |= {k: Process(orders[k]) for k in islice(waiting, workers - len(at_work))}
            if not at_work:
                return
            for k, process in list(at_work.items()):
                if outcome := process.poll():
                    del at_work[k]
                    yield k, outcome
            time.sleep(_POLL)
    finally:
        for process in at_work.values():
            process.kill()


def end_with_parent() -> None:
    """Let the system end this process with the one that ordered it, if any did."""
    parent = os.environ.pop(_PARENT, None)
    if parent is None:
        return
    # Its SIGINT is ours to send, also where a shell made the sweep in the background deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "linux":
        return
    set_death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
    if os.getppid() != int(parent):  # it ended before that
        os.kill(os.getpid(), signal.SIGKILL)
