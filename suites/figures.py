"""Figures of a comparison: frontiers, learning curves, profiles, break-even."""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from suites.comparison import (
    Frontier,
    Payoff,
    by_task,
    curves_of,
    everywhere,
    final,
    frontier,
    payoffs,
    total_axis,
)
from suites.efficiency import Curve, common_steps, learning_curve
from suites.frontier import staircase
from suites.points import AXES, Point
from suites.published import Published
from suites.results import Results
from suites.statistics import estimate, profile

# Okabe and Ito's colours without yellow and black, and two of Tol's: most colour-blind people can
# tell them apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255", "#999933")
_DARK = "#333333"
_DASHES = ("-", "--", ":", "-.")
# What is privileged, by the marker of its points.
_MARKERS = {
    (): ("o", "none of it"),
    ("simulator",): ("s", "true simulator, known reward"),
    ("reward",): ("P", "knows the reward's formula"),
    ("RAM",): ("^", "reads RAM"),
    ("simulator", "RAM"): ("D", "true simulator, and reads RAM"),
}
_CLAIRVOYANT = ("*", "knows the dice to come")
_THEIRS = "x"  # the marker of published scores
_CROSSES: dict[str, Any] = {
    "color": _DARK,
    "markersize": 5,
    "linestyle": (0, (1, 2)),
    "linewidth": 0.8,
}
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "savefig.dpi": 160,
    "svg.hashsalt": "plan-or-learn",
    "svg.fonttype": "none",
}
Draw = Callable[[], Figure]


def all_of(
    results: Results, points: list[Point], theirs: list[Published], axes: Sequence[str]
) -> Iterator[tuple[str, Draw]]:
    """The name of each figure that the runs allow, and what draws it."""
    for axis in axes:
        if any(np.isfinite(point.costs[axis]).all() for point in points):
            yield f"frontier_{axis}", lambda axis=axis: frontiers(points, theirs, axis)
    if curves := curves_of(results):
        yield "curves", lambda: learning(points, curves, theirs)
    yield "profiles", lambda: profiles(points)
    total = total_axis(axes)
    if found := payoffs(points, total):
        yield "break_even", lambda: break_even(points, found, total)


def files(draw: Draw, kinds: Sequence[str]) -> dict[str, bytes]:
    """The content of a figure's file of each kind, the same each time."""
    contents = {}
    with mpl.rc_context(_STYLE):
        figure = draw()
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # else each format would lay it out anew
        for kind in kinds:
            content = io.BytesIO()
            undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
            figure.savefig(content, format=kind, metadata=undated)
            contents[kind] = content.getvalue()
        plt.close(figure)
    return contents


def frontiers(points: list[Point], theirs: list[Published], axis: str) -> Figure:
    """Score against a cost, a panel for each task, and one for all if most methods ran on all.

    Learners are lines over their training, planners lines over their budgets. The staircase is the
    Pareto frontier; the darker a point's rim, the more often it is on it under the bootstrap.
    """
    panels: list[tuple[str, list[tuple[Point, ...]]]] = [
        (task, [(point,) for point in of]) for task, of in by_task(points).items()
    ]
    together = everywhere(points)
    if len(panels) > 1 and 2 * len(together) > len({point.method for point in points}):
        panels.append((f"all {len(panels)} tasks, normalised", list(together.values())))
    figure, axes = _grid(len(panels))
    styles = _styles(points)
    for panel, (title, of) in zip(axes, panels, strict=False):
        found = frontier(of, axis)
        panel.set_title(title)
        if found:
            _frontier(panel, found, styles)
        if axis == "env_steps" and of and len(of[0]) == 1:
            _published(panel, [p for p in theirs if p.task == title and p.env_steps])
    figure.supxlabel(AXES[axis].title)
    figure.supylabel("score")
    rims = Line2D([], [], color=_DARK, drawstyle="steps-post", linewidth=1)
    extra = {"Pareto frontier (dark rim: how often on it)": rims}
    if theirs and axis == "env_steps":
        extra["published"] = Line2D([], [], marker=_THEIRS, **_CROSSES)
    _legend(figure, styles, points, extra)
    return figure


def _frontier(panel: Axes, found: Frontier, styles: dict[str, tuple[str, Any]]) -> None:
    cost, score = found.membership.cost, found.membership.score
    corners = staircase(cost, score)
    _log(panel, cost)
    edge = float(cost.max())
    panel.step(
        [*corners[0], max(edge, corners[0][-1])],
        [*corners[1], corners[1][-1]],
        where="post",
        color=_DARK,
        linewidth=1,
        zorder=1,
    )
    families: dict[str, list[int]] = {}
    for k, of in enumerate(found.points):
        families.setdefault(of[0].family, []).append(k)
    for family, members in families.items():
        members.sort(key=lambda k: (found.points[k][0].env_steps, cost[k]))
        colour, dash = styles[family]
        panel.plot(
            cost[members], score[members], color=colour, linestyle=dash, linewidth=1.2, zorder=2
        )
        for k in members:
            share = found.fraction[k]
            panel.plot(
                cost[k],
                score[k],
                marker=_marker(found.points[k][0]),
                markersize=6 if found.points[k][0].final else 4,
                markerfacecolor=colour if found.counted[k] else "white",
                markeredgecolor=colour if not share > 0 else (0, 0, 0, float(share)),
                markeredgewidth=1.2,
                zorder=3,
            )


