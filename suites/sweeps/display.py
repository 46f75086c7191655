"""What a sweep shows while it works: one live table in a terminal, else a line for each event."""

import sys
import time
from collections import Counter
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from suites.environment import complain
from suites.progress import duration
from suites.sweeps.engine import Job, Sweep

_METHODS, _RUNNING, _FAILED = 24, 16, 6  # rows of each kind at most
_REFRESH = 1.0  # seconds


class Display:
    """To be told of a sweep's events, and of the time."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._live = Live(console=console, auto_refresh=False) if sys.stderr.isatty() else None
        self._shown = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def event(self, sweep: Sweep, job: Job) -> None:
        """A job's state has changed."""
        if self._live is None and job.state != "running":
            complain(_line(sweep, job))

    def time(self, sweep: Sweep) -> None:
        """To be called often."""
        now = time.monotonic()
        if now - self._shown < _REFRESH:
            return
        self._shown = now
        for job in sweep.jobs:
            if job.state == "running":
                job.look(now)
        if self._live:
            self._live.update(_table(sweep, now), refresh=True)


def _line(sweep: Sweep, job: Job) -> str:
    """One line for an event."""
    counts = Counter(job.state for job in sweep.jobs)
    told = job.reason
    if job.state == "done":
        told = f"score {(job.summary() or {}).get('score', float('nan')):.1f}"
        told += f", {duration(job.seconds)}; {_left(sweep)}"
    failed = f", {counts['failed']} failed" if counts["failed"] else ""
    place = f"[{counts['done']}/{len(sweep.jobs)}{failed}]"
    return f"{place} {job.name}: {job.state}{', ' if job.state == 'done' else ': '}{told}"


def _left(sweep: Sweep) -> str:
    seconds, unknown = sweep.left()
    known = f"{duration(seconds)} left"
    return known if not unknown else f"at least {known} ({unknown} runs like none so far)"


def _table(sweep: Sweep, now: float) -> Group:
    """All of the sweep, in a few dozen lines however many runs it has."""
    counts = Counter(job.state for job in sweep.jobs)
    methods = Table(box=None, pad_edge=False, header_style="bold")
    methods.add_column("method")
    for name in ("done", "running", "waiting", "failed", "CPU"):
        methods.add_column(name, justify="right")
    grouped: dict[str, list[Job]] = {}
    for job in sweep.jobs:
        grouped.setdefault(job.method, []).append(job)
    shown = sorted(grouped.items(), key=lambda item: all(j.state == "done" for j in item[1]))
    for method, jobs in shown[:_METHODS]:
        _count(methods, method, jobs)
    if rest := [job for _, jobs in shown[_METHODS:] for job in jobs]:
        _count(methods, f"{len(shown) - _METHODS} more", rest)
    if len(shown) > 1:
        _count(methods, "all", sweep.jobs)

    running = Table(box=None, pad_edge=False, show_header=False)
    at_work = [job for job in sweep.jobs if job.state == "running"]
    for job in at_work[:_RUNNING]:
        share = "" if job.share is None else f"{job.share:4.0%}"
        left = job.left(now)
        told = "" if left is None else f"{duration(left)} left"
        running.add_row(job.name, share, f"since {duration(now - job.began)}", told)
    if len(at_work) > _RUNNING:
        running.add_row(f"and {len(at_work) - _RUNNING} more")
    failed = [job for job in sweep.jobs if job.state == "failed"]
    lines = [f"failed: {job.name}: {job.reason}" for job in failed[-_FAILED:]]
    told = (
        f"{counts['done']} of {len(sweep.jobs)} done, {_left(sweep)}; "
        f"{duration(sweep.spent())} of CPU so far, "
        f"{duration(sweep.clock())} on the clock"
    )
    return Group(methods, Text(), running, *map(Text, lines), Text(told, style="bold"))


def _count(table: Table, name: str, jobs: list[Job]) -> None:
    counts = Counter(job.state for job in jobs)
    cells = [str(counts[state] or "") for state in ("done", "running", "waiting", "failed")]
    table.add_row(name, *cells, duration(sum(job.spent for job in jobs)))
