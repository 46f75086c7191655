"""`python -m suites.compare` and what it makes of runs."""

import csv
import io
import json
import re
import resource
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from benchmarks.synthetic import TASKS, methods, write_run, write_runs
from suites import compare, comparison, figures
from suites.efficiency import steps_to
from suites.frontier import pareto
from suites.points import points
from suites.results import load
from suites.statistics import Interval, estimate

pytest.importorskip("duckdb", reason="needs the extra `compare`")
SAC, PPO, SMALL, *_ = methods(2, 1)
SCORES = {
    SAC: ([10.0, 300.0, 600.0], [20.0, 200.0, 700.0], [0.0, 90.0, 50.0]),
    PPO: ([5.0, 100.0, 200.0], [5.0, 150.0, 300.0], [5.0, 90.0, 250.0]),
    SMALL: ([500.0], [510.0], [520.0]),
}


@pytest.fixture
def runs(tmp_path):
    """Two tasks, of which the second is worth half."""
    for share, task in ((1.0, "cheetah-run"), (0.5, "walker-walk")):
        for method, of in SCORES.items():
            for seed, scores in enumerate(of):
                write_run(tmp_path / "runs", task, method, seed, [share * x for x in scores])
    return tmp_path / "runs"


@pytest.fixture
def compared(call):
    return partial(call, compare.main)


def column(table: Any, name: str) -> list[Any]:
    return [row[table.columns.index(name)] for row in table.rows]


def test_scores_of_each_method_on_each_task(runs):
    table = comparison.scores_table(points(load([runs])), failed=0.1)
    assert column(table, "task") == ["cheetah-run"] * 3 + ["walker-walk"] * 3
    assert column(table, "method")[:3] == ["mpc-icem", "sac", "ppo"]  # by their means
    assert column(table, "n") == [3] * 6
    assert column(table, "mean")[:3] == pytest.approx([510, 450, 250])
    assert column(table, "")[:2] == ["S", ""]
    sac = column(table, "IQM")[1]
    assert sac == estimate([np.array([600.0, 700.0, 50.0])])
    failed = column(table, "below 0.1")[1]
    assert failed.value == pytest.approx(1 / 3)  # the seed with 50 of 1000


def test_samples_until_a_threshold_with_runs_that_never_reach_it(runs):
    curves = comparison.curves_of(load([runs]))
    assert set(curves) == {(t, m) for t in ("cheetah-run", "walker-walk") for m in ("sac", "ppo")}
    table = comparison.samples_table(curves, threshold=0.25)
    rows: dict[str, Any] = dict(zip(column(table, "method")[:2], table.rows[:2], strict=True))
    # SAC has an evaluation at a third, two thirds and the whole of 500,000 steps.
    assert rows["sac"][5] == "2 of 3"
    times = steps_to(curves["cheetah-run", "sac"], 0.25)
    assert sorted(times.steps.tolist()) == [333333.0, 500000.0, 500000.0]
    assert rows["sac"][6].value == 500000.0
    assert rows["ppo"][5] == "2 of 3"
    heights = [(0.01 + 2 * 0.3 + 0.6) / 4, (0.02 + 2 * 0.2 + 0.7) / 4, (2 * 0.09 + 0.05) / 4]
    assert rows["sac"][4].value == pytest.approx(np.mean(heights), rel=1e-4)


def test_all_tasks_together(runs):
    table = comparison.overall_table(points(load([runs])), baseline="ppo")
    assert table is not None
    assert column(table, "method") == ["mpc-icem", "sac", "ppo"]  # by the IQM of all six runs
    middle = [0.255, 0.26, 0.5, 0.51]  # without the lowest and the highest
    assert column(table, "IQM")[0].value == pytest.approx(np.mean(middle))
    assert column(table, "n") == [6] * 3
    better = dict(zip(column(table, "method"), column(table, "P(ppo is better)"), strict=True))
    assert better["ppo"] is None
    # PPO's 200, 250 and 300 are above one of SAC's three runs each; alike on both tasks.
    assert better["sac"].value == pytest.approx(1 / 3)
    assert better["mpc-icem"].value == 0


def test_one_method_is_not_compared_with_itself(tmp_path):
    write_run(tmp_path, "cheetah-run", SAC, 0, [1.0])
    found = points(load([tmp_path]))
    assert comparison.overall_table(found, None) is None
    assert comparison.break_even_table(found, "cpu_seconds") is None


