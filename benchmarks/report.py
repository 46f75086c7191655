"""Contestants timed in turns, a table on the terminal, and the same numbers as JSON."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Contestant:
    """One way to do a piece of work.

    Attributes:
      name: Names it in a race; unique there.
      work: Does a fixed amount of work and returns how much, in control steps.
    """

    name: str
    work: Callable[[], int]


def race(contestants: Sequence[Contestant], rounds: int) -> dict[str, list[float]]:
    """Control steps per second of each contestant in each round.

    All take their turn in every round, so that what else the machine does hits all of them; compare
    them round by round. One more round goes before, uncounted, in which they warm up.
    """
    speeds: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for round_ in range(rounds + 1):
        for contestant in contestants:
            begin = time.perf_counter()
            steps = contestant.work()
            if round_:
                speeds[contestant.name].append(steps / (time.perf_counter() - begin))
    return speeds


def compare(
    line: str, ours: Sequence[float], theirs: Sequence[float], wanted: float | None
) -> dict[str, Any]:
    """A row: medians of the two speeds, and the median and extremes of their ratio in a round."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return {
        "line": line,
        "steps/s": round(median(ours)),
        "against": round(median(theirs)),
        "ratio": round(median(ratios), 3),
        "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3),
        "wanted": wanted,
    }


def print_table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Rows with the same keys, aligned: text to the left, numbers to the right."""
    print(f"\n{title}", flush=True)
    if not rows:
        return
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        first, *others = [(cell, width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in others)]).rstrip())


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def machine(packages: Sequence[str]) -> dict[str, Any]:
    """What the numbers depend on: processor, cores, load, and versions (None: not installed)."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "versions": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def matrix_peak() -> float:
    """GFLOP per CPU second of a product of 1024 x 1024 matrices, the best of ten.

    By the product that learners use: torch's own is slower on some processors.
    """
    import torch

    from learners.products import linear

    x, best = torch.randn(1024, 1024), float("inf")
    for _ in range(10):
        begin = time.process_time()
        linear(x, x, x[0])
        best = min(best, time.process_time() - begin)
    return 2 * 1024**3 / best / 1e9


def parse(program: str, description: str | None, given: Sequence[str] | None) -> Any:
    """The command line of a benchmark: `json`, a path or None, and `quick`."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the numbers there")
    parser.add_argument("--quick", action="store_true", help="a smoke test without meaning")
    return parser.parse_args(given)


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write a report, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
