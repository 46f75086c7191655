"""What planning on the true simulator scores: `python -m benchmarks.planning STUDY`.

Studies: `scores` over all benchmark tasks, `optimizers` side by side, `anytime` over budgets, and
`searches`, trees beside sampled plans.

The tables go to `results/planning/`, the figures to `docs/figures/`; `--collect` only draws them.
See `benchmarks.study`.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from benchmarks.study import Job, Study, job, main, means
from suites.tasks.control_names import BENCHMARKING

FIGURES = Path("docs/figures")

# PlaNet's CEM on the true simulator, with 120,000 simulated control steps per decision
# (Hafner et al. 2019, "Learning Latent Dynamics for Planning from Pixels", table 1).
PLANET = {
    "cartpole-swingup": 850,
    "reacher-easy": 964,
    "cheetah-run": 656,
    "finger-spin": 825,
    "ball_in_cup-catch": 993,
    "walker-walk": 994,
}
# Simulated control steps per decision: 8000, or fewer where a control step is many physics steps.
BUDGET = 8000
COSTLY = {
    "ball_in_cup": 4000,
    "fish": 4000,
    "walker": 4000,
    "humanoid": 4000,
    "manipulator": 1000,
    "swimmer": 1000,
}
OPTIMIZERS = ("predictive_sampling", "mppi", "cem", "icem", "ilqg")
COMPARED = (
    "cartpole-swingup",
    "cheetah-run",
    "finger-spin",
    "hopper-stand",
    "pendulum-swingup",
    "reacher-easy",
)
COMPARED_BUDGET = 3000
STEPS = (500, 1000, 2000, 4000, 8000)
# Control steps for which tree search holds an action, 0.05 s: its budget is for all of them.
HELD = {"cartpole-swingup": 5, "cheetah-run": 5, "walker-walk": 2}
TREES = ("uct", "puct", "gumbel")
PER_STEP = 1600


def one(task: str, optimizer: str, budget: int, seed: int) -> Job:
    """One run: an optimizer, a task, a budget per decision, a seed."""
    overrides = ("planner=mpc", f"planner.optimizer={optimizer}", f"planner.budget={budget}")
    return job(overrides, task=task, optimizer=optimizer, budget=budget, seed=seed)


def scores() -> Iterator[Job]:
    """PlaNet's six tasks, 5 seeds; then all 28 benchmark tasks, 3 seeds."""
    rest = [task for task in BENCHMARKING if task not in PLANET]
    for tasks, seeds in ((PLANET, 5), (rest, 3)):
        for seed in range(seeds):
            for task in tasks:
                yield one(task, "icem", COSTLY.get(task.split("-")[0], BUDGET), seed)


def optimizers() -> Iterator[Job]:
    """Optimizer x task at equal simulated steps, 2 seeds."""
    for seed in range(2):
        for task in COMPARED:
            for optimizer in OPTIMIZERS:
                yield one(task, optimizer, COMPARED_BUDGET, seed)


def anytime() -> Iterator[Job]:
    """Score against simulated steps per decision, 2 seeds."""
    for seed in range(2):
        for budget in STEPS:
            for task in ("cartpole-swingup", "cheetah-run", "finger-spin", "reacher-easy"):
                yield one(task, "icem", budget, seed)


def searches() -> Iterator[Job]:
    """Tree searches and MPC at equal simulated steps per control step, 3 seeds."""
    for seed in range(3):
        for task, held in HELD.items():
            key = {"task": task, "search": "mpc", "seed": seed}
            yield job(("planner=mpc", f"planner.budget={PER_STEP}"), **key)
            for tree in TREES:
                budget = f"planner.budget={PER_STEP * held}"
                key = {"task": task, "search": tree, "seed": seed}
                yield job(("planner=mcts", f"planner.search={tree}", budget), **key)


