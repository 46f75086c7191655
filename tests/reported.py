"""Runs for the tests of the report: what is in them is known."""

import warnings
from pathlib import Path

import numpy as np

from benchmarks.synthetic import Method, write_run
from suites import report
from suites.options import read_options

SAC = Method("sac", 0, steps=1e5, cpu=2e-3, flops=6e8)
MBPO = Method("mbpo", 0, steps=2e5, cpu=1e-2, model=4)
ICEM = {budget: Method("mpc-icem", 0, budget=budget, act=4e-6 * budget) for budget in (500, 2000)}
CEM = Method("mpc-cem", 0, budget=1000, act=9e-3)
TOTAL = 4000  # steps of training
TASKS = ("cheetah-run", "walker-walk")
CURVES = np.array(  # of sac: seeds, then evaluations
    [
        [10.0, 200.0, 300.0, 400.0],
        [20.0, 210.0, 390.0, 1000.0],
        [30.0, 220.0, 320.0, 500.0],
        [40.0, 100.0, 330.0, 600.0],
        [50.0, 240.0, 340.0, 100.0],
    ]
)
REASON = "planner.budget is 3: give </script><b>more</b>"


def make(place: Path) -> str:
    """Runs in `place`/runs, and a page of them beside it; the page."""
    runs = place / "runs"
    for task in TASKS:
        for seed, scores in enumerate(CURVES.tolist()):
            write_run(runs, task, SAC, seed, scores, TOTAL)
        for seed in range(3):
            write_run(runs, task, MBPO, seed, [5.0, 250.0 + seed, 300.0, 700.0 + 10 * seed], TOTAL)
            write_run(runs, task, ICEM[500], seed, [300.0 + 50 * seed])
            write_run(runs, task, ICEM[2000], seed, [600.0 + 40 * seed])
    for seed in range(2):
        write_run(runs, TASKS[0], CEM, seed, [550.0 + seed])
    write_run(runs, TASKS[0], CEM, 7, [], status="failed", reason=REASON)
    write_run(runs, TASKS[1], SAC, 8, [10.0, 20.0], TOTAL, status="running")
    filmed = write_run(runs, TASKS[1], CEM, 0, [470.0])
    (filmed / "video").mkdir()
    (filmed / "video" / "episode 000.mp4").write_bytes(b"")
    (runs / "torn").mkdir()
    (runs / "torn" / "manifest.json").write_text("{")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = report.page([runs], read_options([], report.KEYS), place)
    (place / "report.html").write_text(text)
    return text