def test_costs_and_the_frontier(runs):
    found = [p for p in points(load([runs])) if p.task == "cheetah-run"]
    front = comparison.frontier([(point,) for point in found], "cpu_seconds")
    assert front is not None
    cost = [float(np.mean(p.costs["cpu_seconds"])) for p in found]
    score = [estimate([p.scores]).value for p in found]
    assert front.membership.on.tolist() == pareto(np.array(cost), np.array(score)).tolist()
    table = comparison.costs_table(found, "cpu_seconds")
    shares = dict(zip(column(table, "method"), column(table, "on frontier"), strict=True))
    # The planner is the cheapest, and SAC's mean is above it only where its bad seed is not drawn.
    assert shares["mpc-icem"] == 1
    assert shares["sac"] == pytest.approx((2 / 3) ** 3, abs=0.03)
    assert shares["ppo"] == 0


def test_what_had_a_better_score_for_less_is_not_on_the_frontier(tmp_path):
    for seed in range(3):
        write_run(tmp_path, "cheetah-run", SAC, seed, [900.0, 200.0])
    table = comparison.costs_table(points(load([tmp_path])), "cpu_seconds")
    assert column(table, "on frontier") == [0.0]


def test_a_method_with_few_seeds_is_not_counted(runs):
    write_run(runs, "cheetah-run", methods(0, 1)[3], 0, [990.0])
    found = [p for p in points(load([runs])) if p.task == "cheetah-run" and p.final]
    front = comparison.frontier([(point,) for point in found], "cpu_seconds")
    assert front is not None
    assert np.isnan(front.fraction).tolist() == [len(p.seeds) < 3 for p in found]
    assert front.membership.on.any()


def test_after_how_many_episodes_learning_pays(runs):
    table = comparison.break_even_table(points(load([runs])), "cpu_seconds")
    assert table is not None
    rows = [row for row in table.rows if row[0] == "cheetah-run" and row[1] == "sac"]
    ((*_, episodes),) = rows
    training, acting = 500_000 * SAC.cpu, 1.1 * 1000 * SAC.act
    planning = 1.1 * 1000 * SMALL.act
    assert isinstance(episodes, Interval)
    assert episodes.value == pytest.approx(training / (planning - acting))


def test_tables_and_figures_are_written(compared, runs, tmp_path):
    out = tmp_path / "made"
    code, told, err = compared(runs, f"out={out}", "cost=cpu_seconds,act_ms")
    assert code == 0, err
    assert "Scores after all training" in told
    names = {"scores", "overall", "samples", "costs", "break_even"}
    figures = {"frontier_cpu_seconds", "frontier_act_ms"}
    figures |= {"curves", "profiles", "break_even"}
    wanted = {f"{name}.{kind}" for name in names for kind in ("csv", "md", "tex")}
    wanted |= {f"{name}.{kind}" for name in figures for kind in ("pdf", "svg", "png")}
    assert {path.name for path in out.iterdir()} == wanted
    for path in out.glob("*.svg"):
        drawn = ET.parse(path)
        words = " ".join(drawn.getroot().itertext())
        assert "mpc-icem" in words, path
    words = " ".join(ET.parse(out / "frontier_cpu_seconds.svg").getroot().itertext())
    assert "true simulator, known reward" in words
    assert "CPU seconds" in words
    rows = list(csv.DictReader(io.StringIO((out / "scores.csv").read_text())))
    assert {row["IQM n"] for row in rows} == {"3"}


@pytest.mark.parametrize(("everywhere", "there"), [(1, False), (2, True)])
def test_tasks_have_a_panel_together_where_most_methods_ran_on_all(tmp_path, everywhere, there):
    for method in methods(3, 0)[:3]:
        write_run(tmp_path, "cheetah-run", method, 0, [100.0, 200.0])
    for method in methods(3, 0)[:everywhere]:
        write_run(tmp_path, "walker-walk", method, 0, [100.0, 200.0])
    drawn = figures.frontiers(points(load([tmp_path])), [], "cpu_seconds")
    titles = [axes.get_title() for axes in drawn.axes]
    assert ("all 2 tasks, normalised" in titles) == there


