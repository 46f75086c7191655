"""The benchmarks run, and compare like with like. Speed is not tested."""

import json

from benchmarks import atari, first_steps, rollout, search
from suites import usage
from suites.run import CONF
from suites.tasks import registry


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


def test_first_steps():
    registry.register()
    usage.register(CONF)
    two, four = (first_steps.first_return("cartpole-balance", 3, 600, steps) for steps in (2, 4))
    assert 1.5 < two < 2 < four < 4
    assert first_steps.first_return("cartpole-balance", 3, 2400, 4) != four


def test_atari():
    assert atari.speed("breakout", rounds=1).endswith("x")


def test_search(tmp_path, capsys):
    path = tmp_path / "search.json"
    search.main(["--quick", "--json", str(path)])
    report = json.loads(path.read_text())
    assert len(report["rows"]) == 2 * len(search.QUICK.batches)
    assert all(row["us"] > 0 for row in report["rows"])
    assert ("us, mctx" in report["rows"][0]) == (report["left_out"] is None)
    assert report["rows"][0]["line"] in capsys.readouterr().out
