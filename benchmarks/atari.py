"""Atari: whether games go on as plans from their states predict, and how fast rollouts are.

    python -m benchmarks.atari exactness [game ...]     all games where none is named
    python -m benchmarks.atari speed [game ...]

`exactness` knows the dice: any difference is a state that ALE does not save or restore whole.
"""

import argparse
import os
import time

import numpy as np

from suites.tasks import registry
from suites.tasks.atari.emulator import RAM
from suites.tasks.atari_names import GAMES

STEPS = 30  # of a plan


def exactness(game: str, cases: int = 60) -> str:
    """Of `cases` states along a random game: how many went on otherwise than was predicted."""
    task = registry.make(game)
    task.reset(seed=1)
    simulation, random = task.planning_simulation(1), np.random.default_rng(0)
    actions, wrong = task.facts.action_space.n, {"rewards": 0, "RAM": 0, "any byte": 0}
    for _ in range(cases):
        for _ in range(random.integers(1, 12)):
            task.step(random.integers(actions, size=1))
        plans = random.integers(actions, size=(3, STEPS))
        start = task.simulation.read()
        rewards, continuation, last = simulation.rollout(start, np.zeros(3, int), plans)
        # The last was rolled out on an emulator that had been through the others.
        steps = []
        for action in plans[-1]:
            steps.append(task.step(np.array([action])))
            if steps[-1][2][0] or steps[-1][3][0]:
                break
        done = len(steps)
        wrong["rewards"] += [s[1][0] for s in steps] != rewards[-1, :done].tolist() or [
            s[2][0] for s in steps
        ] != (continuation[-1, :done] == 0).tolist()
        if done == STEPS and not (steps[-1][2][0] or steps[-1][3][0]):
            now = task.simulation.read()[0]
            wrong["RAM"] += not np.array_equal(now[RAM], last[-1, RAM])
            wrong["any byte"] += not np.array_equal(now, last[-1])
    said = ", ".join(f"{name} {count}" for name, count in wrong.items() if count)
    return f"{said or 'exact'} of {cases}"


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
    parser.add_argument("what", choices=("exactness", "speed"))
    parser.add_argument("games", nargs="*")
    given = parser.parse_args()
    for game in given.games or (GAMES if given.what == "exactness" else ("breakout",)):
        measured = exactness(game) if given.what == "exactness" else speed(game)
        print(f"{game:<20}  {measured}", flush=True)


if __name__ == "__main__":
    main()