def learning(
    points: list[Point], curves: dict[tuple[str, str], list[Curve]], theirs: list[Published]
) -> Figure:
    """Normalised scores over training: IQM over seeds, its interval, and what does not train."""
    tasks = sorted({task for task, _ in curves})
    figure, axes = _grid(len(tasks))
    styles = _styles(points)
    family = {point.method: point.family for point in points}
    for panel, task in zip(axes, tasks, strict=False):
        for (_, method), of in ((key, of) for key, of in curves.items() if key[0] == task):
            at = common_steps(of)
            at = at[at > 0]
            band = learning_curve([of], at)
            colour, dash = styles[family[method]]
            panel.plot(at, band.value, color=colour, linestyle=dash, linewidth=1.4)
            if band.low is not None and band.high is not None:
                panel.fill_between(at, band.low, band.high, color=colour, alpha=0.18, linewidth=0)
        for point in (p for p in final(points) if p.task == task and p.env_steps == 0):
            if not np.isfinite(point.normalised).all():
                continue  # a run of before the task had scores that normalise its own
            colour, dash = styles[point.family]
            panel.axhline(
                float(estimate([point.normalised]).value), color=colour, linestyle=dash, linewidth=1
            )
        panel.set_xscale("log")
        _published(panel, [p for p in theirs if p.task == task], scaled=True)
        panel.set_title(task)
    figure.supxlabel("real control steps of training")
    figure.supylabel("normalised score, IQM")
    extra = {"published": Line2D([], [], marker=_THEIRS, **_CROSSES)}
    _legend(figure, styles, [], extra if theirs else {})
    return figure


def profiles(points: list[Point]) -> Figure:
    """Performance profiles: the fraction of runs above each normalised score, over all tasks."""
    found = everywhere(points)
    strata = {method: [point.normalised for point in of] for method, of in found.items()}
    if not strata:  # no method has run on all tasks
        for point in final(points):
            if np.isfinite(point.normalised).all():
                strata.setdefault(point.method, []).append(point.normalised)
    figure, axes = _grid(1)
    highest = max((float(x.max()) for of in strata.values() for x in of), default=1.0)
    lowest = min((float(x.min()) for of in strata.values() for x in of), default=0.0)
    thresholds = np.linspace(min(lowest, 0.0), max(highest, 1.0), 201)
    styles = _styles(points)
    family = {point.method: point.family for point in points}
    for method, of in strata.items():
        band = profile(of, thresholds)
        colour, dash = styles[family[method]]
        axes[0].plot(thresholds, band.value, color=colour, linestyle=dash)
        if band.low is not None and band.high is not None:
            axes[0].fill_between(
                thresholds, band.low, band.high, color=colour, alpha=0.18, linewidth=0
            )
    axes[0].set_title(f"{'all tasks' if found else 'each on its tasks'}")
    figure.supxlabel("normalised score")
    figure.supylabel("fraction of runs above it")
    _legend(figure, {f: s for f, s in styles.items() if f in {family[m] for m in strata}}, [], {})
    return figure


def break_even(points: list[Point], found: list[Payoff], axis: str) -> Figure:
    """Total cost of training and n episodes against planning for n, a panel for each task."""
    tasks = list(dict.fromkeys(p.learner.task for p in found))
    figure, axes = _grid(len(tasks))
    styles = _styles(points)
    episodes = np.logspace(0, 5, 201)
    for panel, task in zip(axes, tasks, strict=False):
        here = [p for p in found if p.learner.task == task]
        best = max((p.planner for p in here), key=lambda point: float(point.scores.mean()))
        panel.set(xscale="log", yscale="log", title=task)
        ends = []
        for point in {p.method: p for x in here for p in (x.learner, x.planner)}.values():
            total = point.train[axis].mean() + episodes * point.act[axis].mean()
            if not total[-1] > 0:  # it has no place where heights are logarithmic
                continue
            colour, dash = styles[point.family]
            panel.plot(episodes, total, color=colour, linestyle=dash)
            ends.append((float(total[-1]), f"{point.scores.mean():,.0f}", colour))
        _beside(panel, ends)
        for pair in (
            p for p in here if p.planner is best and 1 <= p.episodes.value <= episodes[-1]
        ):
            n = pair.episodes.value
            total = n * best.act[axis].mean()
            panel.plot(n, total, "o", color=_DARK, markersize=4, zorder=3)
            panel.annotate(
                f"{n:,.0f}", (n, total), textcoords="offset points", xytext=(4, -9), fontsize=7
            )
    figure.supxlabel("episodes that are acted (at the right end of each line: its score)")
    figure.supylabel(f"total {AXES[axis].title.partition(',')[0]}")
    used = {p.family for x in found for p in (x.learner, x.planner)}
    dot = Line2D([], [], color=_DARK, marker="o", linestyle="", markersize=4)
    shown = {family: style for family, style in styles.items() if family in used}
    _legend(figure, shown, [], {"cheaper than the best planner from here on": dot})
    return figure


