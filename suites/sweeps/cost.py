"""What a sweep will cost, before it is begun (`--plan-cost`).

The evidence for a run is, in this order: runs with the same settings and another seed; runs that
differ in budgets and evaluation alone, or for what only learns also in the task, scaled by steps;
and else a short calibration, for which a little of the run is made.
"""

import heapq
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from omegaconf import OmegaConf

from suites.assembly import evaluation_points
from suites.command import NULL, Composed, composing, from_words
from suites.environment import complain
from suites.errors import UserError
from suites.ledger import allowed_threads
from suites.progress import duration
from suites.records import NOT_IN_HASH, read_json
from suites.sweeps.engine import Job, clock_seconds, clock_with, cpu_seconds
from suites.sweeps.work import Order, perform_all


@dataclass(frozen=True)
class Estimate:
    """Seconds that a run will take, and how that is known."""

    cpu: float
    clock: float
    evidence: str


def plan(jobs: list[Job], flags: list[str], workers: int | None) -> str:
    """A table of what each method costs on each task, and what all takes.

    Arguments:
      flags: Of each run's command.
      workers: Runs at a time; None: as many as there are cores for here.

    Raises:
      UserError: where a run can't be made.
    """
    groups: dict[Path, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.path.parent, []).append(job)
    due = {path: [j for j in g if j.force or not j.summary()] for path, g in groups.items()}
    here = max(allowed_threads() // max(job.threads for job in jobs), 1)
    workers = workers or here
    estimates: dict[Path, Estimate] = {}
    unknown: list[tuple[Job, Composed]] = []
    with composing():
        for path, group in due.items():
            composed = from_words(list(groups[path][0].words), flags[-1] if flags else None)
            if found := recorded(composed):
                estimates[path] = found
            elif group:
                unknown.append((group[0], composed))
    if unknown:
        complain(f"calibrating {len(unknown)} of {len(groups)} settings, a minute or less each")
        estimates |= calibrated(unknown, flags, min(workers, here))
    return _table(groups, due, estimates, workers)


def recorded(composed: Composed) -> Estimate | None:
    """What is known of a run by those that were made; None if nothing is."""
    root = Path(str(composed.config.runs_dir))
    place = Path(composed.task, composed.agent)
    threads = composed.config.threads or allowed_threads()
    same = [one for base in (root, *root.glob("*")) for one in _runs(base / place, composed.digest)]
    if same:
        cpu = [cpu_seconds(summary) for _, summary in same]
        clock = [
            clock_with(threads, path, spent, clock_seconds(summary))
            for spent, (path, summary) in zip(cpu, same, strict=True)
        ]
        return Estimate(fmean(cpu), fmean(clock), f"{len(same)} runs with other seeds")
    mine = OmegaConf.to_container(composed.config, resolve=True)
    tasks = [composed.task]
    if composed.choices["planner"] == NULL["planner"] and composed.config.budget.env_steps:
        tasks.append("*")  # what only learns costs much the same on all tasks
    for task in tasks:
        for base in (root, *root.glob("*")):
            for folder in sorted(base.glob(f"{task}/{composed.agent}")):
                for path, summary in _runs(folder, "*"):
                    theirs = _config(path)
                    if theirs and _kind(theirs, task) == _kind(mine, task):  # pyright: ignore
                        told = f"{path.parent.parent.parent.name}, other budgets, scaled by steps"
                        return _scaled(path, summary, theirs, composed.config, told)
    return None


def _runs(folder: Path, digest: str) -> Iterable[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.glob(f"{digest}/seed*")):
        if summary := read_json(path / "summary.json"):
            yield path, summary


def _config(path: Path) -> dict[str, Any] | None:
    try:
        return OmegaConf.to_container(OmegaConf.load(path / "config.yaml"))  # pyright: ignore
    except OSError:
        return None


def _kind(config: dict[str, Any], task: str) -> dict[str, Any]:
    """What decides how much a step costs; budgets are scaled."""
    dropped = (*NOT_IN_HASH, "budget", "evaluation", *(["task"] if task == "*" else []))
    kept = {key: value for key, value in config.items() if key not in dropped}
    kept["planner"] = {k: v for k, v in config["planner"].items() if k != "budget"}
    return kept


def _scaled(
    path: Path, summary: dict[str, Any], theirs: dict[str, Any], mine: Any, evidence: str
) -> Estimate | None:
    """The cost of another run, by its own steps and decisions."""
    ledger, steps = summary["ledger"], mine.budget.env_steps
    if bool(steps) != bool(ledger["env_steps"]):
        return None
    searched = (mine.planner.get("budget") or 1) / (theirs["planner"].get("budget") or 1)
    trained = 1.0
    if steps:
        clock = ledger["act_seconds"] + ledger["update_seconds"] + ledger["collect_seconds"]
        acting = ledger["act_seconds"] / max(clock, 1e-9)
        trained = steps / ledger["env_steps"] * (1 - acting + acting * searched)
    rows = (path / "evaluations.jsonl").read_text().count("\n")
    episodes = len(evaluation_points(mine)) * mine.evaluation.episodes
    evaluated = episodes / (rows * len(summary["returns"])) * searched

    def all_of(unit: str) -> float:
        total = 0.0
        for phase, more in (("", trained), ("evaluation_", evaluated)):
            seconds = ledger[f"{phase}{unit}_seconds"]
            compiled = min(ledger[f"{phase}compile_seconds"], seconds)  # once, however long the run
            total += compiled + (seconds - compiled) * more
        return total

    cpu, threads = all_of("cpu"), mine.threads or allowed_threads()
    return Estimate(cpu, clock_with(threads, path, cpu, all_of("wall")), evidence)


def calibrated(
    unknown: list[tuple[Job, Composed]], flags: list[str], workers: int
) -> dict[Path, Estimate]:
    """What a little of each run tells of all of it, by the folder of its settings.

    Raises:
      UserError: where one can't be made.
    """
    found: dict[Path, Estimate] = {}
    with tempfile.TemporaryDirectory(prefix="plan-or-learn-") as folder:
        orders = [_order(job, flags, Path(folder, str(k))) for k, (job, _) in enumerate(unknown)]
        for k, outcome in perform_all(orders, workers):
            job, composed = unknown[k]
            if outcome.code != 0:
                raise UserError(f"{job.name}: {outcome.reason}")
            told = json.loads(Path(orders[k].log).read_text().strip().splitlines()[-1])
            cpu = extrapolated(told, composed.config)
            clock = cpu / max(told["busy"], 0.1)
            found[job.path.parent] = Estimate(cpu, clock, "calibration")
    return found


def _order(job: Job, flags: list[str], folder: Path) -> Order:
    folder.mkdir()
    ours = ("runs_dir=", "force=", "video=")
    words = [word for word in job.words if not word.startswith(ours)]
    command = (sys.executable, "-m", "suites.sweeps.calibrate", *flags, *words)
    log = str(folder / "log")
    return Order((*command, f"runs_dir={folder}"), os.getcwd(), log, None, job.threads)


def extrapolated(told: dict[str, float], config: Any) -> float:
    """CPU seconds of a whole run, of what its calibration told."""
    points, steps = len(evaluation_points(config)), config.budget.env_steps
    evaluated = points * config.evaluation.episodes * told["horizon"] * told["evaluation_step"]
    if not steps:
        return told["setup"] + evaluated
    warm = min(told["warm_steps"], steps)
    trained = warm * told["warm_step"] + (steps - warm) * told["training_step"]
    return told["setup"] + trained + told.get("burst", 0.0) + evaluated


def on_the_clock(seconds: Iterable[float], workers: int) -> float:
    """How long runs take that are started in this order, as soon as a worker is free."""
    free = [0.0] * workers
    for needed in seconds:
        heapq.heapreplace(free, free[0] + needed)
    return max(free)


def _table(
    groups: dict[Path, list[Job]],
    due: dict[Path, list[Job]],
    estimates: dict[Path, Estimate],
    workers: int,
) -> str:
    rows = [("method", "task", "runs", "to do", "CPU of each", "of all", "known by")]
    for path, group in sorted(groups.items(), key=lambda item: item[1][0].name):
        first, count = group[0], len(due[path])
        each = estimates.get(path)
        cpu, all_cpu, evidence = "", "", ""
        if each is not None:
            cpu, evidence = duration(each.cpu), each.evidence
            all_cpu = duration(each.cpu * count)
        counts = str(len(group)), str(count)
        rows.append((first.method, first.task, *counts, cpu, all_cpu, evidence))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    jobs = [job for group in due.values() for job in group]
    cpu = sum(estimates[job.path.parent].cpu for job in jobs)
    turns = sorted((job.seed, -estimates[job.path.parent].clock) for job in jobs)
    clock = on_the_clock((-seconds for _, seconds in turns), workers)
    total = (
        f"{len(jobs)} runs to make: {cpu / 3600:.2f} CPU-hours, {duration(clock)} on the clock"
        f" with {workers} workers"
    )
    return "\n".join([*lines, total])
