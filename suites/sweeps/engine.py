"""A sweep at work: which run is started when, what becomes of it, and what is left to do."""

import json
import math
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suites.errors import InUseError, RefusedError
from suites.records import Run, hold, read_json, write_atomic, writing
from suites.sweeps.launchers import Handle, Launcher
from suites.sweeps.work import Order, Outcome

_POLL = 0.1  # seconds
_PATIENCE = 5.0  # seconds until what another process makes, or a queue refused, is tried again
_DOUBLINGS = 4  # of that, since each try may be a job of its own in a queue
_GRACE = 15.0  # seconds that runs have to end after ctrl-c
_STATE_SECONDS = 1.0  # at least so long between two writes of the state


@dataclass(eq=False)
class Job:
    """A run of the sweep.

    Attributes:
      words: Of its command.
      path: Its run directory.
      method: Its label, or the name of the agent.
      force: Whether it is still to be begun anew, whatever there is of it.
      begun_anew: Whether it was, by this sweep.
      state: waiting, running, done or failed.
      reason: Why it failed last, or what it waits for.
      attempts: How often it was started.
      spent: CPU seconds of these, and of those of the same sweep before.
      seconds: That its run took on the clock, once it is done.
      share: How much of it is done, by its own status; None: nothing is known.
    """

    words: tuple[str, ...]
    path: Path
    task: str
    method: str
    seed: int
    threads: int
    force: bool
    state: str = "waiting"
    reason: str = ""
    attempts: int = 0
    spent: float = 0.0
    seconds: float = 0.0
    share: float | None = None
    begun_anew: bool = False
    began: float = 0.0  # on the monotonic clock
    first: tuple[float, float] | None = None  # when a share was seen first, and which
    not_before: float = 0.0
    met: int = 0  # how often another process was found at it

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.task} {self.method} seed{self.seed}"

    def summary(self) -> dict[str, Any] | None:
        """What its run came to; None if it is not done."""
        return read_json(self.path / "summary.json")

    def finish(self, summary: dict[str, Any]) -> None:
        """Its run is done."""
        self.state, self.seconds = "done", clock_seconds(summary)
        self.spent = max(self.spent, cpu_seconds(summary))

    def look(self, now: float) -> None:
        """See how far it is."""
        status = self.path / "status.json"
        try:
            fresh = time.time() - status.stat().st_mtime < now - self.began
        except OSError:
            return
        share = (read_json(status) or {}).get("share") if fresh else None
        if share is not None:
            self.share = share
            self.first = self.first or (now, share)

    def left(self, now: float) -> float | None:
        """Seconds that it still needs, by its own speed; None if that is not known."""
        if self.first is None or self.share is None or self.share <= self.first[1]:
            return None
        pace = (now - self.first[0]) / (self.share - self.first[1])
        return pace * (1 - self.share)


def clock_seconds(summary: dict[str, Any]) -> float:
    """What a run took on the clock."""
    return summary["ledger"]["wall_seconds"] + summary["ledger"]["evaluation_wall_seconds"]


def clock_with(threads: int, run: Path, cpu: float, clock: float) -> float:
    """Seconds on the clock with a number of threads, for a run that may have had more of them."""
    starts = (read_json(run / "manifest.json") or {}).get("starts") or [{}]
    had = starts[-1].get("threads") or threads
    return max(clock, cpu / threads) if had > threads else clock


def cpu_seconds(summary: dict[str, Any]) -> float:
    """What a run took of processors."""
    return summary["ledger"]["cpu_seconds"] + summary["ledger"]["evaluation_cpu_seconds"]


def start_over(path: Path) -> None:
    """Forget what a run recorded.

    Raises:
      UserError: where it can't be written.
      InUseError: where another process makes it.
    """
    run = Run(path)
    try:
        run.clear()
    finally:
        run.release()