def test_a_frontier_of_evaluations_of_the_same_runs(tmp_path):
    """Each run's score grows by the same at no cost: the first evaluation is never on it."""
    for seed, score in enumerate((100.0, 130.0, 160.0, 190.0)):
        write_run(tmp_path, "cheetah-run", methods(3, 0)[0], seed, [score, score + 20.0])
    (first, last) = sorted(points(load([tmp_path])), key=lambda point: point.env_steps)
    same = replace(first, costs=last.costs)
    found = comparison.frontier([(same,), (last,)], "cpu_seconds")
    assert found is not None
    np.testing.assert_array_equal(found.fraction, [0, 1])


def test_profiles_are_of_all_tasks_of_a_method(tmp_path):
    one, other = methods(3, 0)[:2]
    for seed in range(3):
        write_run(tmp_path, "cheetah-run", one, seed, [100.0, 100.0])
        write_run(tmp_path, "walker-walk", one, seed, [100.0, 900.0])
        write_run(tmp_path, "cheetah-run", other, seed, [100.0, 300.0])
        write_run(tmp_path, "cartpole-swingup", other, seed, [100.0, 300.0])
    (axes,) = figures.profiles(points(load([tmp_path]))).axes
    assert axes.get_title() == "each on its tasks"
    heights = [set(np.round(np.asarray(line.get_ydata()), 6)) for line in axes.get_lines()]
    assert {0.0, 0.5, 1.0} in heights


def test_marks_are_of_all_tasks(tmp_path):
    write_run(tmp_path, "cheetah-run", methods(3, 0)[0], 0, [1.0, 2.0])
    point = points(load([tmp_path]))[0]
    seen = [replace(point, privileges=known) for known in (("simulator",), ("simulator", "RAM"))]
    assert comparison.marks(*seen) == "SR"
    assert comparison.marks(seen[0]) == "S"


def test_the_same_files_each_time(compared, runs, tmp_path):
    made = []
    for name in ("a", "b"):
        words = ("tasks=walker-walk", "formats=csv,svg,pdf", "methods=sac,mpc", "cost=flops")
        assert compared(runs, f"out={tmp_path / name}", *words)[0] == 0
        made.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert made[0] == made[1]


def test_choices(compared, runs):
    _, out, _ = compared(runs, "tasks=walker-walk", "methods=s,mpc")
    assert "cheetah-run" not in out
    assert "ppo" not in out
    _, out, _ = compared(runs, "only=planner.budget=500")
    assert "sac" not in out
    assert "mpc-icem" in out


def test_methods_keep_the_names_that_they_are_chosen_by(compared, runs):
    for seed in range(3):
        write_run(runs, "cheetah-run", methods(2, 1)[3], seed, [600.0])
    chosen = ("methods=mpc-icem budget=1000", "baseline=mpc-icem budget=1000")
    code, out, err = compared(runs, "tasks=cheetah-run", *chosen)
    assert code == 0, err
    assert re.search(r"cheetah-run +mpc-icem budget=1000 +S +3 ", out)


