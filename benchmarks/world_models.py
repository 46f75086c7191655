"""How fast agents with learned world models decide and learn: `python -m benchmarks.world_models`.

    python -m benchmarks.world_models [--json PATH] [--quick]

A decision is whole: encoding, search, and what the search asks of policy and value. An update is a
joint gradient step. Beside each, what it computes per CPU second, against the fastest that this
processor was seen to do a product of 1024 x 1024 matrices in the same process: by oneDNN in single
precision, the same for what is computed in bfloat16. Searches are also timed against one large
batch of the same transitions: what a search loses by asking for a few at a time.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import suites.environment  # noqa: F401  (before MuJoCo)
from benchmarks.report import machine, matrix_peak, parse, print_table, write_json

PACKAGES = ("torch", "numpy")
BATCH = 4096  # transitions of a large batch


@dataclass(frozen=True)
class Line:
    """An agent, and how it is measured.

    Attributes:
      name: Of the row.
      words: Its command line.
      decisions, updates: Of a round.
    """

    name: str
    words: tuple[str, ...]
    decisions: int
    updates: int


START = ("world_model.warmup=300", "budget.env_steps=1000")
TDMPC2 = (*START, "world_model.pretraining=0", "task=cheetah")
LINES = (
    Line("TD-MPC2, CPU preset", (*TDMPC2, "agent=tdmpc2"), 40, 20),
    Line("TD-MPC2, 1M", (*TDMPC2, "agent=tdmpc2_1m"), 20, 10),
    Line("TD-MPC2, 1M, bfloat16", (*TDMPC2, "agent=tdmpc2_1m", "world_model.half=true"), 20, 10),
    Line("TD-MPC2, 5M", (*TDMPC2, "agent=tdmpc2_5m"), 10, 5),
    Line("TD-MPC2, 5M, bfloat16", (*TDMPC2, "agent=tdmpc2_5m", "world_model.half=true"), 10, 5),
    Line("PETS", (*START, "agent=pets", "task=cheetah"), 10, 0),
)


def assemble(words: tuple[str, ...]) -> tuple[Any, Any]:
    """The task and the agent of a command line."""
    from hydra import compose, initialize_config_dir

    from suites import assembly, usage
    from suites.tasks import registry

    registry.register()
    usage.register(assembly.CONF)
    with initialize_config_dir(str(assembly.CONF), version_base="1.3"):
        config: Any = compose("config", list(words))
    assembly.settle(config, learns=True, plans=True, modelled=True)
    return assembly.assemble(config, 1)


def fill(agent: Any, task: Any, decisions: int) -> Any:
    """What the model learns from, with so many random decisions in it."""
    from learners.interface import Transitions
    from learners.none import NoLearner
    from planners.noise import Noise

    source = agent.model.make_source(1, Path(tempfile.gettempdir()))
    random, (seen, _) = NoLearner(task.facts), task.reset(seed=0)
    start = np.ones(1, bool)
    for k in range(decisions):
        action = random.sample(seen, Noise(0, [0], k))
        following, reward, terminated, truncated, infos = task.step(action)
        last = infos.get("final_obs", following)
        source.add(Transitions(seen, action, reward, terminated, truncated, last, start))
        seen, start = following, terminated | truncated
    return source


def seconds(work: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Median CPU and wall seconds of a round, after one that warms up."""
    spent = []
    for _ in range(rounds + 1):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        spent.append((time.process_time() - cpu, time.perf_counter() - wall))
    return median(cpu for cpu, _ in spent[1:]), median(wall for _, wall in spent[1:])


def measure(line: Line, rounds: int, peak: float) -> dict[str, Any]:
    """A row: decisions and updates per second, and the share of the processor that they use."""
    from planners.noise import Noise

    task, agent = assemble(line.words)
    model, planner = agent.model, agent.greedy.planner
    source = fill(agent, task, 400)
    model.update(source, agent.prior)
    seen, _ = task.reset(seed=0)

    def decide() -> None:
        carry = planner.init(1)
        for k in range(line.decisions):
            state = model.begin(seen, task)
            _, carry = planner.plan(model, agent.prior.greedy, state, carry, Noise(0, [0], k))

    def learn() -> None:
        source.added += line.updates
        model.update(source, agent.prior)

    row: dict[str, Any] = {"line": line.name}
    before, steps = agent.count("flops"), model.model_steps
    cpu, wall = seconds(decide, rounds)
    flops = (agent.count("flops") - before) / (rounds + 1)
    asked = (model.model_steps - steps) / (rounds + 1)
    row["decisions/s"] = round(line.decisions / wall, 1)
    row["of the peak"] = round(flops / cpu / 1e9 / peak, 2)
    row["against one batch"] = round(asked / wall / batch_speed(agent, task, rounds), 2)
    if line.updates:
        before = agent.count("flops")
        cpu, wall = seconds(learn, rounds)
        flops = (agent.count("flops") - before) / (rounds + 1)
        row["updates/s"] = round(line.updates / wall, 1)
        row["of the peak, updates"] = round(flops / cpu / 1e9 / peak, 2)
    return row


def batch_speed(agent: Any, task: Any, rounds: int) -> float:
    """Transitions per second in one large batch of single steps."""
    model = agent.model
    seen, _ = task.reset(seed=0)
    state = np.repeat(model.begin(seen, task), BATCH, axis=0)
    space = task.facts.action_space
    action = np.random.default_rng(0).uniform(space.low, space.high, (BATCH, *space.shape))
    steps = model.model_steps
    _, wall = seconds(lambda: model.step(state, action) and None, rounds)
    return (model.model_steps - steps) / (rounds + 1) / wall


def main(given: list[str] | None = None) -> None:
    """The command line."""
    arguments = parse("benchmarks.world_models", __doc__, given)
    import torch

    torch.set_num_threads(1)
    peak = matrix_peak()
    lines = LINES[:1] if arguments.quick else LINES
    rows = [measure(line, 1 if arguments.quick else 5, peak) for line in lines]
    columns = dict.fromkeys(key for row in rows for key in row)
    rows = [{key: row.get(key) for key in columns} for row in rows]
    print_table(f"World models (the peak: {peak:.0f} GFLOP per CPU second)", rows)
    if arguments.json:
        write_json(arguments.json, {"machine": machine(PACKAGES), "peak": peak, "rows": rows})


if __name__ == "__main__":
    main()