def report_scores(rows: list[dict]) -> str:
    """The table of all tasks, with PlaNet's rows beside ours."""
    lines = ["| task | steps a decision | seeds | score of each | mean | PlaNet's CEM |"]
    lines.append("|---|---:|---:|---|---:|---:|")
    table = means(rows, "task", "budget")
    for (task, budget), (mean, n) in sorted(table.items()):
        each = ", ".join(f"{r['score']:.0f}" for r in rows if r["task"] == task)
        lines.append(f"| {task} | {budget} | {n} | {each} | {mean:.0f} | {PLANET.get(task, '')} |")
    overall = fmean(mean for mean, _ in table.values())
    lines.append(f"| mean of {len(table)} tasks | | | | **{overall:.0f}** | |")
    return "\n".join(lines)


def report_optimizers(rows: list[dict]) -> str:
    """Task by optimizer, and a bar figure of it."""
    import matplotlib.pyplot as plt
    import numpy as np

    table = means(rows, "task", "optimizer")
    lines = ["| task | " + " | ".join(OPTIMIZERS) + " |", "|---|" + "---:|" * len(OPTIMIZERS)]
    for task in COMPARED:
        cells = [f"{table[task, o][0]:.0f}" if (task, o) in table else "" for o in OPTIMIZERS]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    columns = [[table[t, o][0] for t in COMPARED if (t, o) in table] for o in OPTIMIZERS]
    lines.append("| mean | " + " | ".join(f"{fmean(c):.0f}" if c else "" for c in columns) + " |")
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    place, width = np.arange(len(COMPARED)), 0.8 / len(OPTIMIZERS)
    for i, optimizer in enumerate(OPTIMIZERS):
        heights = [table.get((task, optimizer), (np.nan, 0))[0] for task in COMPARED]
        axes.bar(place + (i - 2) * width, heights, width, label=optimizer)
    axes.set_xticks(place, COMPARED, rotation=15)
    axes.set_ylabel("return")
    axes.set_title(f"MPC at {COMPARED_BUDGET} simulated control steps per decision")
    axes.legend(ncols=len(OPTIMIZERS), fontsize=8, loc="upper center")
    axes.set_ylim(0, 1150)
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / "optimizers.svg")
    return "\n".join(lines)


def report_anytime(rows: list[dict]) -> str:
    """Score against the budget, as a table and a figure."""
    import matplotlib.pyplot as plt

    table = means(rows, "task", "budget")
    tasks = sorted({row["task"] for row in rows})
    lines = ["| task | " + " | ".join(map(str, STEPS)) + " |", "|---|" + "---:|" * len(STEPS)]
    figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
    for i, task in enumerate(tasks):
        there = [b for b in STEPS if (task, b) in table]
        axes.plot(there, [table[task, b][0] for b in there], "o-", color=f"C{i}", label=task)
        for row in (row for row in rows if row["task"] == task):
            axes.plot(row["budget"], row["score"], ".", color=f"C{i}", alpha=0.35)
        cells = [f"{table[task, b][0]:.0f}" if b in there else "" for b in STEPS]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    axes.set_xscale("log")
    axes.set_xticks(STEPS, [f"{b:,}" for b in STEPS])
    axes.minorticks_off()
    axes.set_xlabel("simulated control steps per decision")
    axes.set_ylabel("return (line: mean, dots: seeds)")
    axes.set_ylim(0, 1000)
    axes.legend(loc="lower right")
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / "anytime.svg")
    return "\n".join(lines)


def report_searches(rows: list[dict]) -> str:
    """Task by search."""
    table, searches = means(rows, "task", "search"), ("mpc", *TREES)
    lines = ["| task | " + " | ".join(searches) + " |", "|---|" + "---:|" * len(searches)]
    for task in HELD:
        cells = [f"{table[task, s][0]:.0f}" if (task, s) in table else "" for s in searches]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


STUDIES = {
    "scores": Study("planning", "scores", tuple(scores()), report_scores),
    "optimizers": Study("planning", "optimizers", tuple(optimizers()), report_optimizers),
    "anytime": Study("planning", "anytime", tuple(anytime()), report_anytime),
    "searches": Study("planning", "searches", tuple(searches()), report_searches),
}

if __name__ == "__main__":
    main("What planning on the true simulator scores.", STUDIES)