def _beside(panel: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Words (height, words, colour) right of a panel, whose heights are logarithmic."""
    low, high = np.log(panel.get_ylim())
    ends = sorted(ends)
    heights = [(math.log(height) - low) / (high - low) for height, *_ in ends]
    for height, (_, words, colour) in zip(_apart(heights), ends, strict=True):
        panel.text(
            1.01, height, words, transform=panel.transAxes, va="center", fontsize=7, color=colour
        )


def _apart(heights: Sequence[float], gap: float = 0.055) -> list[float]:
    """Ascending heights in fractions of a panel, moved so that words there don't overlap."""
    up = []
    for height in heights:
        up.append(max(height, up[-1] + gap) if up else height)
    down: list[float] = []
    for height in reversed(up):
        down.append(min(height, down[-1] - gap if down else 1.0))
    return down[::-1]


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, in rows of three."""
    across = min(count, 3)
    down = math.ceil(count / across)
    width = max(3.1 * across, 4.6)
    size = (width, 2.5 * down + 1.0)
    figure, axes = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    for panel in axes.flat[count:]:
        panel.axis("off")
    return figure, list(axes.flat)


def _styles(points: list[Point]) -> dict[str, tuple[str, Any]]:
    """A colour and a dash for each family."""
    families = sorted({point.family for point in points})
    return {
        family: (_COLOURS[k % len(_COLOURS)], _DASHES[k // len(_COLOURS) % len(_DASHES)])
        for k, family in enumerate(families)
    }


def _marker(point: Point) -> str:
    if "clairvoyant" in point.privileges:
        return _CLAIRVOYANT[0]
    return _MARKERS[point.privileges][0]


def _log(panel: Axes, cost: np.ndarray) -> None:
    """A logarithmic axis; with a place for zero, where something costs nothing."""
    positive = cost[cost > 0]
    if np.ptp(cost) <= 1e-9 * cost.max():
        panel.set_xlim(cost[0] / 2, max(2 * cost[0], 1.0))
        return
    if not len(positive):
        return
    if (cost <= 0).any():
        panel.set_xscale("symlog", linthresh=float(positive.min()), linscale=0.3)
    else:
        panel.set_xscale("log")
    panel.xaxis.set_minor_locator(mpl.ticker.NullLocator())  # pyright: ignore


def _published(panel: Axes, theirs: list[Published], scaled: bool = False) -> None:
    """Published scores within the panel's range: as crosses, those of one method joined; of who
    does not train as a line.
    """
    most = panel.get_xlim()[1]
    methods: dict[str, list[tuple[float, float]]] = {}
    for p in theirs:
        score = p.normalised if scaled else p.score
        if score is not None and (p.env_steps or most) <= most:
            methods.setdefault(p.method, []).append((p.env_steps or most, score))
    order = sorted(methods, key=lambda method: max(methods[method])[1])
    for method, found in methods.items():
        found.sort()
        if any(p.method == method and p.env_steps for p in theirs):
            panel.plot(*zip(*found, strict=True), marker=_THEIRS, **_CROSSES, zorder=4)
        else:
            panel.axhline(found[-1][1], color=_DARK, linestyle=(0, (1, 2)), linewidth=0.8)
    low, high = panel.get_ylim()
    ends = [(methods[method][-1][1] - low) / (high - low) for method in order]
    heights = _apart([end + 0.03 for end in ends])
    for method, height in zip(order, heights, strict=True):
        spot = methods[method][-1][0], height
        mixed = panel.get_xaxis_transform()
        panel.text(*spot, f"{method}  ", transform=mixed, ha="right", fontsize=6)


def _legend(
    figure: Figure,
    styles: dict[str, tuple[str, Any]],
    points: list[Point],
    extra: dict[str, Line2D],
) -> None:
    """Below the panels: methods, then what markers say."""
    handles = {
        family: Line2D([], [], color=colour, linestyle=dash)
        for family, (colour, dash) in styles.items()
    }
    seen = {_marker(point) for point in points}
    for marker, words in [*_MARKERS.values(), _CLAIRVOYANT]:
        if marker in seen:
            handles[f"privileged: {words}"] = Line2D(
                [], [], color="grey", marker=marker, linestyle="", markersize=5
            )
    handles |= extra
    width = figure.get_figwidth()
    columns = max(1, int(width // 2.3))
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=columns)
