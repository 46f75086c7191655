"""Run directories that nobody ran, for measuring and testing what reads many of them.

Scores and costs are drawn: learners rise towards a ceiling and pay for each step, planners have
their score at once and pay for each decision. They are numbers about the reader, never about an
agent.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from suites.ledger import Costs, columns
from suites.records import FORMAT, config_hash, run_path

HORIZON, EPISODES = 1000, 10  # decisions of an episode, episodes of an evaluation
TASKS = ("cheetah-run", "walker-walk", "finger-spin", "reacher-easy", "hopper-stand", "cup-catch")
VERSIONS = {"python": "3.11.7", "mujoco": "3.17.0", "dm-control": "1.0.50", "numpy": "2.4.6"}


@dataclass(frozen=True)
class Method:
    """An agent and what it costs.

    Attributes:
      agent: Its name.
      ceiling: The score that it tends to.
      steps: Of training after which it has 63% of that; 0 for a planner without training.
      budget: Simulated steps of a decision of a planner.
      model: Steps in a learned model per step of training.
      cpu, flops: Of a step of training.
      act: Seconds of a decision.
    """

    agent: str
    ceiling: float
    steps: float = 0.0
    budget: int = 0
    model: int = 0
    cpu: float = 0.0
    flops: float = 0.0
    act: float = 1e-4

    @property
    def config(self) -> dict[str, Any]:
        """The settings that say what it is."""
        planner: dict[str, Any] = {"_target_": "planners.none.NoPlanner", "repeat": None}
        world: dict[str, Any] = {"_target_": "world_models.simulator.Simulator"}
        learner: dict[str, Any] = {"_target_": "learners.none.NoLearner"}
        if self.budget:
            planner = {"_target_": "planners.mpc.make_planner", "optimizer": self.agent[4:]}
            planner |= {"budget": self.budget, "horizon": 0.5, "discount": 1.0, "spline": None}
        if self.model:
            world = {"_target_": "world_models.ensemble.Ensemble", "members": 5, "width": 200}
        if self.steps:
            learner = {"_target_": "learners.sac.SAC", "learning_rate": 3e-4, "tau": 0.005}
            learner |= {"width": 256, "depth": 2, "warmup": 2500, "ratio": round(self.steps / 1e5)}
        return {"planner": planner, "world_model": {**world, "clairvoyant": False}} | {
            "learner": learner
        }


def methods(learners: int, planners: int) -> tuple[Method, ...]:
    """So many of each; a planner has four budgets, which are methods of their own."""
    made = []
    for i in range(learners):
        share, model = (i + 1) / learners, 4 * (i % 3 == 2)
        made.append(
            Method(
                agent=f"{('sac', 'ppo', 'mbpo')[i % 3]}{i // 3 or ''}",
                ceiling=500 + 450 * share,
                steps=3e4 + 2e5 * share,
                model=model,
                cpu=2e-3 * (1 + 3 * share) * (1 + model),
                flops=6e8 * share,
            )
        )
    for i in range(planners):
        for budget in (500, 1000, 2000, 4000):
            ceiling = (900 - 60 * i) * (1 - np.exp(-budget / (600 + 300 * i)))
            agent = f"mpc-{('icem', 'cem', 'mppi')[i % 3]}{i // 3 or ''}"
            made.append(Method(agent, float(ceiling), budget=budget, act=4e-6 * budget))
    return tuple(made)


def write_run(
    root: Path,
    task: str,
    method: Method,
    seed: int,
    scores: Sequence[float],
    total: int = 500_000,
    status: str = "done",
    reason: str | None = None,
    slow: float = 1.0,
) -> Path:
    """A run with these scores, one per evaluation; where there are many, over `total` steps."""
    config: dict[str, Any] = {"seed": seed, "threads": 1}
    config |= {"budget": {"env_steps": total if method.steps else 0}}
    config |= {"evaluation": {"episodes": EPISODES, "seed": seed}}
    config |= {"task": {"_target_": "suites.tasks.control.suite_task", "name": task}}
    config |= method.config
    digest = config_hash(config | {"evaluation": {"episodes": EPISODES, "seed": "${seed}"}})
    folder = run_path(str(root), None, task, method.agent, digest, seed)
    folder.mkdir(parents=True)
    named = {"task": task, "agent": method.agent, "seed": seed, "config": config}
    start = {"versions": VERSIONS, "machine": {"processor": "synthetic processor"}}
    manifest = {"format": FORMAT, "config_hash": digest, **named, "starts": [start]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "status.json").write_text(json.dumps({"status": status, "reason": reason}))
    if scores:
        rows = [row(method, total, k, len(scores), x, slow) for k, x in enumerate(scores)]
        (folder / "evaluations.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
    return folder


def row(
    method: Method, total: int, k: int, count: int, score: float, slow: float = 1.0
) -> dict[str, Any]:
    """The k-th evaluation, of ten episodes, of `count` of a training over `total` steps.

    Who learns a model has no counter of energy. `slow` times the seconds are needed.
    """
    steps = total * (k + 1) // count if method.steps else 0
    acted = EPISODES * HORIZON * (k + 1)
    cpu, acting = slow * steps * method.cpu, slow * acted * method.act
    training = Costs(
        env_steps=steps,
        decisions=steps,
        model_steps=steps * method.model,
        flops=round(steps * method.flops),
        cpu_seconds=cpu + 1.5,
        compile_seconds=1.5,
        joules=None if method.model else 30 * cpu,
    )
    evaluation = Costs(
        env_steps=acted,
        decisions=acted,
        sim_steps=acted * method.budget,
        cpu_seconds=1.1 * acting,
        act_seconds=acting,
        joules=None if method.model else 30 * acting,
    )
    scores = {"score": score, "returns": [score] * EPISODES}
    return {**scores, **columns(training, evaluation), "reference": {"random": 0.0, "best": 1000.0}}


def write_runs(
    root: Path, agents: Sequence[Method], tasks: Sequence[str], seeds: int, evaluations: int
) -> int:
    """Runs of all agents on all tasks; how many. Every 50th failed, and every 70th goes on."""
    count = 0
    for i, task in enumerate(tasks):
        for method in agents:
            ceiling = method.ceiling * (1 - 0.1 * i)
            for seed in range(seeds):
                name = zlib.crc32(f"{task} {method.agent} {method.budget} {seed}".encode())
                noise = np.random.default_rng(name)
                at = np.arange(1, evaluations + 1) * 5e5 / evaluations
                scores = ceiling * (1 - np.exp(-at / method.steps)) if method.steps else ceiling
                scores = scores * noise.normal(1, 0.06) + noise.normal(0, 15, evaluations)
                scores = np.clip(scores[: evaluations if method.steps else 1], 0, 1000).tolist()
                status, reason = "done", None
                if count % 50 == 49:
                    status, reason = "failed", "loss is not finite at step 31000"
                    scores = scores[: len(scores) // 3]
                elif count % 70 == 69:
                    status, scores = "running", scores[: len(scores) // 2]
                slow = float(noise.lognormal(0, 0.05))
                write_run(root, task, method, seed, scores, 500_000, status, reason, slow)
                count += 1
    return count
