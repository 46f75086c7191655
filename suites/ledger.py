"""What a run costs, counted where it is paid.

A `Costs` holds every column. Counts (steps, decisions, updates) are added by those who pay them;
the rest is read by a `Meter` from the process and the machine.
"""

import os
import resource
import time
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any


@cache
def _compiler() -> Any:
    """Adds up the time in Numba's compiler, from the first call on.

    Listens to its lock, which covers dispatchers and C callbacks, compiled and loaded from disk
    alike, while Numba's event of compilation knows of dispatchers only.
    """
    from numba.core import event  # here, since a command that only talks needs no Numba

    listener = event.TimingListener()
    event.register("numba:compiler_lock", listener)
    return listener


@dataclass
class Costs:
    """The columns of the ledger.

    Attributes:
      env_steps: Control steps taken in the real task.
      env_frames: Physics steps (Atari: emulator frames) of those.
      decisions: Plans made by the agent; one each control step, or each `plan_every` when late.
      sim_steps, sim_frames: The same units, spent inside the planner on the simulator; frames also
        on executing again what leads to a state (Atari's `restore=replay`).
      model_steps: Transitions of a learned model, by planning and by imagination.
      updates: Gradient steps.
      flops: Floating-point operations of networks.
      cpu_seconds: User and system time of the process tree.
      wall_seconds: Time on the clock.
      gpu_seconds: Time on the clock during which the run held a GPU.
      peak_bytes: Highest resident memory of the process until then, children apart.
      joules: Energy of the whole machine's processors meanwhile, of other processes too; None where
        it can't be read, and `joules_reason` says why.
      act_seconds: Deciding. update_seconds: Learning. collect_seconds: Stepping the real task. All
        on the clock, without the compilation that fell into them.
      compile_seconds: Compiling to machine code, or loading what was compiled before.
    """

    env_steps: int = 0
    env_frames: int = 0
    decisions: int = 0
    sim_steps: int = 0
    sim_frames: int = 0
    model_steps: int = 0
    updates: int = 0
    flops: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    gpu_seconds: float = 0.0
    peak_bytes: int = 0
    joules: float | None = 0.0
    joules_reason: str | None = None
    act_seconds: float = 0.0
    update_seconds: float = 0.0
    collect_seconds: float = 0.0
    compile_seconds: float = 0.0

    def __add__(self, other: "Costs") -> "Costs":
        """The sum; memory has a maximum instead, and an unknown energy stays unknown."""
        total = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in fields(self)
            if field.name not in ("peak_bytes", "joules", "joules_reason")
        }
        joules = None
        if self.joules is not None and other.joules is not None:
            joules = self.joules + other.joules
        return Costs(
            **total,
            peak_bytes=max(self.peak_bytes, other.peak_bytes),
            joules=joules,
            joules_reason=self.joules_reason or other.joules_reason,
        )


def columns(outside: Costs, evaluation: Costs) -> dict[str, Any]:
    """The ledger of a run as a flat row.

    Plain columns are what the run paid outside evaluation: set-up and training. Those of evaluation
    come with the prefix `evaluation_`.
    """
    return {**vars(outside), **{f"evaluation_{name}": x for name, x in vars(evaluation).items()}}


def costs_of(row: dict[str, Any]) -> tuple[Costs, Costs]:
    """What `columns` made a row of: costs outside evaluation, and of evaluation."""
    names = [field.name for field in fields(Costs)]
    outside = Costs(**{name: row[name] for name in names})
    return outside, Costs(**{name: row[f"evaluation_{name}"] for name in names})


class Meter:
    """Reads the costs that the machine can tell; the first lap began with the process.

    Compilation is seen from the first meter on.

    Attributes:
      gpu: Whether a GPU is held.
    """

    def __init__(self) -> None:
        _compiler()
        self.gpu = False
        self._energy = Energy()
        self._last = (0.0, process_start(), 0.0)

    def compile_seconds(self) -> float:
        """Seconds in Numba's compiler so far, of all threads."""
        return _compiler().duration if _compiler().done else 0.0

    def poll(self) -> None:
        """To be called every few minutes at least: a counter of energy wraps around."""
        self._energy.poll()

    def lap(self) -> Costs:
        """Costs since the last call."""
        now = (cpu_seconds(), time.monotonic(), self.compile_seconds())
        cpu, wall, compiling = (b - a for a, b in zip(self._last, now, strict=True))
        self._last = now
        joules, reason = self._energy.lap()
        return Costs(
            cpu_seconds=cpu,
            wall_seconds=wall,
            gpu_seconds=wall if self.gpu else 0.0,
            compile_seconds=compiling,
            peak_bytes=peak_bytes(),
            joules=joules,
            joules_reason=reason,
        )


