"""Methods as points of score against cost.

A point is a method on a task with what it has spent so far: a planner has one (of each budget), a
learner one for each of its evaluations. Its cost is that of all training until then and of acting
for one episode, so that planners and learners stand on one axis.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from suites.results import Results, RunInfo

Array = NDArray[np.float64]
Rows = dict[str, Array]


@dataclass(frozen=True)
class Axis:
    """A cost.

    Attributes:
      title: For a figure, with the unit.
      of: Makes the cost [R] of each row from columns [R] of training and of one episode.
    """

    title: str
    of: Callable[[Rows], Array]


def _both(name: str) -> Callable[[Rows], Array]:
    return lambda rows: rows[name] + rows[f"evaluation_{name}"]


def _cpu(rows: Rows) -> Array:
    """Without compilation, which does not grow with the work."""
    train, act = (
        rows[f"{p}cpu_seconds"] - rows[f"{p}compile_seconds"] for p in ("", "evaluation_")
    )
    return np.maximum(train, 0.0) + np.maximum(act, 0.0)


def _decision(rows: Rows) -> Array:
    return 1000 * rows["evaluation_act_seconds"] / rows["evaluation_decisions"]


AXES: dict[str, Axis] = {
    "env_steps": Axis("real control steps, training and one episode", _both("env_steps")),
    "sim_steps": Axis("simulated control steps, training and one episode", _both("sim_steps")),
    "model_steps": Axis("steps of a learned model, training and one episode", _both("model_steps")),
    "cpu_seconds": Axis("CPU seconds, training and one episode", _cpu),
    "flops": Axis("FLOPs of networks, training and one episode", _both("flops")),
    "joules": Axis("joules, training and one episode", _both("joules")),
    "act_ms": Axis("milliseconds per decision, after training", _decision),
}


@dataclass(frozen=True)
class Point:
    """A method on a task, after so much training.

    Attributes:
      method: Its name. `family`: the same without what says how much was spent.
      task: Its name.
      env_steps: Of training until then, as planned; 0 for who does not train.
      budget: Simulated steps per decision of its planner; 0 without such a limit.
      final: Whether it is the last evaluation of its runs.
      seeds: [n] of the runs.
      scores, normalised: [n].
      costs: [n] on each axis; NaN where unknown.
      train, act: [n] on each axis that is a sum, its two parts: training, and one episode.
      privileges: What it knows that an agent in the real task would not.
    """

    method: str
    family: str
    task: str
    env_steps: int
    budget: float
    final: bool
    seeds: NDArray[np.int64]
    scores: Array
    normalised: Array
    costs: dict[str, Array] = field(repr=False)
    train: dict[str, Array] = field(repr=False)
    act: dict[str, Array] = field(repr=False)
    privileges: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """The runs of a method on a task, and their rows.

    Attributes:
      method, family, task, privileges: As of its points.
      runs: [n] indices of `Results.runs`.
      steps: [G] of training at which all runs were to be evaluated, and have been.
      rows: [G, n] of `Results.rows`.
    """

    method: str
    family: str
    task: str
    privileges: tuple[str, ...]
    runs: NDArray[np.int64]
    steps: NDArray[np.int64]
    rows: NDArray[np.int64]


def groups(results: Results) -> list[Group]:
    """All groups, by task and method.

    A learner's rows are at those steps of training that all its runs on a task have been
    evaluated at, so that each point has all seeds.
    """
    at_all = results.rows["planned"]
    members: dict[tuple[str, str], list[int]] = {}
    for i, (run, method) in enumerate(zip(results.runs, results.methods, strict=True)):
        members.setdefault((run.task, method), []).append(i)
    found = []
    for (task, method), runs in sorted(members.items()):
        at = [at_all[results.of(i)] for i in runs]
        shared = reduce(np.intersect1d, at)
        # For each run the row at each shared step; the last one where a step was told twice.
        picked = [
            results.first[i] + np.searchsorted(steps, shared, side="right") - 1
            for i, steps in zip(runs, at, strict=True)
        ]
        first = results.runs[runs[0]]
        found.append(
            Group(
                method=method,
                family=_family(method, first),
                task=task,
                privileges=first.privileges,
                runs=np.array(runs),
                steps=shared.astype(np.int64),
                rows=np.stack(picked, axis=1),
            )
        )
    return found


def spent(results: Results) -> tuple[dict[str, Array], dict[str, Array]]:
    """The cost [R] of each row on each axis; and of it, where it is a sum, that of one episode."""
    rows = results.rows
    blank = {
        name: np.where(np.char.startswith(name, "evaluation_"), x, 0.0) for name, x in rows.items()
    }
    costs = {name: axis.of(rows) for name, axis in AXES.items()}
    return costs, {name: AXES[name].of(blank) for name in AXES if name != "act_ms"}


def points(results: Results) -> list[Point]:
    """All points, by task, method and training: those of each group."""
    rows = results.rows
    costs, acting = spent(results)
    training = {name: costs[name] - x for name, x in acting.items()}
    found = []
    for group in groups(results):
        first = results.runs[group.runs[0]]
        seeds = np.array([results.runs[i].seed for i in group.runs])
        for steps, here in zip(group.steps, group.rows, strict=True):
            found.append(
                Point(
                    method=group.method,
                    family=group.family,
                    task=group.task,
                    env_steps=int(steps),
                    budget=float(first.settings.get("planner.budget") or 0),
                    final=bool(steps == group.steps[-1]),
                    seeds=seeds,
                    scores=rows["score"][here],
                    normalised=rows["normalised"][here],
                    costs={name: x[here] for name, x in costs.items()},
                    train={name: x[here] for name, x in training.items()},
                    act={name: x[here] for name, x in acting.items()},
                    privileges=group.privileges,
                )
            )
    return found


def _family(method: str, run: RunInfo) -> str:
    """A method's name without its planner's budget: the points of one family make a line."""
    budget = str(run.settings.get("planner.budget"))
    name = " ".join(word for word in method.split() if not word.startswith("budget="))
    return name.removesuffix(f"-{budget}")


def tasks_of(found: Iterable[Point]) -> list[str]:
    """The tasks of points, sorted."""
    return sorted({point.task for point in found})
