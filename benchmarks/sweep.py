"""Sweeps against their runs made one by one, and what keeping records takes of a run.

    python -m benchmarks.sweep --json sweep.json

Twelve short runs are made one after the other, each by a command of its own, and then by one sweep
with a worker for each core that this process may use. The sweep's time is compared with the sum of
theirs, shared out among the workers. Beside that, runs whose functions of record keeping are timed.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unittest.mock import patch

from benchmarks.report import machine, parse, print_table, write_json
from suites import run, session
from suites.command import composing, from_words
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
        "planning, cheetah, 2000 steps a decision": ("planner=mpc", "planner.budget=2000"),
        "the random agent, cheetah": ("agent=random",),
        "soft actor-critic, cheetah, 5000 steps": ("learner=sac", "budget.env_steps=5000"),
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


def _spent() -> float:
    """CPU seconds of this process and of its ended children."""
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def record_keeping(name: str, words: Sequence[str]) -> dict[str, Any]:
    """What of a run's CPU time its records took. Functions within others count once."""
    taken: dict[str, float] = {}
    inside = False

    def timed(function: Callable[..., Any], called: str) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal inside
            if inside:
                return function(*arguments, **named)
            inside, begin = True, _spent()
            try:
                return function(*arguments, **named)
            finally:
                inside = False
                taken[called] = taken.get(called, 0.0) + _spent() - begin

        return call

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(redirect_stdout(None))
        stack.enter_context(composing())
        composed = from_words([*words, "threads=1", f"runs_dir={folder}"])
        for owner, names in _RECORDS:
            for called in names:
                function = timed(getattr(owner, called), called)
                stack.enter_context(patch.object(owner, called, function))
        begin = _spent()
        run.execute(composed, Meter())
        total = _spent() - begin
        text = (composed.path / "evaluations.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    playing = rows[-1]["evaluation_wall_seconds"] - rows[-1]["evaluation_compile_seconds"]
    working = rows[-1]["evaluation_act_seconds"] + rows[-1]["evaluation_collect_seconds"]
    most = sorted(taken, key=lambda called: -taken[called])[:3]
    return {
        "line": name,
        "CPU, s": round(total, 2),
        "records, s": round(sum(taken.values()), 3),
        "records, %": round(100 * sum(taken.values()) / total, 2),
        "evaluator, %": round(100 * (playing - working) / playing, 2),
        "most of it": ", ".join(f"{called} {taken[called]:.3f}" for called in most),
    }


def measure(plan: Plan) -> dict[str, Any]:
    """All numbers."""
    return {
        "records": [record_keeping(name, words) for name, words in plan.typical.items()],
        "sweep": against_single_runs(plan),
    }


def main(given: Sequence[str] | None = None) -> None:
    """The command line."""
    arguments = parse("benchmarks.sweep", __doc__, given)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
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
