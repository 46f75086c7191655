"""Sweeps against their runs made one by one, and what keeping records takes of a run.

    python -m benchmarks.sweep --json sweep.json

Twelve short runs are made one after the other, each by a command of its own, and then by one sweep
with a worker for each core that this process may use. The sweep's time is compared with the sum of
theirs, shared out among the workers. Beside that, runs whose functions of record keeping are timed.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unittest.mock import patch

from benchmarks.report import machine, parse, print_table, write_json
from suites import run, session
from suites.command import composing, from_words
from suites.evaluate import Stopwatch, evaluate
from suites.ledger import Meter, allowed_threads
from suites.records import Run
from suites.sweeps.grid import expand


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
      sweep: Words of the sweep.
      typical: Words of each run whose record keeping is timed, by a name.
    """

    sweep: tuple[str, ...]
    typical: dict[str, tuple[str, ...]]


FULL = Plan(
    ("planner=mpc,mcts", "planner.budget=2000", "task=cheetah,reacher", "seed=0,1,2"),
    {
        "planning, cheetah": ("planner=mpc",),
        "planning, cheetah, 2000 steps a decision": ("planner=mpc", "planner.budget=2000"),
        "soft actor-critic, cheetah, 8000 steps": (
            *("learner=sac", "budget.env_steps=8000"),
            *("evaluation.every=4000", "evaluation.episodes=1"),
        ),
    },
)
QUICK = Plan(
    ("task=toy-chain", "agent=random", "seed=0,1"),
    {"the random agent, toy": ("task=toy-chain", "agent=random")},
)
# What a run does for its records alone: a name, by where it is looked up.
_RECORDS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (Run, ("__init__", "append", "keep", "manifest", "progress", "read", "rows", "status")),
    (Run, ("write",)),
    (run, ("concurrent_runs", "drop_trainings", "load")),
    (session, ("concurrent_runs", "load", "load_training", "save", "save_agent")),
    (session, ("save_training",)),
    (Meter, ("lap", "poll")),
    (session.Progress, ("step",)),
    (session.TrainingProgress, ("step", "evaluated")),
)


def single(words: Sequence[str], runs_dir: str) -> float:
    """Seconds on the clock of a command of its own."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "suites.run", *words, f"runs_dir={runs_dir}"]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def against_single_runs(plan: Plan) -> dict[str, Any]:
    """A sweep, and its runs alone."""
    workers = allowed_threads()
    with tempfile.TemporaryDirectory() as folder:
        alone = [single([*w, "threads=1"], f"{folder}/one") for w in expand([*plan.sweep], [])]
        together = single(["-m", *plan.sweep, f"sweep.workers={workers}"], f"{folder}/all")
    wanted = sum(alone) / workers
    return {
        "runs": len(alone),
        "workers": workers,
        "alone, s": round(sum(alone), 2),
        "shared out, s": round(wanted, 2),
        "sweep, s": round(together, 2),
        "ratio": round(together / wanted, 3),
        "wanted": 1.1,
    }


class Watch:
    """CPU seconds inside functions, by name; of those within others only the outermost counts."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}
        self._inside = False

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The same function, watched."""

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            if self._inside:
                return function(*arguments, **named)
            self._inside, begin = True, time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self._inside = False
                spent = time.process_time() - begin
                self.taken[name] = self.taken.get(name, 0.0) + spent

        return call

    @property
    def total(self) -> float:
        """Of all functions."""
        return sum(self.taken.values())


def record_keeping(name: str, words: Sequence[str]) -> dict[str, Any]:
    """What of a run's CPU time its records took, and its evaluator, beside agent and task."""
    records, work = Watch(), Watch()
    played = 0.0

    def play(*arguments: Any, **named: Any) -> Iterator[Any]:
        """`evaluate`, watched."""
        nonlocal played
        episodes = evaluate(*arguments, **named)
        while True:
            begin = time.process_time() - records.total - work.total
            episode = next(episodes, None)
            played += time.process_time() - records.total - work.total - begin
            if episode is None:
                return
            yield episode

    begun: list[float] = []
    enter, leave = Stopwatch.__enter__, Stopwatch.__exit__

    def start(watch: Stopwatch) -> None:
        enter(watch)
        begun.append(time.process_time())

    def stop(watch: Stopwatch, *how: object) -> None:
        work.taken["work"] = work.total + time.process_time() - begun.pop()
        leave(watch, *how)

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(redirect_stdout(None))
        stack.enter_context(composing())
        composed = from_words([*words, "threads=1", f"runs_dir={folder}"])
        for owner, names in _RECORDS:
            for called in names:
                function = records.timed(getattr(owner, called), called)
                stack.enter_context(patch.object(owner, called, function))
        stack.enter_context(patch.object(session, "evaluate", play))
        stack.enter_context(patch.object(Stopwatch, "__enter__", start))
        stack.enter_context(patch.object(Stopwatch, "__exit__", stop))
        children = _children_seconds()
        begin = time.process_time()
        run.execute(composed, Meter())
        git = _children_seconds() - children
        total = time.process_time() - begin + git
    recording = records.total + git
    most = sorted(records.taken.items(), key=lambda item: item[1], reverse=True)[:3]
    return {
        "line": name,
        "CPU, s": round(total, 2),
        "records, s": round(recording, 3),
        "records, %": round(100 * recording / total, 2),
        "evaluator, s": round(played, 3),
        "evaluator, %": round(100 * played / total, 2),
        "wanted, %": 1,
        "most of the records": ", ".join(f"{called} {seconds:.3f}" for called, seconds in most),
    }


def _children_seconds() -> float:
    """CPU seconds of ended children: of a run they are git's, which its manifest asks."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def measure(plan: Plan) -> dict[str, Any]:
    """All numbers."""
    return {
        "records": [record_keeping(name, words) for name, words in plan.typical.items()],
        "sweep": against_single_runs(plan),
    }


def main(given: Sequence[str] | None = None) -> None:
    """The command line."""
    arguments = parse("benchmarks.sweep", __doc__, given)
    report = {
        "machine": machine(["numpy", "numba", "mujoco", "torch", "rich"]),
        **measure(QUICK if arguments.quick else FULL),
    }
    print_table("What keeping records takes of a run's CPU time", report["records"])
    print_table("A sweep against its runs one by one", [report["sweep"]])
    if arguments.json:
        write_json(arguments.json, report)


if __name__ == "__main__":
    main()
