"""`python -m suites.advise`."""

from functools import partial

import numpy as np
import pytest

from benchmarks.synthetic import methods, write_run
from suites import advise
from suites.points import points
from suites.results import load
from suites.statistics import difference, estimate
from suites.tables import number

pytest.importorskip("duckdb", reason="needs the extra `compare`")
SAC, PPO, SMALL, _, LARGE, _ = methods(2, 1)


@pytest.fixture
def runs(tmp_path):
    """On cheetah: SAC learns to 600, PPO to 300, planners have 500 and 800."""
    for seed in range(3):
        for method, scores in (
            (SAC, [100.0, 600.0]),
            (PPO, [200.0, 300.0]),
            (SMALL, [500.0]),
            (LARGE, [800.0]),
        ):
            write_run(tmp_path, "cheetah-run", method, seed, [x + seed for x in scores])
    return tmp_path


@pytest.fixture
def ask(call):
    return partial(call, advise.main)


def advised(out):
    return next(line for line in out.splitlines() if line.startswith("Use ")).split(":")[0]


@pytest.mark.parametrize(
    ("words", "best"),
    [
        ([], "Use mpc-icem budget=2000 (simulator)"),
        (["act_ms=5"], "Use sac"),  # the large planner takes 8 ms, the small one 2
        (["simulator=no"], "Use sac"),
        (["reward=no"], "Use sac"),
        (["simulator=no", "samples=250000"], "Use ppo"),  # SAC has 100 by then
        (["act_ms=3", "samples=1e5"], "Use mpc-icem budget=500 (simulator)"),
        (["simulator=no", "cpu_hours=0.5"], "Use sac"),
        (["simulator=no", "cpu_hours=0.65", "samples=250000"], "Use ppo"),
    ],
)
def test_the_best_within_the_budget(ask, runs, words, best):
    code, out, _ = ask(runs, "task=cheetah", *words)
    assert code == 0
    assert advised(out) == best


def test_a_method_counts_with_what_it_has_at_the_budget_not_with_its_best(ask, tmp_path):
    for seed in range(3):
        write_run(tmp_path, "cheetah-run", SAC, seed, [900.0, 200.0])
        write_run(tmp_path, "cheetah-run", PPO, seed, [100.0, 300.0])
    assert advised(ask(tmp_path, "task=cheetah-run")[1]) == "Use ppo"
    assert advised(ask(tmp_path, "task=cheetah-run", "samples=250000")[1]) == "Use sac"


def test_many_episodes_favour_who_acts_cheaply(ask, runs):
    _, out, _ = ask(runs, "task=cheetah", "cpu_hours=2", "episodes=1")
    assert advised(out) == "Use mpc-icem budget=2000 (simulator)"
    _, out, _ = ask(runs, "task=cheetah", "cpu_hours=2", "episodes=5000")
    assert advised(out) == "Use sac"
    assert "mpc-icem: it took" in out


def test_the_runner_up_and_how_surely(ask, runs):
    _, out, _ = ask(runs, "task=cheetah")
    assert "Runner-up sac: IQM 601 [600, 602] of 3 seeds" in out
    apart = difference([np.array([800.0, 801.0, 802.0])], [np.array([600.0, 601.0, 602.0])])
    assert f"is better by {apart.value:.0f} [{apart.low:.0f}, {apart.high:.0f}]" in out
    assert "may be chance" not in out


def test_what_can_not_be_told_apart_is_said(ask, tmp_path):
    for seed, (a, b) in enumerate(((500.0, 400.0), (300.0, 450.0), (450.0, 350.0))):
        write_run(tmp_path, "cheetah-run", SAC, seed, [a])
        write_run(tmp_path, "cheetah-run", PPO, seed, [b])
    _, out, _ = ask(tmp_path, "task=cheetah")
    assert "That may be chance" in out


def test_what_is_not_known_is_said(ask, runs):
    write_run(runs, "cheetah-run", methods(3, 0)[2], 0, [990.0])
    _, out, _ = ask(runs, "task=cheetah", "samples=250000")
    unknown = out[out.index("Not known") :]
    assert "mbpo: its first evaluation was after 500,000 control steps" in unknown
    _, out, _ = ask(runs, "task=cheetah")
    unknown = out[out.index("Not known") :]
    assert "mbpo: 1 seed only, 990" in unknown
    assert "published" in unknown  # better than 800, and by whom


def test_nothing_is_known_of_a_task_without_runs(ask, runs, tmp_path, monkeypatch):
    _, out, _ = ask(runs, "task=humanoid")
    assert "humanoid-walk: nothing is known of it" in out
    assert "+sweep=comparison task=humanoid-walk" in out
    monkeypatch.chdir(tmp_path / "..")
    assert "nothing is known" in ask("task=breakout")[1]


def test_a_game_is_found_out_about_by_the_sweep_of_games(ask, runs):
    assert "+sweep=comparison_atari task=pong" in ask(runs, "task=pong")[1]


def test_runs_with_some_settings_alone(ask, runs):
    _, out, _ = ask(runs, "task=cheetah", "only=planner.budget=500")
    assert advised(out) == "Use mpc-icem (simulator)"
    assert "sac" not in out
    code, _, err = ask(runs, "task=cheetah", "only=planner.budget=7")
    assert (code, "no run is left" in err) == (2, True)


def test_a_planner_counts_with_its_largest_budget_not_with_the_dearest(tmp_path):
    for seed in range(3):
        write_run(tmp_path, "cheetah-run", SMALL, seed, [500.0], slow=9.0)
        write_run(tmp_path, "cheetah-run", LARGE, seed, [800.0])
    options = {name: key.default for name, key in advise.KEYS.items()}
    found = points(load([tmp_path]))
    (best,) = advise.advise(found, "cheetah-run", options).ranked
    assert best.budget == LARGE.budget
    said = advise.advise(found, "cheetah-run", options | {"cpu_hours": 1e-4}).beyond["mpc-icem"]
    least = min(float(np.mean(p.costs["cpu_seconds"])) for p in found) / 3600
    assert said == f"it took {number(least)} CPU hours"  # of the one that comes nearest


def test_too_few_seeds_are_no_advice(ask, tmp_path):
    write_run(tmp_path, "cheetah-run", SAC, 0, [600.0])
    _, out, _ = ask(tmp_path, "task=cheetah")
    assert "Nothing can be advised" in out
    assert "sac: 1 seed only, 600" in out


def test_a_task_of_ones_own(ask, tmp_path):
    for seed in range(3):
        write_run(tmp_path, "my-robot", SAC, seed, [1.0])
    assert advised(ask(tmp_path, "task=my-robot")[1]) == "Use sac"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no task is given"),
        (["task=chetah"], "unknown task 'chetah'; nearest: cheetah"),
        (["task=cheetah", "samples=many"], "samples is 'many': give a whole number"),
        (["task=cheetah", "cpu_hours=0"], "cpu_hours is '0': give a number above 0"),
        (["task=cheetah", "simulator=maybe"], "simulator is 'maybe': give one of yes, no"),
    ],
)
def test_one_line_for_what_is_wrong(ask, runs, words, said):
    code, _, err = ask(runs, *words)
    assert code == 2
    assert said in err.splitlines()[-1]


def test_the_score_that_is_told_is_the_statistic(ask, runs):
    assert estimate([np.array([800.0, 801.0, 802.0])]).value == 801.0
    assert "IQM 801 [800, 802] of 3 seeds" in ask(runs, "task=cheetah")[1]
