"""What a sweep will cost, against made-up records and a made-up clock."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf
from sweeping import TOY

from suites.command import composing, from_words
from suites.ledger import Costs, columns
from suites.sweeps import calibrate, cost


def leave(words: list[str], rows: int = 1, **ledger: Any) -> None:
    """The records of a run that cost so much."""
    with composing():
        composed = from_words(words)
    composed.path.mkdir(parents=True)
    (composed.path / "config.yaml").write_text(OmegaConf.to_yaml(composed.config, resolve=True))
    (composed.path / "evaluations.jsonl").write_text("{}\n" * rows)
    returns = [0.0] * composed.config.evaluation.episodes
    summary = {"returns": returns, "ledger": {**columns(Costs(), Costs()), **ledger}}
    (composed.path / "summary.json").write_text(json.dumps(summary))


def estimate(words: list[str]) -> Any:
    with composing():
        return cost.recorded(from_words(words))


def test_other_seeds_and_other_budgets(tmp_path):
    words = [f"runs_dir={tmp_path}", "task=cheetah", "planner=mpc", "planner.budget=2000"]
    assert estimate(words) is None
    for seed, cpu in ((1, 10.0), (2, 20.0)):
        spent: dict[str, Any] = {
            "cpu_seconds": 1.0,
            "evaluation_cpu_seconds": cpu,
            "wall_seconds": 5.0,
        }
        leave([*words, f"seed={seed}", "experiment=old"], **spent)
    found = estimate(words)
    assert (found.cpu, found.clock) == (16.0, 5.0)
    assert found.evidence == "2 runs with other seeds"
    # Twice the budget in three times the episodes: six times the evaluation, one set-up.
    words[-1] = "planner.budget=4000"
    assert estimate([*words, "evaluation.episodes=3"]).cpu == 1 + 6 * 10
    assert estimate([*words, "planner.horizon=0.3"]) is None
    assert estimate([*words[:1], "task=walker", *words[2:]]) is None  # its simulator is another


def test_fewer_threads_take_longer(tmp_path):
    """A run's processor time is that of its threads; its clock is not."""
    words = [f"runs_dir={tmp_path}", "task=cheetah", "planner=mpc", "planner.budget=2000"]
    spent: dict[str, Any] = {"evaluation_cpu_seconds": 100.0, "evaluation_wall_seconds": 15.0}
    leave([*words, "seed=1"], **spent)
    (summary,) = tmp_path.glob("**/summary.json")
    (summary.parent / "manifest.json").write_text(json.dumps({"starts": [{"threads": 8}]}))
    assert estimate([*words, "threads=8"]).clock == 15
    assert estimate([*words, "threads=2"]).clock == 50
    assert estimate([*words, "threads=1"]).clock == 100
    words[-1] = "planner.budget=4000"
    assert estimate([*words, "threads=8"]).clock == 30
    assert estimate([*words, "threads=2"]).clock == 100


def test_compilation_counts_once_however_long_the_run(tmp_path):
    words = [f"runs_dir={tmp_path}", "task=cheetah", "planner=mpc", "planner.budget=2000"]
    spent: dict[str, Any] = {"evaluation_cpu_seconds": 10.0, "evaluation_wall_seconds": 8.0}
    leave([*words, "seed=1"], evaluation_compile_seconds=6.0, **spent)
    found = estimate([*words[:-1], "planner.budget=20000"])
    assert found.cpu == pytest.approx(6 + 10 * 4)
    assert found.clock == pytest.approx(6 + 10 * 2)


def test_what_learns_costs_the_same_on_other_tasks(tmp_path):
    words = [f"runs_dir={tmp_path}", "learner=td3", "budget.env_steps=1000"]
    words += ["evaluation.every=500", "evaluation.episodes=2"]
    spent = {"cpu_seconds": 100.0, "evaluation_cpu_seconds": 12.0, "env_steps": 1000}
    leave([*words, "task=cheetah"], rows=3, act_seconds=10.0, update_seconds=90.0, **spent)
    words[2] = "budget.env_steps=4000"  # nine evaluations instead of three
    found = estimate([*words, "task=walker"])
    assert found.cpu == pytest.approx(400 + 36)
    assert "cheetah-run" in found.evidence
    assert estimate([*words, "task=walker", "learner.batch=8"]) is None


def test_runs_shared_out_among_workers():
    assert cost.on_the_clock([4, 3, 2, 1], 2) == 5
    assert cost.on_the_clock([4, 3, 2, 1], 1) == 10
    assert cost.on_the_clock([], 3) == 0


def test_extrapolation():
    config = OmegaConf.create(
        {"budget": {"env_steps": 1000}, "evaluation": {"every": 500, "episodes": 2}}
    )
    told = {"setup": 7.0, "horizon": 10, "evaluation_step": 0.5, "warm_steps": 100}
    told |= {"warm_step": 0.1, "training_step": 2.0, "burst": 3.0}
    assert cost.extrapolated(told, config) == 7 + 100 * 0.1 + 900 * 2 + 3 + 3 * 2 * 10 * 0.5
    config.budget.env_steps = 50  # it ends before anything is learned
    assert cost.extrapolated(told, config) == 7 + 50 * 0.1 + 3 + 2 * 2 * 10 * 0.5


class Bursts:
    """A trainer of two environments: a decision costs a second, and every fourth learns for six.

    The first sixteen decisions do not learn; the first burst makes ready for ten more.
    """

    def __init__(self, monkeypatch):
        self.env_steps = self.decisions = self.updates = 0
        self.now = 50.0
        self.costs = SimpleNamespace(update_seconds=0.0)
        self.agent = SimpleNamespace(count=lambda _: self.updates)
        monkeypatch.setattr(calibrate, "cpu_seconds", lambda: self.now)

    def run(self, until, on_decision):
        while self.env_steps < until:
            self.decisions, self.env_steps = self.decisions + 1, self.env_steps + 2
            self.now += 1
            if self.decisions >= 16 and self.decisions % 4 == 0:
                spent = 10 if self.decisions == 16 else 6
                self.now, self.updates = self.now + spent, self.updates + 3
                self.costs.update_seconds += spent
            on_decision(self)


def test_bursts_are_measured_from_one_to_another(monkeypatch):
    less = {"warmup": 100, "pretraining": 30}
    told = calibrate.training(Bursts(monkeypatch), 10_000, less)
    assert told["warm_step"] == 0.5
    assert told["training_step"] == (4 * 1 + 6) / 8
    assert told["warm_steps"] == 32 + 200
    assert told["burst"] == 30 * 6 / 3


def test_a_training_without_an_update_stands_for_itself(monkeypatch):
    told = calibrate.training(Bursts(monkeypatch), 20, {"warmup": 0, "pretraining": 0})
    assert told == {"warm_steps": 0, "warm_step": 0.5, "training_step": 0.5}


def test_plans_of_toys(command, tmp_path):
    words = ("-m", *TOY, "seed=0,1,2", "--plan-cost", "sweep.workers=2")
    code, out, err = command(*words)
    assert code == 0
    assert "calibrating 1 of 1 settings" in err
    head, row, total = out.splitlines()
    assert head.split()[:3] == ["method", "task", "runs"]
    assert row.split()[:4] == ["random", "toy-chain", "3", "3"]
    assert row.endswith("calibration")
    assert total.startswith("3 runs to make: 0.0")
    assert total.endswith("on the clock with 2 workers")
    assert not list(tmp_path.iterdir())
    code, out, err = command("-m", *TOY, "planner=mpc", "planner.optimizer=mppi", "--plan-cost")
    assert code == 2
    assert "needs continuous actions" in err.splitlines()[-1]
