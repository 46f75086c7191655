"""What the beginning of an episode allows: `python -m benchmarks.first_steps TASK`.

The return of the first control steps at several budgets, per seed. Where a much larger budget gains
little, the first state is the limit, not the search.
"""

import argparse
from contextlib import suppress

from hydra import compose, initialize_config_dir

from suites import usage
from suites.assembly import CONF, assemble, settle
from suites.evaluate import evaluate
from suites.ledger import Meter
from suites.tasks import registry


class Enough(Exception):  # noqa: N818 (not an error)
    """The steps that were asked for are played."""


def first_return(task_name: str, seed: int, budget: int, steps: int) -> float:
    """Return of the first `steps` control steps of the run `seed=... planner.budget=...`."""
    overrides = [f"task={task_name}", "planner=mpc", f"seed={seed}", f"planner.budget={budget}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=overrides)
    meter = Meter()
    settle(config, learns=False)
    task, agent = assemble(config, threads=1)
    reached = 0.0

    def on_step(episode: int, played: int, score: float, seconds: float) -> None:
        nonlocal reached
        reached = score
        if played == steps:
            raise Enough

    meter.lap()
    with suppress(Enough):
        list(evaluate(agent, task, seed, seed, [0], meter, on_step=on_step))
    return reached


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="What the beginning of an episode allows.")
    parser.add_argument("task")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--budgets", type=int, nargs="+", default=[4000, 32000])
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    registry.register()
    usage.register(CONF)
    print(f"return of the first {arguments.steps} control steps of {arguments.task}")
    for seed in arguments.seeds:
        returns = [
            f"{first_return(arguments.task, seed, budget, arguments.steps):.1f} at {budget}"
            for budget in arguments.budgets
        ]
        print(f"seed {seed}: {', '.join(returns)}", flush=True)


if __name__ == "__main__":
    main()
