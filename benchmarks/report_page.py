"""How long the page of `suites.report` takes to make and to open, with many runs.

    python -m benchmarks.report_page [--json PATH] [--quick]

Runs are synthetic (`benchmarks.synthetic`). Making is a process of its own, with its imports.
Opening is from navigation to the first drawn frontier, and to all of the page, in headless
Chromium; "all CPU s" is of the page's own thread, which other work on the machine does not slow
down. Without Chromium or Playwright it is left out.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.report import machine, parse, print_table, write_json
from benchmarks.synthetic import TASKS, methods, write_runs

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ALL = "body[data-drawn=all]"


@dataclass(frozen=True)
class Size:
    """So many learners, planners of four budgets, tasks, seeds, and evaluations of a learner."""

    learners: int
    planners: int
    tasks: int
    seeds: int
    evaluations: int


FULL = (Size(6, 3, 3, 5, 20), Size(16, 1, 5, 10, 100))
QUICK = (Size(2, 1, 1, 3, 4),)
OPENINGS = 5


def make(size: Size, folder: Path) -> dict[str, Any]:
    """A row: what making the page took."""
    count = write_runs(
        folder / "runs",
        methods(size.learners, size.planners),
        TASKS[: size.tasks],
        size.seeds,
        size.evaluations,
    )
    page = folder / "report.html"
    command = [sys.executable, "-m", "suites.report", str(folder / "runs"), f"out={page}"]
    begin = time.perf_counter()
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        _, status, used = os.wait4(process.pid, 0)  # of this child alone
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begin
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {
        "runs": count,
        "evaluations": size.evaluations,
        "build s": round(wall, 2),
        "build CPU s": round(used.ru_utime + used.ru_stime, 2),
        "peak MB": round(used.ru_maxrss / 1e3),
        "page MB": round(page.stat().st_size / 1e6, 2),
    }


def opened(page: Path, openings: int) -> dict[str, Any]:
    """Columns: medians of what opening the page took, in seconds; empty without a browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None or find_spec("playwright") is None:
        return {}
    from playwright.sync_api import sync_playwright

    first, everything, busy, toggled = [], [], [], []
    with sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for _ in range(openings + 1):  # the first warms up
            tab = chromium.new_page()
            tools = tab.context.new_cdp_session(tab)
            tools.send("Performance.enable", {"timeDomain": "threadTicks"})
            tab.goto(page.as_uri())
            tab.wait_for_selector(ALL)
            marks = "performance.getEntriesByType('mark').map((mark) => mark.startTime)"
            frontier, drawn = tab.evaluate(marks)[:2]
            first.append(frontier / 1e3)
            everything.append(drawn / 1e3)
            told = {m["name"]: m["value"] for m in tools.send("Performance.getMetrics")["metrics"]}
            busy.append(told["TaskDuration"])
            begin = tab.evaluate("performance.now()")
            tab.evaluate("document.querySelector('#legend button').click()")
            tab.wait_for_selector(ALL)
            toggled.append((tab.evaluate("performance.now()") - begin) / 1e3)
            tab.close()
        chromium.close()
    return {
        "frontier after s": round(statistics.median(first[1:]), 3),
        "all after s": round(statistics.median(everything[1:]), 3),
        "all CPU s": round(statistics.median(busy[1:]), 3),
        "a toggle s": round(statistics.median(toggled[1:]), 3),
    }


def main(given: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parse("benchmarks.report_page", __doc__, given)
    rows, left_out = [], None
    for size in QUICK if options.quick else FULL:
        with tempfile.TemporaryDirectory() as name:
            row = make(size, Path(name))
            columns = opened(Path(name, "report.html"), 1 if options.quick else OPENINGS)
        left_out = None if columns else "opening: needs Chromium and Playwright"
        rows.append(row | columns)
    print_table("A page with all runs", rows)
    if left_out:
        print(f"left out: {left_out}")
    if options.json:
        told = {"rows": rows, "left_out": left_out, "machine": machine(["numpy", "duckdb"])}
        write_json(options.json, told)


if __name__ == "__main__":
    main()
