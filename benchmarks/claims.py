"""How often the intervals of claims hold the truth: `python -m benchmarks.claims [--quick]`.

Two arms of the same few runs, one task, no difference: standard normal scores, and scores around 1
of which one in five is a failure of 0. Beside the interval of `suites.claims` that of percentiles
as they are.
"""

import argparse

import numpy as np

from suites.claims.verdicts import CONFIDENCE, expanded
from suites.statistics import Resampling, difference, mean

RUNS = (5, 10)
RESAMPLES = 8000


def draw(kind: str, runs: int, rng: np.random.Generator) -> np.ndarray:
    """Scores of one arm."""
    x = rng.standard_normal(runs)
    return x if kind == "normal" else np.where(rng.random(runs) < 0.2, 0, 1 + 0.1 * x)


def holds(x: np.ndarray, y: np.ndarray, confidence: float, seed: int) -> bool:
    """Whether the interval of the difference of means has 0 in it."""
    found = difference([x], [y], mean, Resampling(RESAMPLES, confidence, seed))
    if found.low is None or found.high is None:
        raise ValueError(found.method)
    return found.low <= 0 <= found.high


def main(words: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few trials")
    trials = 10 if parser.parse_args(words).quick else 1000
    rng = np.random.default_rng(0)
    print("| scores | runs of an arm | percentiles | expanded percentiles |\n|---|---|---:|---:|")
    for kind in ("normal", "failures"):
        for runs in RUNS:
            wide = expanded([runs, runs], CONFIDENCE, False)
            held = np.zeros(2)
            for trial in range(trials):
                x, y = draw(kind, runs, rng), draw(kind, runs, rng)
                held += holds(x, y, CONFIDENCE, trial), holds(x, y, wide, trial)
            told = (f"{100 * share / trials:.1f}% |" for share in held)
            print(f"| {kind} | {runs} |", *told, flush=True)


if __name__ == "__main__":
    main()
