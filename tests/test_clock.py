"""Budgets in seconds, on a clock that the test ticks."""

import itertools
import json
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from chances import make_spec, random_tables

from learners.none import NoLearner
from planners import clock, tree
from planners.noise import Noise
from planners.searches import OPTIONS, make_planner

NOTHING = NoLearner(SimpleNamespace(action_space=gymnasium.spaces.Discrete(3)))
BUDGET = 600
TIMED = [search for search, options in OPTIONS.items() if "seconds" in options]


def steps_of(search, monkeypatch, seconds):
    """Simulated steps of each of four decisions; every look at the clock takes a second."""
    ticks = itertools.count()
    monkeypatch.setattr(clock.time, "perf_counter", lambda: float(next(ticks)))
    world, options = random_tables(0), {"depth": 3} if search in ("uct", "puct") else {}
    planner: Any = make_planner(make_spec(), search, BUDGET, seconds=seconds, **options)
    state, carry, steps = np.zeros((1, 1)), planner.init(1), []
    for decision in range(4):
        before = world.sim_steps
        plan, carry = planner.plan(world, NOTHING, state, carry, Noise(0, [0], decision))
        steps.append(world.sim_steps - before)
        after = world.after[state[:, 0].astype(int), plan.action]
        state = np.where(world.ends[after], state[:, 0], after)[:, None].astype(float)
        assert 0 <= plan.action[0] < 3
    return steps


@pytest.mark.parametrize("search", TIMED)
def test_a_decision_ends_when_its_seconds_are_over(search, monkeypatch):
    short, longer, free = (steps_of(search, monkeypatch, s) for s in (2, 6, None))
    assert all(0 < a < b < c <= BUDGET for a, b, c in zip(short, longer, free, strict=True))


def test_gumbel_shares_out_a_budget_that_it_knows():
    assert set(OPTIONS) - set(TIMED) == {"gumbel"}
    with pytest.raises(ValueError, match=r"planner\.seconds: search gumbel has no such option; it"):
        make_planner(make_spec(), "gumbel", BUDGET, seconds=1)


def test_a_budget_beyond_reach_costs_nothing_but_memory(monkeypatch):
    """With a clock, a large budget does not slow the copying of the subtree that is kept."""
    copied = []
    move = tree._move

    def spy(*arrays):
        copied.append(arrays[-1].shape)
        move(*arrays)

    monkeypatch.setattr(tree, "_move", spy)
    ticks = itertools.count()
    monkeypatch.setattr(clock.time, "perf_counter", lambda: float(next(ticks)))
    planner: Any = make_planner(make_spec(), "uct", 10**6, seconds=3, depth=0)
    world, state, carry = random_tables(0), np.zeros((1, 1)), planner.init(1)
    for decision in range(2):
        _, carry = planner.plan(world, NOTHING, state, carry, Noise(0, [0], decision))
    ((trees, nodes),) = copied
    assert trees == 1
    assert nodes < 50


@pytest.mark.parametrize("search", TIMED)
@pytest.mark.parametrize("seconds", [0, -1.0, "soon", True])
def test_what_is_no_time_is_refused(search, seconds):
    with pytest.raises(ValueError, match=r"planner\.seconds is .*: give a number above 0, or null"):
        make_planner(make_spec(), search, BUDGET, seconds=seconds)


def test_such_a_run_is_marked(command, tmp_path):
    for seconds in ("null", "0.01"):
        words = ("planner=mcts", "planner.budget=60", f"planner.seconds={seconds}")
        assert command("task=toy-chain", *words)[0] == 0
    rows = [json.loads(p.read_text()) for p in tmp_path.glob("**/evaluations.jsonl")]
    assert sorted(row["reproducible"] for row in rows) == [False, True]
