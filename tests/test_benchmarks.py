"""The benchmarks run, and compare like with like. Speed is not tested."""

import json

from benchmarks import rollout, search


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


def test_search(tmp_path, capsys):
    path = tmp_path / "search.json"
    search.main(["--quick", "--json", str(path)])
    report = json.loads(path.read_text())
    assert len(report["rows"]) == 2 * len(search.QUICK.batches)
    assert all(row["us"] > 0 for row in report["rows"])
    assert ("us, mctx" in report["rows"][0]) == (report["left_out"] is None)
    assert report["rows"][0]["line"] in capsys.readouterr().out
