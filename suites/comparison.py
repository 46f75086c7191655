"""What a comparison says, as tables: scores, costs, samples, all tasks together, break-even."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from suites.efficiency import Curve, areas, median_steps, steps_to
from suites.frontier import Membership, break_even, membership
from suites.points import AXES, Point, tasks_of
from suites.results import Results
from suites.statistics import (
    ENOUGH,
    Interval,
    Resampling,
    Strata,
    estimate,
    failures,
    improvement,
    iqm,
    mean,
    median,
    optimality_gap,
)
from suites.tables import Cell, Table

MARKS = {"simulator": "S", "reward": "K", "RAM": "R", "clairvoyant": "C"}
MARKED = (
    "S: plans in the true simulator, whose reward it knows; K: knows the reward's formula;"
    " R: reads RAM; C: knows the dice"
)


@dataclass(frozen=True)
class Frontier:
    """Points of one task, or of all together, against one cost.

    Attributes:
      points: K of them, one for each of a set's tasks.
      membership: Of all K; how often each is on the frontier only among those with enough seeds.
      counted: [K] whether it has enough seeds for that.
      fraction: [K]; NaN where it was not counted.
    """

    points: list[tuple[Point, ...]]
    membership: Membership
    counted: np.ndarray
    fraction: np.ndarray


def marks(*points: Point) -> str:
    """The letters of what these know that an agent in the real task would not."""
    known = {name for point in points for name in point.privileges}
    return "".join(letter for name, letter in MARKS.items() if name in known)


def final(points: Iterable[Point]) -> list[Point]:
    """The last of each method on each task."""
    return [point for point in points if point.final]


def by_task(points: Iterable[Point]) -> dict[str, list[Point]]:
    """Points of each task."""
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(point.task, []).append(point)
    return found


def everywhere(points: Iterable[Point]) -> dict[str, tuple[Point, ...]]:
    """The final points of each method that has runs on all tasks, in the order of the tasks.

    Only tasks count whose scores can be normalised.
    """
    ended = [point for point in final(points) if np.isfinite(point.normalised).all()]
    tasks, found = tasks_of(ended), {}
    for point in ended:
        found.setdefault(point.method, {})[point.task] = point
    return {
        method: tuple(of[task] for task in tasks)
        for method, of in found.items()
        if len(of) == len(tasks)
    }


def scores_table(points: list[Point], failed: float) -> Table:
    """Each method on each task: IQM and mean, and how many of its seeds failed."""
    rows: list[tuple[Cell, ...]] = []
    methods: set[str] = set()
    for task, here in by_task(final(points)).items():
        order = sorted(here, key=lambda point: -float(np.mean(point.scores)))
        for point in order:
            score = estimate([point.scores])
            methods.add(score.method)
            known = bool(np.isfinite(point.normalised).all())
            rows.append(
                (
                    *(task, point.method, marks(point), len(point.seeds), score),
                    float(np.mean(point.scores)),
                    float(estimate([point.normalised]).value) if known else None,
                    failures([point.normalised], failed) if known else None,
                )
            )
    columns = ("task", "method", "", "n", "IQM", "mean", "normalised", f"below {failed:g}")
    notes = [
        f"IQM [low, high]: {'; '.join(sorted(methods))}",
        f"below {failed:g}: fraction of seeds with a normalised score below it, Wilson 95%",
        MARKED,
    ]
    return Table("scores", "Scores after all training", columns, rows, notes)


def costs_table(points: list[Point], axis: str) -> Table:
    """What the scores cost, and how often that is on the frontier against one cost.

    The frontier is that of all evaluations, as in the figures.
    """
    rows: list[tuple[Cell, ...]] = []
    said = ""
    for task, here in by_task(points).items():
        found = frontier([(point,) for point in here], axis)
        fraction = {}
        if found:
            said = found.membership.method
            shares = zip(found.points, found.fraction, strict=True)
            fraction = {point.method: share for (point,), share in shares if point.final}
        for point in sorted(final(here), key=lambda point: float(np.mean(point.costs[axis]))):
            spent = (float(np.mean(point.costs[name])) for name in AXES)
            rows.append((task, point.method, marks(point), *spent, fraction.get(point.method)))
    columns = ("task", "method", "", *AXES, "on frontier")
    notes = [f"{name}: {of.title}" for name, of in AXES.items()]
    notes += [f"on frontier: in how many resamples, of score against {axis}; {said}", MARKED]
    return Table("costs", "Costs, means over seeds", columns, rows, notes)


def curves_of(results: Results) -> dict[tuple[str, str], list[Curve]]:
    """Control steps and scores of all evaluations of each run that learns, by task and method."""
    found: dict[tuple[str, str], list[Curve]] = {}
    for i, (run, method) in enumerate(zip(results.runs, results.methods, strict=True)):
        steps, scores = curve = results.curve(i)
        if steps[-1] > 0 and len(steps) > 1 and np.isfinite(scores).all():
            found.setdefault((run.task, method), []).append(curve)
    return found


def samples_table(curves: dict[tuple[str, str], list[Curve]], threshold: float) -> Table:
    """How soon learning pays: area under the curve, and steps to a normalised score."""
    rows: list[tuple[Cell, ...]] = []
    said: set[str] = set()
    for (task, method), of in sorted(curves.items()):
        start, end = max(c[0][0] for c in of), min(c[0][-1] for c in of)
        area = estimate([areas(of, start, end)], mean) if start < end else None
        times = steps_to(of, threshold)
        steps = median_steps(times)
        said.add(steps.method)
        reached = f"{int(times.reached.sum())} of {len(of)}"
        rows.append((task, method, len(of), end, area, reached, steps))
    columns = (
        *("task", "method", "n", "until", "mean height"),
        *(f"reached {threshold:g}", f"steps to {threshold:g}"),
    )
    notes = [
        "mean height: area under the curve of normalised scores, divided by its length",
        f"steps to {threshold:g}: median of Kaplan and Meier, runs that never reach it are censored"
        f" at their budget, and beyond says that half of them are; {'; '.join(sorted(said))}",
    ]
    title = "Sample efficiency, in real control steps"
    return Table("samples", title, columns, rows, notes, infinite="beyond")


def overall_table(points: list[Point], baseline: str | None) -> Table | None:
    """Methods that ran on all tasks; None where there are fewer than two of them, or of tasks."""
    found = everywhere(points)
    tasks = max((len(of) for of in found.values()), default=0)
    if len(found) < 2 or tasks < 2:
        return None
    strata = {method: [point.normalised for point in of] for method, of in found.items()}
    order = sorted(strata, key=lambda method: -estimate(strata[method]).value)
    against = baseline if baseline in strata else order[0]
    statistics = {"IQM": iqm, "mean": mean, "median": median, "optimality gap": optimality_gap}
    rows: list[tuple[Cell, ...]] = []
    said: set[str] = set()
    for method in order:
        told = [estimate(strata[method], of) for of in statistics.values()]
        said.add(told[0].method)
        better = None if method == against else improvement(strata[against], strata[method])
        rows.append((method, marks(*found[method]), told[0].n, *told, better))
    columns = ("method", "", "n", *statistics, f"P({against} is better)")
    notes = [
        f"[low, high]: {'; '.join(sorted(said))}",
        "normalised scores: random (Control: none) 0, human or 1000 1",
    ]
    return Table("overall", f"All {tasks} tasks together", columns, rows, [*notes, MARKED])


def frontier(points: Sequence[tuple[Point, ...]], axis: str) -> Frontier | None:
    """The Pareto set of methods, each with a point for each task; None where no cost is known.

    One task: of scores as they are; several: of normalised scores, and of costs' means over tasks.
    """
    known = [of for of in points if all(np.isfinite(p.costs[axis]).all() for p in of)]
    known = [of for of in known if len(of) == 1 or all(np.isfinite(p.normalised).all() for p in of)]
    if not known:
        return None
    costs: list[Strata] = [[p.costs[axis] for p in of] for of in known]
    scores: list[Strata] = [[p.normalised if len(of) > 1 else p.scores for p in of] for of in known]
    counted = np.array([min(len(p.seeds) for p in of) >= ENOUGH for of in known])
    fraction = np.full(len(known), np.nan)
    runs = [(of[0].method, *(tuple(p.seeds) for p in of)) for of in known]
    said = membership(costs, scores, how=Resampling(resamples=1))  # of all; resampled are fewer
    if counted.any():
        some = membership(
            [x for x, there in zip(costs, counted, strict=True) if there],
            [x for x, there in zip(scores, counted, strict=True) if there],
            runs=[x for x, there in zip(runs, counted, strict=True) if there],
        )
        fraction[counted] = some.fraction
        said = Membership(said.cost, said.score, said.on, None, some.method)
    return Frontier(known, said, counted, fraction)


def total_axis(axes: Sequence[str]) -> str:
    """The first of these costs that has a total; CPU seconds, if there is none."""
    return next((axis for axis in axes if axis != "act_ms"), "cpu_seconds")


@dataclass(frozen=True)
class Payoff:
    """A learned policy against a planner on a task: `episodes` from which on it is no dearer."""

    learner: Point
    planner: Point
    episodes: Interval


def payoffs(points: list[Point], axis: str) -> list[Payoff]:
    """For each task each learner against each planner that does not learn."""
    found = []
    for here in by_task(final(points)).values():
        planners = [p for p in here if p.env_steps == 0 and "simulator" in p.privileges]
        for learner in (p for p in here if p.env_steps > 0):
            for planner in planners:
                costs = learner.train[axis], learner.act[axis], planner.act[axis]
                if all(np.isfinite(x).all() for x in costs):
                    train, act, plan = costs
                    found.append(Payoff(learner, planner, break_even([train], [act], [plan])))
    return found


def break_even_table(points: list[Point], axis: str) -> Table | None:
    """After how many episodes a learned policy pays; None where there is nothing to compare."""
    found = payoffs(points, axis)
    if not found:
        return None
    rows: list[tuple[Cell, ...]] = [
        (
            *(p.learner.task, p.learner.method, average(p.learner.scores)),
            *(average(p.learner.train[axis]), average(p.learner.act[axis])),
            *(
                p.planner.method,
                average(p.planner.scores),
                average(p.planner.act[axis]),
                p.episodes,
            ),
        )
        for p in found
    ]
    columns = (
        *("task", "learned", "its score", "training", "an episode"),
        *("planned", "its score", "an episode", "episodes to break even"),
    )
    said = "; ".join(sorted({p.episodes.method for p in found}))
    notes = [f"costs: {AXES[axis].title.partition(',')[0]}; [low, high]: {said}"]
    notes += ["the scores differ: what pays may still be the worse of the two"]
    return Table("break_even", "After how many episodes learning pays", columns, rows, notes)


def average(values: np.ndarray) -> float:
    """The mean as a number."""
    return float(np.mean(values))
