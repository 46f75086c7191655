"""How soon the ball can be caught at all: `python -m benchmarks.earliest_catch`.

ball_in_cup-catch pays 1 from the catch on, so an episode's first state bounds its return. Many bold
plans from there (slow noise, cut to bang-bang), a hundred times as many simulated steps as a
decision is given in `benchmarks.planning`, estimate the bound by the earliest catch among them.
"""

import numpy as np

from planners.noise import Noise, coloured
from suites.evaluate import episode_seed
from suites.tasks.control import suite_task

SEEDS, PLANS, HORIZON, ROUNDS = 5, 1000, 45, 10
DEVIATION, COLOUR = 3.0, 2.0


def main() -> None:
    """Print the earliest catch and the return that it bounds, per seed."""
    task = suite_task("ball_in_cup-catch")
    simulation = task.planning_simulation(threads=1)
    root_of, colours = np.zeros(PLANS, np.int64), np.full(PLANS, COLOUR)
    actuators = task.facts.action_space.shape[0]
    bounds = []
    for seed in range(SEEDS):
        task.reset(seed=episode_seed(seed, 0))
        roots, earliest = task.simulation.read(), HORIZON
        for k in range(ROUNDS):
            noise = coloured(Noise(seed, [0], k), colours, actuators, HORIZON)
            plans = np.clip(DEVIATION * noise[0].swapaxes(-1, -2), -1, 1)
            rewards, _, _ = simulation.rollout(roots, root_of, np.ascontiguousarray(plans))
            caught = np.nan_to_num(rewards) > 0
            earliest = min(earliest, *np.where(caught.any(axis=1), caught.argmax(axis=1), HORIZON))
        bounds.append(task.facts.horizon - earliest)
        print(f"seed {seed}: caught at control step {earliest} at the earliest, so {bounds[-1]}")
    print(f"mean {np.mean(bounds):.0f}")


if __name__ == "__main__":
    main()
