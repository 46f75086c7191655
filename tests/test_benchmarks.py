"""The benchmarks run, and compare like with like. Speed is not tested."""

import json

from benchmarks import atari, rollout
from suites.tasks.atari.simulation import AtariSimulation


def test_rollout(tmp_path, capsys):
    path = tmp_path / "new" / "rollout.json"
    rollout.main(["--quick", "--json", str(path)])
    report = json.loads(path.read_text())
    tasks = [name for name, _ in rollout.QUICK.plans]
    assert [row["line"].split(",")[0] for row in report["rollouts"][::3]] == tasks
    assert all(row["last states differ by"] == 0 for row in report["rollouts"])
    assert all(row["ratio"] > 0 for row in report["rollouts"] + report["environments"])
    assert "EnvPool" in str(report["environments"]) + str(report["left_out"])
    table = capsys.readouterr().out
    assert all(row["line"] in table for row in report["rollouts"] + report["environments"])


def test_atari(monkeypatch):
    assert atari.exactness("breakout", cases=2) == "exact of 2"
    step = AtariSimulation.step

    def generous(self, actions):
        rewards, ended = step(self, actions)
        return rewards + 1, ended

    monkeypatch.setattr(AtariSimulation, "step", generous)
    assert atari.exactness("breakout", cases=2) == "rewards 2 of 2"
    monkeypatch.undo()
    assert atari.speed("breakout", rounds=1).endswith("x")