def process_start() -> float:
    """When this process began, on `time.monotonic`'s clock; now, where the system does not tell."""
    try:
        # Field 22, after the name, which is in brackets and may hold anything.
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError):
        age = 0.0
    return time.monotonic() - age


def cpu_seconds() -> float:
    """User and system time of this process and of its children, the ended and the living."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
    return total + sum(_living(child) for child in _children(os.getpid()))


def _children(pid: int) -> list[int]:
    """Direct children of a process."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, path.read_text().split())
        except OSError:
            continue
    return found


def _living(pid: int) -> float:
    """User and system seconds of a living process, its ended children and its living ones."""
    try:
        times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    except OSError:
        return 0.0  # it ended meanwhile: its time is now among the ended ones'
    seconds = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    return seconds + sum(_living(child) for child in _children(pid))


def peak_bytes() -> int:
    """The highest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if os.uname().sysname == "Darwin" else peak * 1024


_POWERCAP = Path("/sys/class/powercap")
_POLL_SECONDS = 30.0  # a package's counter wraps after some 20 minutes at full power


class Energy:
    """The processors' energy counters (RAPL) under `/sys/class/powercap`, where readable."""

    def __init__(self, root: Path = _POWERCAP):
        self._joules = 0.0
        self._polled = time.monotonic()
        self._packages: dict[Path, tuple[int, int]] = {}  # counter: (last value, range), in uJ
        self.reason: str | None = None
        try:
            # Below a package are its parts; beside it can be `psys`, the platform with all of them.
            packages = [
                zone
                for zone in root.glob("*rapl:*")
                if zone.name.count(":") == 1
                and (zone / "name").read_text().strip().startswith("package")
            ]
            if not packages:
                self.reason = f"no energy counters of processors under {root}"
            for package in packages:
                counter = package / "energy_uj"
                wrap = int((package / "max_energy_range_uj").read_text())
                self._packages[counter] = (int(counter.read_text()), wrap)
        except OSError as error:
            self.reason = f"{error.filename}: {error.strerror}"

    def poll(self) -> None:
        """Read the counters, if the last time is a while ago."""
        if self.reason is None and time.monotonic() - self._polled > _POLL_SECONDS:
            self._read()

    def _read(self) -> None:
        self._polled = time.monotonic()
        try:
            for counter, (last, wrap) in self._packages.items():
                now = int(counter.read_text())
                self._joules += (now - last if now >= last else now + wrap - last) / 1e6
                self._packages[counter] = (now, wrap)
        except OSError as error:
            self.reason = f"{error.filename}: {error.strerror}"

    def lap(self) -> tuple[float | None, str | None]:
        """Joules since the last call; None and the reason where they can't be read."""
        if self.reason is None:
            self._read()
        joules, self._joules = self._joules, 0.0
        return (joules, None) if self.reason is None else (None, self.reason)


def concurrent_runs() -> int | None:
    """How many runs are at work on this machine, this one included; None if unknown.

    These are the processes of `suites.run`, but for those of sweeps, which wait for their own.
    """
    try:
        processes = [entry for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:
        return None
    count = 0
    for process in processes:
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        # `python -m suites.run` names the module; only a Python process counts, not its shell.
        python = os.path.basename(words[0]).startswith(b"python")
        named = (
            i for i, w in enumerate(words) if w == b"suites.run" or w.endswith(b"suites/run.py")
        )
        if python and (i := next(named, None)) is not None:
            count += not {b"-m", b"--multirun"} & set(words[i + 1 :])
    return max(count, 1)


def allowed_threads() -> int:
    """The cores that this process may use, by its affinity and its control group's quota."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no control group, or no quota ("max")
    return cores
