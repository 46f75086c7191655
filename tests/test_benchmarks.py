"""The benchmarks run, and compare like with like. Speed is not tested."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import (
    atari,
    coverage,
    first_steps,
    inference,
    learners,
    learning,
    rollout,
    search,
    sweep,
    world_models,
)
from benchmarks.study import Study, filled, job, learning_curve, main
from suites import usage
from suites.assembly import CONF
from suites.errors import InUseError, UserError
from suites.records import hold
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


def test_search(tmp_path, capsys):
    path = tmp_path / "search.json"
    search.main(["--quick", "--json", str(path)])
    report = json.loads(path.read_text())
    assert len(report["rows"]) == 2 * len(search.QUICK.batches)
    assert len(report["frames"]) == 7
    assert all(row["ratio"] > 0 for row in report["frames"])
    assert all(row["us"] > 0 for row in report["rows"])
    assert ("us, mctx" in report["rows"][0]) == (report["left_out"] is None)
    assert report["rows"][0]["line"] in capsys.readouterr().out


def test_sweep(tmp_path, capsys):
    path = tmp_path / "sweep.json"
    sweep.main(["--quick", "--json", str(path)])
    report = json.loads(path.read_text())
    assert report["sweep"]["runs"] == 2
    assert report["sweep"]["ratio"] > 0
    (row,) = report["records"]
    assert 0 < row["records, s"] < row["CPU, s"]
    assert row["line"] in capsys.readouterr().out


@pytest.mark.parametrize("benchmark", [world_models, inference])
def test_learned_models(benchmark, tmp_path, capsys):
    path = tmp_path / "models.json"
    benchmark.main(["--quick", "--json", str(path)])
    rows, table = json.loads(path.read_text())["rows"], capsys.readouterr().out
    for row in rows:
        assert all(value > 0 for key, value in row.items() if key != "line")
        assert row["line"] in table


def test_atari(tmp_path, capsys):
    path = tmp_path / "atari.json"
    atari.main(["--quick", "--json", str(path)])
    (row,) = json.loads(path.read_text())["rows"]
    assert row["line"] == "pong x 2"
    assert row["ratio"] > 0
    assert row["line"] in capsys.readouterr().out


def test_a_study_runs_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    jobs = [job(("planner=mcts", "planner.budget=60"), task="toy-chain", seed=s) for s in (0, 1)]
    study = Study("toys", "chain", tuple(jobs), lambda rows: f"{len(rows)} rows")
    monkeypatch.setenv("PYTHONPATH", str(CONF.parent))
    Study("toys", "chain", (jobs[0],), study.report).run(1, again=False)
    assert len(study.rows()) == 1
    shutil.rmtree("runs")
    Path("docs").mkdir()
    Path("README.md").write_text("no table\n")
    Path("docs/toys.md").write_text("A\n<!-- results/toys/chain.md -->\nold\n<!-- end -->\nB\n")
    study.run(2, again=False)
    *_, told = capsys.readouterr().err.splitlines()
    assert told.startswith(
        f"[1/1] toy-chain mcts-uct seed1: done, score {study.rows()[1]['score']:.1f}"
    )
    assert not list(study.folder(jobs[0]).glob("*/*/*/seed0"))  # its row was enough
    assert [row["seed"] for row in study.rows()] == [0, 1]
    assert "\n2 rows\n" in Path("docs/toys.md").read_text()
    study.run(1, again=True)
    assert list(study.folder(jobs[0]).glob("*/*/*/seed0"))
    poor = job(("planner.budget=1",), task="toy-chain", seed=0)
    failing = Study("toys", "no", (poor,), study.report)
    failing.run(1, again=False)
    assert "toy-chain mpc-icem seed0: failed: planner.budget is 1: " in capsys.readouterr().err
    assert failing.rows() == []
    typo = Study("toys", "typo", (job((), task="toy-chainn", seed=0),), study.report)
    with pytest.raises(UserError, match="unknown task 'toy-chainn'"):
        typo.run(1, again=False)
    study.table.write_text("task,seed,score\ntoy-chain,1\n")
    with pytest.raises(SystemExit, match="a row that is cut off"):
        study.rows()


def test_pages_show_the_tables_as_measured(monkeypatch):
    monkeypatch.chdir(CONF.parent)
    pages = [page.read_text() for page in (Path("README.md"), *Path("docs").glob("*.md"))]
    assert any("<!-- results/planning/scores.md -->" in page for page in pages)
    assert all(filled(page) == page for page in pages)


def test_learning_curves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        {"task": task, "learner": "sac", "seed": seed, "env_steps": steps, "score": steps * rate}
        for task, rate in (("cheetah-run", 0.002), ("walker-walk", 0.006))
        for seed in range(3)
        for steps in (0, 50_000, 100_000)
        if (task, seed, steps) != ("walker-walk", 2, 100_000)  # not yet there
    ]
    steps, scores = learning.curve(rows, "walker-walk", "sac")
    assert steps.tolist() == [0, 50_000]
    assert scores.tolist() == [[0, 300]] * 3
    table = learning.report(rows, "sac", learning.SAC, None)
    assert "| cheetah-run | 100,000 | 200, 200, 200 | **200** | 178 ± 37 | 310 ± 65 |" in table
    assert "| walker-walk | 50,000 | 300, 300, 300 | **300** | 449 ± 117 after 100,000" in table
    assert "<svg" in Path("docs/figures/learning_sac.svg").read_text()


def test_a_study_keeps_whole_curves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(CONF.parent))
    words = ("learner=td3", "learner.width=8", "learner.warmup=10", "budget.env_steps=40")
    words += ("evaluation.every=20", "evaluation.episodes=1")
    jobs = (job(words, task="pendulum", learner="td3", seed=0),)
    # The folder of a run has the task's full name.
    jobs = (replace(jobs[0], key=(("task", "pendulum-swingup"), *jobs[0].key[1:])),)
    study = Study("toys", "curve", jobs, lambda rows: f"{len(rows)} rows", learning_curve)
    study.run(1, again=False)
    assert [row["env_steps"] for row in study.rows()] == [0, 20, 40]
    assert [row["updates"] for row in study.rows()] == [0, 0, 10]
    shutil.rmtree("runs")
    assert [row["seed"] for row in study.rows()] == [0, 0, 0]


def test_a_study_that_is_at_work_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["study", "curve"])
    jobs = (job(("learner=td3",), task="pendulum-swingup", learner="td3", seed=0),)
    study = Study("toys", "curve", jobs, lambda rows: "", learning_curve)
    held = hold(Path("runs/toys/curve/sweep"), "makes the same sweep", "runs_dir")
    with held, pytest.raises(SystemExit) as ended:
        main("Toys.", {"curve": study})
    assert ended.value.code == InUseError.code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("error: runs/toys/curve/sweep is in use")


def test_what_learning_costs(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = learners.soft_actor_critic()
    rows = learners.measure(replace(whole, entrants={"ours": whole.entrants["ours"]}), 1, True)
    assert [row["line"] for row in rows] == ["SAC, cheetah-run: ours"]
    assert rows[0]["our CPU over theirs"] == 1
    assert rows[0]["CPU-s per 1,000 steps"] > 0


def test_coverage(capsys, monkeypatch):
    monkeypatch.setattr(coverage, "TRUTH", 10_000)
    coverage.main(["--quick"])
    rows = capsys.readouterr().out.splitlines()[2:]
    shares = [[int(cell.strip(" %")) for cell in row.split("|")[4:-1]] for row in rows]
    assert np.shape(shares) == (8, 4)
    assert 60 < np.mean(shares) < 98  # of 95% intervals of few seeds
