"""What learning costs: CPU seconds, steps and updates per second, beside other implementations.

    python -m benchmarks.learners [--json PATH] [--quick]

Peers (extra `peers`): Stable-Baselines3 (torch) and SBX (JAX), on the very same environments. Equal
networks, batches and update ratios; the rest as each of them has it. Whole training loops, with
acting, stepping and remembering. For each number of threads a process of its own, in which all
take turns; a ratio is the median over the rounds, with its extremes.

Beside them: the matrix products of a step per CPU second, against the fastest that this processor
was seen to do a product of 1024 x 1024 in the same process.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium
import numpy as np

from benchmarks.report import machine, matrix_peak, parse, print_table, write_json

THREADS = (1, 2)
# What ratios should reach: of SAC's CPU seconds, at most; of speeds, at least.
AS_SB3, AS_SBX = 0.55, 1.0
PEERS = ("stable-baselines3", "sbx-rl", "jax", "torch", "numpy", "mujoco", "ale-py")


@dataclass(frozen=True)
class Learning:
    """A training that goes on.

    Attributes:
      advance: Trains for so many control steps more.
      flops: Of the networks so far; None where nobody counts them.
    """

    advance: Callable[[int], None]
    flops: Callable[[], int] | None = None


@dataclass(frozen=True)
class Comparison:
    """A learner on a task, and its peers.

    Attributes:
      line: Says what it is.
      entrants: Makes each of them, by name; ours first.
      steps: Control steps of a round.
      warmup: Control steps before the first round.
    """

    line: str
    entrants: dict[str, Callable[[], Learning]]
    steps: int
    warmup: int


def ours(*words: str) -> Learning:
    """A training of this suite, of what the command line `words` describes."""
    from hydra import compose, initialize_config_dir

    from suites import usage
    from suites.assembly import CONF, assemble, build, settle
    from suites.ledger import Meter
    from suites.tasks import registry
    from suites.train import Trainer

    registry.register()
    usage.register(CONF)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config: Any = compose("config", [*words, "planner=none"])
    settle(config, learns=True)
    threads = int(os.environ["OMP_NUM_THREADS"])
    _, agent = assemble(config, threads)
    task = build("task", config, num_envs=agent.num_envs, threads=threads)
    trainer = Trainer(agent, task, 0, Path(tempfile.gettempdir()), Meter())

    def advance(steps: int) -> None:
        trainer.run(trainer.env_steps + steps, lambda trainer: None)

    return Learning(advance, lambda: trainer.agent.count("flops"))


class One(gymnasium.Env):
    """A task of this suite as a single environment; floats in single precision."""

    def __init__(self, name: str, **options: Any):
        from suites.tasks import registry

        self.task = registry.make({**registry.config(name), **options})
        seen, acted = self.task.facts.observation_space, self.task.facts.action_space
        self.dtype = np.uint8 if seen.dtype == np.uint8 else np.float32
        self.observation_space = gymnasium.spaces.Box(
            seen.low.astype(self.dtype), seen.high.astype(self.dtype), dtype=self.dtype
        )
        self.action_space = acted
        if isinstance(acted, gymnasium.spaces.Box):
            self.action_space = gymnasium.spaces.Box(-1.0, 1.0, acted.shape, np.float32)
        self.first = np.empty(0)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        """Begin an episode; the task has begun it already, where one has just ended."""
        if not self.first.size or seed is not None:
            self.first = self.task.reset(seed=seed or 0)[0][0]
        return self.first.astype(self.dtype), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One control step."""
        observation, reward, terminated, truncated, infos = self.task.step(np.array([action]))
        self.first = observation[0]
        last = infos["final_obs"] if terminated[0] or truncated[0] else observation
        ended = bool(terminated[0]), bool(truncated[0])
        return last[0].astype(self.dtype), float(reward[0]), *ended, {}


def many(name: str, num_envs: int) -> Any:
    """A control task as the vector environment of Stable-Baselines3's kind."""
    return importlib.import_module("docs.examples.sb3_sac").SB3(name, num_envs)


def peer(
    module: str, name: str, env: Callable[[], Any], policy: str = "MlpPolicy", **options: Any
) -> Learning:
    """An algorithm of another library, in training."""
    model = getattr(importlib.import_module(module), name)(policy, env(), seed=0, **options)
    begun = False

    def advance(steps: int) -> None:
        nonlocal begun
        model.learn(steps, reset_num_timesteps=not begun)
        begun = True

    return Learning(advance)


def soft_actor_critic() -> Comparison:
    """SAC: a gradient step per control step, batches of 256, two hidden layers of 256."""
    options: dict[str, Any] = {"learning_starts": 500, "batch_size": 256, "buffer_size": 100_000}
    words = ("learner=sac", "task=cheetah", "learner.warmup=500", "planner.repeat=1")
    return Comparison(
        "SAC, cheetah-run",
        {
            "ours": lambda: ours(*words),
            "Stable-Baselines3": lambda: peer(
                "stable_baselines3", "SAC", lambda: One("cheetah-run"), **options
            ),
            "SBX": lambda: peer("sbx", "SAC", lambda: One("cheetah-run"), **options),
        },
        steps=500,
        warmup=1000,
    )


