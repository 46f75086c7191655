"""How often an interval holds the truth: `python -m benchmarks.coverage [--quick]`.

Runs are drawn from known distributions, so that the truth is known, too. `normal`: each task has
its own mean, and runs deviate by 0.1 to 0.3 from it. `failures`: besides, one run in five fails and
scores nothing.
"""

import argparse

import numpy as np

from suites.statistics import Resampling, Statistic, Strata, estimate, even, iqm, mean, pool

SEEDS = (3, 5, 10, 20)
TASKS = (1, 6)
KINDS = ("normal", "failures")
TRUTH = 200_000  # runs of each task


def draw(kind: str, tasks: int, runs: int, rng: np.random.Generator) -> Strata:
    """Scores of one method."""
    scores = []
    for task in range(tasks):
        row = rng.normal(0.5 + 0.08 * task, 0.1 + 0.04 * task, runs)
        scores.append(row * (rng.random(runs) >= 0.2) if kind == "failures" else row)
    return scores


def coverage(kind: str, tasks: int, seeds: int, statistic: Statistic, trials: int) -> float:
    """The share of 95% intervals that hold the truth."""
    rng = np.random.default_rng(0)
    endless = pool(draw(kind, tasks, TRUTH, rng))
    truth = float(statistic(endless, even(endless.sizes)))
    held = 0
    for trial in range(trials):
        found = estimate(draw(kind, tasks, seeds, rng), statistic, Resampling(1000, seed=trial))
        if found.low is None or found.high is None:
            raise ValueError(found.method)
        held += found.low <= truth <= found.high
    return held / trials


def main(words: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few trials")
    trials = 20 if parser.parse_args(words).quick else 2000
    print("| scores | tasks | statistic |", *(f"{seeds} seeds |" for seeds in SEEDS))
    print("|---|---|---|" + "---|" * len(SEEDS))
    for kind in KINDS:
        for tasks in TASKS:
            for statistic in (iqm, mean):
                found = [coverage(kind, tasks, seeds, statistic, trials) for seeds in SEEDS]
                name = f"| {kind} | {tasks} | {statistic.__name__} |"
                print(name, *(f"{100 * share:.0f}% |" for share in found))


if __name__ == "__main__":
    main()