@dataclass
class Sweep:
    """Runs, and the folder with their logs and the state of the sweep.

    Attributes:
      flags: Of each run's command, before its words.
    """

    folder: Path
    jobs: list[Job]
    command: list[str]
    flags: list[str]
    launcher: Launcher
    workers: int | None
    retries: int
    timeout: float | None
    on_event: Callable[["Sweep", Job], None]
    on_time: Callable[["Sweep"], None]
    known: dict[Path, list[float]] = field(default_factory=dict)  # seconds of like runs
    began: float = field(default_factory=time.monotonic)
    _full_until: float = 0.0  # the launcher refused a run, on the monotonic clock
    _written: float = 0.0
    _dirty: bool = True

    def run(self) -> None:
        """Make all runs that are not done.

        Raises:
          InUseError: where another process runs this sweep.
          UserError: where the state can't be written; runs at work are ended.
          RefusedError: where the launcher takes no run though none is at work.
          KeyboardInterrupt: after the runs at work were ended.
        """
        with hold(self.folder, "makes the same sweep", "runs_dir"):
            with writing(self.folder):
                (self.folder / "logs").mkdir(exist_ok=True)
            self._find_done()
            self._write_state()
            handles: dict[Job, Handle] = {}
            try:
                self._make(handles)
            except BaseException:
                self._stop(handles)
                raise
            finally:
                self._write_state(at_once=True)

    def _make(self, handles: dict[Job, Handle]) -> None:
        waiting = [job for job in self.jobs if job.state == "waiting"]
        while waiting or handles:
            self._start(waiting, handles)
            for job, handle in list(handles.items()):
                if outcome := handle.poll():
                    del handles[job]
                    self._settle(job, outcome, waiting)
            self._write_state()
            self.on_time(self)
            time.sleep(_POLL)

    def log(self, job: Job) -> Path:
        """What a job said."""
        names = (job.task, job.method, job.path.parent.name, f"seed{job.seed}.log")
        return self.folder / "logs" / "-".join(names).replace("/", "-")  # a label may have some

    def room(self) -> int:
        """How many runs may be at work at a time."""
        return self.workers or self.launcher.slots(max(job.threads for job in self.jobs))

    def _find_done(self) -> None:
        """What is done already, and what it tells about the rest."""
        before = (read_json(self.folder / "state.json") or {}).get("jobs", [])
        spent = {row["path"]: row["cpu_seconds"] for row in before}
        cut_off = any(row["state"] in ("waiting", "running") for row in before)
        begun = {row["path"] for row in before if cut_off and row.get("begun_anew")}
        for job in self.jobs:
            job.spent = spent.get(str(job.path), 0.0)
            if job.force and str(job.path) in begun:  # by this sweep, before it was cut off
                job.force, job.begun_anew = False, True
            if job.path.parent not in self.known:
                self.known[job.path.parent] = self._recorded(job)
            if not job.force and (summary := job.summary()):
                job.finish(summary)

    def _recorded(self, job: Job) -> list[float]:
        """What runs with the settings of a job took on the clock."""
        found = []
        for path in sorted(job.path.parent.glob("seed*")):
            if summary := read_json(path / "summary.json"):
                cpu, clock = cpu_seconds(summary), clock_seconds(summary)
                found.append(clock_with(job.threads, path, cpu, clock))
        return found

    def _start(self, waiting: list[Job], handles: dict[Job, Handle]) -> None:
        now, room = time.monotonic(), self.room()
        if now < self._full_until:
            return

        def ready(job: Job) -> bool:
            seen = job.met and not job.force and job.summary()
            return job.not_before <= now or bool(seen)

        while len(handles) < room and (these := list(filter(ready, waiting))):
            job = min(these, key=self._turn)
            waiting.remove(job)
            if not job.force and (summary := job.summary()):  # by another process, meanwhile
                job.finish(summary)
                self._tell(job, "done")
                continue
            job.attempts, job.began, job.first, job.share = job.attempts + 1, now, None, None
            if job.force:
                try:
                    start_over(job.path)
                except InUseError:
                    self._wait_for(job, waiting)
                    continue
                job.force, job.begun_anew = False, True
                self._write_state(at_once=True)  # a kill from here on forgets nothing
            try:
                with writing(self.folder):
                    handles[job] = self.launcher.start(self._order(job))
            except RefusedError as error:
                if not handles:
                    raise
                job.attempts -= 1
                waiting.append(job)
                self._full_until = now + _PATIENCE
                if job.reason != str(error):  # told once
                    self._tell(job, "waiting", str(error))
                return
            self._tell(job, "running")

    def _order(self, job: Job) -> Order:
        command = (sys.executable, "-m", "suites.run", *self.flags, *job.words)
        if job.begun_anew:  # from here on it goes on, also where it is cut off
            command = (*command, "force=false")
        log = str(self.log(job).resolve())
        return Order(command, os.getcwd(), log, self.timeout, job.threads)

    def _turn(self, job: Job) -> tuple[int, float]:
        """Low seeds first, so that all methods soon have one; and long runs, so that none is late
        to begin. What nothing is known of may be long.
        """
        found = self.known.get(job.path.parent)
        return job.seed, -sum(found) / len(found) if found else -math.inf

    def _settle(self, job: Job, outcome: Outcome, waiting: list[Job]) -> None:
        """What a run that ended means."""
        job.spent += outcome.cpu_seconds
        if outcome.code == 0 and (summary := job.summary()):
            job.finish(summary)
            self.known[job.path.parent].append(job.seconds)
            self._tell(job, "done")
        elif outcome.code == InUseError.code:
            self._wait_for(job, waiting)
        elif outcome.final or job.attempts > self.retries:
            self._tell(job, "failed", outcome.reason or "it left no summary.json")
        else:
            waiting.append(job)  # it goes on from its checkpoint
            self._tell(job, "waiting", f"once more: {outcome.reason}")

    def _wait_for(self, job: Job, waiting: list[Job]) -> None:
        """Another process makes it: see later what came of that."""
        job.attempts -= 1
        job.not_before = time.monotonic() + _PATIENCE * 2 ** min(job.met, _DOUBLINGS)
        job.met += 1
        waiting.append(job)
        self._tell(job, "waiting", "another process makes it")

    def _tell(self, job: Job, state: str, reason: str = "") -> None:
        job.state, job.reason, self._dirty = state, reason, True
        self.on_event(self, job)

    def _stop(self, handles: dict[Job, Handle]) -> None:
        """End what is at work, and see it end, so that nothing holds the runs' directories."""
        for handle in handles.values():
            handle.stop()
        until = time.monotonic() + _GRACE
        while handles and time.monotonic() < until:
            for job, handle in list(handles.items()):
                if outcome := handle.poll():
                    job.spent += outcome.cpu_seconds
                    job.state, self._dirty = "waiting", True
                    del handles[job]
            time.sleep(_POLL)

    def left(self) -> tuple[float, int]:
        """Seconds until all is done, and of how many runs that is not known.

        A run at work goes on at its own speed. Where that is not known, and for a run that waits,
        it is the mean of like runs, done or at work: of the same settings with another seed, or
        else of the same method.
        """
        now = time.monotonic()
        needs = {job: job.left(now) for job in self.jobs if job.state == "running"}
        like: dict[Any, list[float]] = {path: list(found) for path, found in self.known.items()}
        for job in self.jobs:
            if job.state == "done":
                like.setdefault(job.method, []).append(job.seconds)
            elif (need := needs.get(job)) is not None:
                for key in (job.path.parent, job.method):
                    like.setdefault(key, []).append(now - job.began + need)
        for job in self.jobs:
            found = like.get(job.path.parent) or like.get(job.method)
            if job.state in ("waiting", "running") and needs.get(job) is None and found:
                already = now - job.began if job.state == "running" else 0.0
                needs[job] = max(sum(found) / len(found) - already, 0.0)
        unfinished = sum(job.state in ("waiting", "running") for job in self.jobs)
        known = [need for need in needs.values() if need is not None]
        longest = max(known, default=0.0)
        return max(sum(known) / max(self.room(), 1), longest), unfinished - len(known)

    def clock(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    def spent(self) -> float:
        """CPU seconds of all that ended, failed attempts too."""
        return sum(job.spent for job in self.jobs)

    def _write_state(self, at_once: bool = False) -> None:
        now = time.monotonic()
        if not at_once and not (self._dirty and now - self._written >= _STATE_SECONDS):
            return
        self._written, self._dirty = now, False
        rows = [
            {
                "command": shlex.join(job.words),
                "path": str(job.path),
                "state": job.state,
                "attempts": job.attempts,
                "begun_anew": job.begun_anew,
                "reason": job.reason or None,
                "log": str(self.log(job)) if job.attempts else None,
                "cpu_seconds": round(job.spent, 3),
                "seconds": round(job.seconds, 3),
            }
            for job in self.jobs
        ]
        state = {
            "command": self.command,
            "process": os.getpid(),
            "machine": socket.gethostname(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "jobs": rows,
        }
        write_atomic(self.folder / "state.json", json.dumps(state, indent=1).encode() + b"\n")