def policy_optimisation() -> Comparison:
    """PPO with 16 environments: rollouts of 64 steps, ten epochs of minibatches of 256."""
    options: dict[str, Any] = {"n_steps": 64, "batch_size": 256, "n_epochs": 10}
    words = ("learner=ppo", "task=cheetah", "planner.repeat=1", "learner.env_steps=null")
    return Comparison(
        "PPO, cheetah-run",
        {
            "ours": lambda: ours(*words),
            "Stable-Baselines3": lambda: peer(
                "stable_baselines3", "PPO", lambda: many("cheetah-run", 16), device="cpu", **options
            ),
            "SBX": lambda: peer("sbx", "PPO", lambda: many("cheetah-run", 16), **options),
            "SBX, its minibatches of 64": lambda: peer(
                "sbx", "PPO", lambda: many("cheetah-run", 16), **{**options, "batch_size": 64}
            ),
        },
        steps=16_384,
        warmup=4096,
    )


def deep_q_learning() -> Comparison:
    """DQN on pixels: a gradient step per decision, batches of 32, the network of Mnih et al."""
    options: dict[str, Any] = {
        "learning_starts": 200,
        "batch_size": 32,
        "buffer_size": 20_000,
        "train_freq": 1,
    }
    words = ("learner.warmup=200", "learner.ratio=1", "learner.capacity=20000")
    return Comparison(
        "DQN, pong",
        {
            "ours": lambda: ours("learner=dqn", "task=pong", *words),
            "Stable-Baselines3": lambda: peer(
                "stable_baselines3",
                "DQN",
                lambda: One("pong", observation="pixels"),
                policy="CnnPolicy",
                **options,
            ),
        },
        steps=200,
        warmup=400,
    )


COMPARISONS = (soft_actor_critic, policy_optimisation, deep_q_learning)


def measure(comparison: Comparison, rounds: int, quick: bool) -> list[dict[str, Any]]:
    """A row for each entrant: CPU seconds per 1,000 steps, steps per second, and ratios to ours."""
    learnings: dict[str, Learning] = {}
    for name, make in comparison.entrants.items():
        try:
            learnings[name] = make()
        except ImportError as error:
            print(f"{name} is left out: {error}; pip install '.[peers]' gets it", file=sys.stderr)
    steps = 20 if quick else comparison.steps
    for learning in learnings.values():
        learning.advance(steps if quick else comparison.warmup)
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in learnings}
    flops = 0
    for _ in range(rounds):
        for name, learning in learnings.items():
            before = learning.flops() if learning.flops else 0
            cpu, wall = time.process_time(), time.perf_counter()
            learning.advance(steps)
            spent[name].append((time.process_time() - cpu, time.perf_counter() - wall))
            flops += learning.flops() - before if learning.flops else 0
    rows = []
    for name, times in spent.items():
        ratios = [mine[0] / theirs[0] for mine, theirs in zip(spent["ours"], times, strict=True)]
        speed = median(steps / wall for _, wall in times)
        rows.append(
            {
                "line": f"{comparison.line}: {name}",
                "CPU-s per 1,000 steps": round(1e3 / steps * median(cpu for cpu, _ in times), 2),
                "steps/s": round(speed),
                "our CPU over theirs": round(median(ratios), 3),
                "lowest": round(min(ratios), 3),
                "highest": round(max(ratios), 3),
            }
        )
    rate = flops / sum(cpu for cpu, _ in spent["ours"]) / 1e9
    peak = matrix_peak()
    rows[0] |= {"GFLOP per CPU-s": round(rate, 1), "of the peak": round(rate / peak, 2)}
    return rows


def child(which: str, quick: bool) -> None:
    """Measure in this process, with as many threads as its environment says; JSON on stdout."""
    threads = os.environ["OMP_NUM_THREADS"]
    from suites.environment import BLAS_THREADS  # before MuJoCo

    os.environ |= dict.fromkeys(BLAS_THREADS, threads)  # the peers have as many
    comparison = next(make() for make in COMPARISONS if make.__name__ == which)
    rows = measure(comparison, 1 if quick else 3, quick)
    print(json.dumps(rows))


def rows_of(quick: bool) -> Iterator[dict[str, Any]]:
    """All rows: each comparison with each number of threads, in a process of its own."""
    from suites.environment import BLAS_THREADS

    for make in COMPARISONS:
        for threads in THREADS:
            eigen = "true" if threads > 1 else "false"
            settings = {"XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}"}
            settings |= dict.fromkeys(BLAS_THREADS, str(threads))
            command = [sys.executable, "-m", "benchmarks.learners", "--child", make.__name__]
            done = subprocess.run(
                [*command, *(["--quick"] if quick else [])],
                env={**os.environ, **settings},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            for row in json.loads(done.stdout.splitlines()[-1]):
                yield {"threads": threads, **row}


def main(given: list[str] | None = None) -> None:
    """The command line."""
    arguments = parse("benchmarks.learners", __doc__, given)
    rows = list(rows_of(arguments.quick))
    report = {"machine": machine(PEERS), "rows": rows}
    columns = dict.fromkeys(key for row in rows for key in row)
    print_table("Learning", [{key: row.get(key) for key in columns} for row in rows])
    if arguments.json:
        write_json(arguments.json, report)


if __name__ == "__main__":
    if "--child" in sys.argv:
        inner = argparse.ArgumentParser()
        inner.add_argument("--child")
        inner.add_argument("--quick", action="store_true")
        known = inner.parse_args()
        child(known.child, known.quick)
    else:
        main()
