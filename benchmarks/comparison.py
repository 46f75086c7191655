"""The README's comparison from recorded runs: `python -m benchmarks.comparison`.

    python -m benchmarks.comparison                    the table and the figures from results/
    python -m benchmarks.comparison --collect runs/comparison    first take the records of new runs

The runs themselves: `python -m suites.run -m +sweep=comparison experiment=comparison`, and
`+sweep=comparison_atari` alike. Of each that is done its records are kept under
`results/comparison/`, without checkpoints.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np

from benchmarks.study import filled
from suites import compare, comparison, figures
from suites.options import read_options
from suites.points import Point, points, tasks_of
from suites.records import write_atomic
from suites.statistics import estimate
from suites.tables import Cell, Table, markdown

RECORDS = Path("results", "comparison")
FIGURES = Path("docs", "figures")
KEPT = ("manifest.json", "config.yaml", "evaluations.jsonl", "status.json")
DRAWN = ("frontier_cpu_seconds", "break_even")


def collect(runs: Path) -> int:
    """Take the records of all finished runs; how many."""
    done = sorted(runs.rglob("summary.json"))
    for summary in done:
        folder = RECORDS / summary.parent.relative_to(runs)
        folder.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            shutil.copyfile(summary.parent / name, folder / name)
    return len(done)


def matrix(found: list[Point]) -> Table:
    """Methods by tasks: IQM, its interval, and the seeds."""
    ended = comparison.final(found)
    tasks = tasks_of(ended)
    games = [task for task in tasks if "-" not in task]
    tasks = [task for task in tasks if task not in games] + games
    cells = {(p.method, p.task): p for p in ended}
    best = {
        task: max((p for p in ended if p.task == task), key=lambda p: estimate([p.scores]).value)
        for task in tasks
    }
    methods = sorted({p.method for p in ended}, key=lambda m: _order(m, ended))
    rows: list[tuple[Cell, ...]] = []
    for method in methods:
        known = next(p for p in ended if p.method == method)
        row: list[Cell] = [f"{method} {comparison.marks(known)}".strip()]
        for task in tasks:
            point = cells.get((method, task))
            row.append(_cell(point, best[task] is point) if point else "")
        rows.append(tuple(row))
    told = estimate([np.zeros(3)]).method
    notes = [f"IQM [low, high] (seeds): {told}; no interval with fewer than three seeds"]
    notes.append(comparison.MARKED)
    return Table("matrix", "Scores at the budget", ("method", *tasks), rows, notes)


def _cell(point: Point, best: bool) -> str:
    score = estimate([point.scores])
    digits = 0 if abs(score.value) >= 100 else 1
    value = f"{score.value:,.{digits}f}"
    value = f"**{value}**" if best else value
    span = ""
    if score.low is not None and score.high is not None:
        span = f" [{score.low:,.{digits}f}, {score.high:,.{digits}f}]"
    return f"{value}{span} ({score.n})"


def _order(method: str, ended: list[Point]) -> tuple[int, str, float]:
    """Random, planners, then who learns; budgets ascending."""
    point = next(p for p in ended if p.method == method)
    kind = 0 if method == "random" else 1 if "simulator" in point.privileges else 2
    return kind, point.family, float(np.mean(point.costs["sim_steps"]))


def make() -> str:
    """Write the table and the figures; the table."""
    options = read_options([], compare.KEYS)
    results = compare.gather([RECORDS], options)
    found = points(results)
    text = markdown(matrix(found))
    write_atomic(RECORDS.with_suffix(".md"), f"{text}\n".encode())
    for name, draw in figures.all_of(results, found, [], options["cost"]):
        if name in DRAWN:
            content = figures.files(draw, ["svg"])["svg"]
            write_atomic(FIGURES / f"comparison_{name}.svg", content)
    for page in (Path("README.md"), *Path("docs").glob("*.md")):
        if filled(was := page.read_text()) != was:
            write_atomic(page, filled(was).encode())
    return text


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="The README's comparison from recorded runs.")
    parser.add_argument("--collect", type=Path, metavar="RUNS", help="take these runs' records")
    given = parser.parse_args()
    if given.collect:
        print(f"{collect(given.collect)} runs are in {RECORDS}")
    print(make())


if __name__ == "__main__":
    main()
