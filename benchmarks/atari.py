"""Atari: how fast rollouts are, on one process and on all cores.

    python -m benchmarks.atari [game ...]

Whether they are exact: `python -m suites.audit`.
"""

import argparse
import os
import time

import numpy as np

from suites.tasks import registry

STEPS = 30  # of a plan


def speed(game: str, rounds: int = 7) -> str:
    """Frames per second of rollouts on one process and on all cores, in turns; medians."""
    task = registry.make(game)
    task.reset(seed=0)
    roots = task.simulation.read()
    plans = np.random.default_rng(0).integers(task.facts.action_space.n, size=(64, STEPS))
    root_of, cores = np.zeros(len(plans), int), len(os.sched_getaffinity(0))
    simulations = {threads: task.planning_simulation(threads) for threads in sorted({1, cores})}
    seconds: dict[int, list[float]] = {threads: [] for threads in simulations}
    for _ in range(rounds + 1):  # the first starts the workers
        for threads, simulation in simulations.items():
            began = time.perf_counter()
            simulation.rollout(roots, root_of, plans)
            seconds[threads].append(time.perf_counter() - began)
    frames = plans.size * task.facts.frames_per_step
    found = {threads: frames / float(np.median(times[1:])) for threads, times in seconds.items()}
    ratio = found[cores] / found[1]
    return ", ".join(f"{n} processes {x:.0f}/s" for n, x in found.items()) + f", {ratio:.2f}x"


def main() -> None:
    """Print a line per game."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.atari", description=__doc__)
    parser.add_argument("games", nargs="*", default=["breakout"])
    for game in parser.parse_args().games:
        print(f"{game:<20}  {speed(game)}", flush=True)


if __name__ == "__main__":
    main()