def test_what_does_not_count_hinders_nothing(compared, runs):
    run = write_run(runs, "cheetah-run", SAC, 9, [1.0], status="failed", reason="lost")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["config"]["world_model"]["clairvoyant"] = True
    (run / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = compared(runs)
    assert code == 0, err
    assert f"left out {run}: failed, lost" in err
    assert "left out" not in compared(runs, "tasks=walker-walk")[2]
    write_run(runs, "cheetah-run", SAC, 8, [], status="running")
    assert "left out" not in compared(runs, "tasks=walker-walk")[2]


def test_a_run_without_normalised_scores_beside_a_curve(compared, runs, tmp_path):
    """As of a task of one's own, before it had scores that normalise its own."""
    for path in runs.glob("cheetah-run/*/*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        manifest["config"]["task"]["_target_"] = "mine.make"
        path.write_text(json.dumps(manifest))
    run = next(runs.glob("cheetah-run/mpc-icem/*/seed0"))
    row = json.loads((run / "evaluations.jsonl").read_text())
    row["reference"] = {}
    (run / "evaluations.jsonl").write_text(json.dumps(row) + "\n")
    code, _, err = compared(runs, "tasks=cheetah-run", f"out={tmp_path / 'made'}", "formats=svg")
    assert code == 0, err
    assert (tmp_path / "made" / "curves.svg").exists()


def test_steps_that_no_budget_held_are_beyond_it(compared, runs):
    out = compared(runs, "tasks=cheetah-run", "threshold=0.69")[1]
    assert re.search(r"sac .* 1 of 3 +beyond \[", out)
    assert re.search(r"ppo .* 0 of 3 +beyond \[beyond, beyond\]", out)


def test_each_kind_of_interval_is_told_of_all_tasks_together(tmp_path):
    for task in ("cheetah-run", "walker-walk"):
        for seed in range(3):
            write_run(tmp_path, task, SAC, seed, [100.0 + seed, 300.0 + seed])
        write_run(tmp_path, task, PPO, 0, [50.0, 60.0])
    table = comparison.overall_table(points(load([tmp_path])), None)
    assert table is not None
    kinds = {cell.method for cell in column(table, "IQM")}
    assert len(kinds) == 2
    assert all(kind in table.notes[0] for kind in kinds)


def test_unfinished_runs_are_left_out_and_named(compared, runs):
    run = write_run(runs, "cheetah-run", SAC, 7, [900.0], status="failed", reason="loss is NaN")
    _, out, err = compared(runs, "methods=sac", "tasks=cheetah-run")
    assert f"left out {run}: failed, loss is NaN" in err
    counted = r"cheetah-run +sac +{} "
    assert re.search(counted.format(3), out)
    _, out, err = compared(runs, "methods=sac", "tasks=cheetah-run", "unfinished=true")
    assert err == ""
    assert re.search(counted.format(4), out)


def test_published_scores_in_the_figures(compared, runs, tmp_path):
    out = tmp_path / "made"
    code, _, err = compared(
        runs, f"out={out}", "published=TD-MPC2", "formats=svg", "tasks=walker-walk"
    )
    assert code == 0, err
    assert "TD-MPC2" in " ".join(ET.parse(out / "curves.svg").getroot().itertext())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is no folder"),
        ([], "give a folder of run directories"),
        (["{runs}", "tasks=walker"], "no run of task 'walker': there are cheetah-run, walker-walk"),
        (["{runs}", "methods=dqn"], "no run of method 'dqn': there are mpc-icem, ppo, sac"),
        (["{runs}", "baseline=dqn"], "no run of method 'dqn'"),
        (["{runs}", "only=what"], "only is 'what': write a setting"),
        (["{runs}", "only=planner.budget=3"], "no run is left"),
        (["{runs}", "cost=money"], "cost is 'money': give one of env_steps"),
        (["{runs}", "published=Nobody"], "nobody's scores begin with 'Nobody'"),
        (["{runs}", "thresold=1"], "unknown key 'thresold'"),
        (["{runs}", "--out"], "unknown flag '--out'"),
    ],
)
def test_one_line_for_what_is_wrong(compared, runs, tmp_path, words, said):
    words = [word.format(runs=runs) for word in words]
    code, _, err = compared(*words, f"out={tmp_path / 'made'}", "formats=svg")
    assert code == 2
    assert said in err.splitlines()[-1]


def test_runs_that_were_scored_otherwise_are_refused(compared, runs):
    run = write_run(runs, "cheetah-run", SAC, 9, [1.0])
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["config"]["world_model"]["clairvoyant"] = True
    (run / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = compared(runs)
    assert code == 2
    assert "mix=clairvoyant" in err
    assert compared(runs, "mix=clairvoyant")[0] == 0


def test_a_full_disk_is_one_line(runs, tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = subprocess.run(
        [sys.executable, "-m", "suites.compare", runs, f"out={tmp_path / 'made'}", "formats=md"],
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: can't write")
    assert "File too large" in done.stderr
    assert "Scores after all training" in done.stdout  # what was computed is there


def test_tables_need_neither_torch_nor_mujoco(runs):
    code = (
        "import sys; from suites import compare; compare.compare(sys.argv[1:]);"
        "assert not {'torch', 'mujoco', 'numba', 'matplotlib'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(runs)], check=True, capture_output=True)


def test_many_runs(tmp_path):
    write_runs(tmp_path, methods(3, 2), TASKS[:3], seeds=4, evaluations=5)
    found = points(load([tmp_path]))
    assert comparison.scores_table(found, 0.1).rows
    assert comparison.costs_table(found, "joules").rows  # unknown of who learns a model
