"""How long comparing many runs takes, and how much memory: `python -m benchmarks.compare`.

    python -m benchmarks.compare [--json PATH] [--quick]

Synthetic runs with 100 evaluations each are compared by the command itself, in a process of its
own. Beside it, in the same round, another process reads the same rows by Python's `json` and does
nothing with them. Cost is linear in rows if seconds per row, beyond those of starting, stay alike.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import machine, parse, print_table, write_json
from benchmarks.synthetic import TASKS, methods, write_runs

EVALUATIONS = 100
READ = """
import json, pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("evaluations.jsonl"):
    for line in path.open("rb"):
        json.loads(line)
"""
CHILD = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def measured(*command: str) -> tuple[float, int]:
    """Seconds of a command, and its highest resident memory in bytes."""
    begin = time.perf_counter()
    told = subprocess.run(
        [sys.executable, "-c", CHILD, *command], check=True, capture_output=True, text=True
    )
    return time.perf_counter() - begin, int(told.stdout)


def row(agents: int, rounds: int) -> dict[str, Any]:
    """So many learners on five tasks, ten seeds of each."""
    with tempfile.TemporaryDirectory() as folder:
        runs = write_runs(Path(folder), methods(agents, 0), TASKS[:5], 10, EVALUATIONS)
        rows = sum(len(f.read_bytes().splitlines()) for f in Path(folder).rglob("*.jsonl"))
        compare, read = [], []
        for _ in range(rounds):
            compare.append(measured(sys.executable, "-m", "suites.compare", folder))
            read.append(measured(sys.executable, "-c", READ, folder)[0])
    seconds = median(s for s, _ in compare)
    return {
        "runs": runs,
        "rows": rows,
        "seconds": round(seconds, 2),
        "by json alone": round(median(read), 2),
        "ratio": round(median(s / r for (s, _), r in zip(compare, read, strict=True)), 2),
        "megabytes": round(max(m for _, m in compare) / 1e6),
    }


def run(quick: bool) -> dict[str, Any]:
    """The report."""
    sizes = (1, 2) if quick else (1, 5, 10, 20)
    rows = [row(agents, 1 if quick else 3) for agents in sizes]
    first, last = rows[0], rows[-1]
    each = (last["seconds"] - first["seconds"]) / (last["rows"] - first["rows"])
    return {
        "machine": machine(("duckdb", "numpy")),
        "rows": rows,
        "microseconds_per_row": round(1e6 * each, 1),
    }


def main(given: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse("benchmarks.compare", __doc__, given)
    report = run(options.quick)
    print_table("Comparing runs, against reading their rows and no more", report["rows"])
    print(f"{report['microseconds_per_row']} microseconds a row beyond those of starting")
    if options.json:
        write_json(options.json, report)


if __name__ == "__main__":
    main()
