"""`task.restore=replay`: going to a state by all that was executed since the start of the game."""

import json

import numpy as np
import pytest
from commandline import CommandLine
from games import RIGHT, make, plans_for, play

from suites.audit import audit
from suites.tasks.atari.emulator import RAM
from world_models.simulator import Simulator

STEP = 4  # frames of a decision


def both(**options):
    """Breakout under `state` and `replay`, from the same seed; rows of 400 frames."""
    tasks = [make(restore=restore, max_frames=400, **options) for restore in ("state", "replay")]
    for task in tasks:
        task.reset(seed=3)
    return tasks


def history(task) -> int:
    """Frames that a task has executed since its console's start."""
    return len(task.simulation.emulators[0]._executed)


def test_rollouts_are_those_of_states():
    known, replayed = both(num_envs=2)
    actions = plans_for(known, 20, 2)
    for a, b in zip(play(known, actions), play(replayed, actions), strict=True):
        assert np.array_equal(a[0], b[0])
    plans, root_of = plans_for(known, 5, 12, seed=1), np.array([0, 1, 1, 0, 1])
    expected, found = (
        task.planning_simulation(1).rollout(task.simulation.read(), root_of, plans)
        for task in (known, replayed)
    )
    size = known.simulation.state_size
    assert replayed.simulation.state_size >= size + 400 + 30  # and those without action
    for a, b in zip(expected, found, strict=True):
        assert np.array_equal(a, b[..., :size] if b.dtype == np.uint8 else b)


def test_what_is_executed_again_is_counted():
    _, task = both(noop_max=0)
    play(task, plans_for(task, 10, 1))
    model, plans = Simulator(task), plans_for(task, 1, 3, 6)
    root = model.begin(np.empty(0), task)
    assert model.sim_frames == 0
    _, _, last = model.rollout(root, plans)
    assert model.sim_steps == 18
    assert model.sim_frames == 18 * STEP + 3 * 10 * STEP  # each plan came from the start
    before = model.sim_frames
    model.rollout(last[:, 2], plans[:, :1])  # where the emulator is
    assert model.sim_frames - before == 6 * STEP
    before = model.sim_frames
    model.features(root)
    model.simulation.redraw(root, 5)
    assert model.sim_frames == before
    states, _ = both()
    free = Simulator(states)
    free.rollout(states.simulation.read(), plans)
    assert free.sim_frames == 18 * STEP


def test_only_what_is_missing_is_executed():
    _, task = both(noop_max=0, sticky=0.0)
    simulation, one = task.planning_simulation(1), np.zeros(1, int)
    rows = [task.simulation.read()]
    for _ in range(3):
        play(task, np.full((5, 1), RIGHT))
        rows.append(task.simulation.read())
    counts = []
    for at in (1, 3, 3, 2, 0, 2):
        before = simulation.replayed
        last = simulation.rollout(rows[at], one, np.empty((1, 0), int))[2]
        assert np.array_equal(last, rows[at])
        counts.append((simulation.replayed - before) // STEP)
    assert counts == [5, 10, 0, 10, 0, 10]


def test_snapshots_through_a_reset():
    _, task = both()
    actions = plans_for(task, 130, 1)
    play(task, actions[:40])
    point = task.snapshot()
    first = play(task, actions[40:])
    assert any(step[3][0] for step in first)
    assert history(task) < 400
    assert np.array_equal(task.restore(point), point.states[:, RAM])
    for a, b in zip(first, play(task, actions[40:]), strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a[:4], b[:4], strict=True))


def test_plans_beyond_the_end_of_the_episode():
    """Rows have no room for what they executed, and go by the state."""
    known, replayed = both()
    for task in (known, replayed):
        play(task, np.full((95, 1), RIGHT))
    plans, one = plans_for(known, 2, 30, seed=5), np.zeros(1, int)
    rewards, rows = [], []
    for task in (known, replayed):
        simulation = task.planning_simulation(1)
        first = simulation.rollout(task.simulation.read(), one, plans[:1])
        simulation.rollout(task.simulation.read(), one, plans[:1, ::-1])
        before = simulation.replayed
        second = simulation.rollout(first[2], one, plans[1:])
        assert simulation.replayed == before
        rewards.append([*first[:2], *second[:2]])
        rows.append([part[2][0, : known.simulation.state_size] for part in (first, second)])
    assert np.array_equal(*rewards)
    assert np.array_equal(*rows)


def test_workers_execute_again_and_count_it():
    _, task = both()
    play(task, plans_for(task, 10, 1))
    given = task.simulation.read(), np.zeros(12, int), plans_for(task, 12, 8)
    alone, workers = task.planning_simulation(1), task.planning_simulation(2)
    for a, b in zip(alone.rollout(*given), workers.rollout(*given), strict=True):
        assert np.array_equal(a, b)
    assert alone.replayed == workers.replayed == 12 * history(task)
    model = Simulator(task, threads=2)
    model.rollout(given[0], given[2][None])
    assert model.sim_frames == 12 * 8 * STEP + alone.replayed


def test_pictures_are_drawn_without_executing_again():
    known, replayed = both(noop_max=0)
    pictures = []
    for task in (known, replayed):
        play(task, np.array([[1]] * 3 + [[RIGHT]] * 10))
        state = task.snapshot().states[0]
        play(task, np.full((5, 1), 3))
        pictures.append(task.picture(state))
        assert task.simulation.replayed == 0
    assert np.array_equal(*pictures)


@pytest.mark.parametrize("game", ["tic_tac_toe_3d", "pitfall2"])
def test_games_whose_states_are_not_complete(game):
    """Every byte, also those in which they differ under `state`."""
    task = make(game, restore="replay", screen=True, max_frames=1800)
    assert audit(task, 6, seed=0) == {"plan": {}, "snapshot": {}}


def test_a_run_is_the_same_and_says_what_it_cost(monkeypatch, capsys, tmp_path):
    words = "task=breakout", "task.max_frames=60", "planner=mcts", "planner.search=iw"
    summaries = []
    for restore in ("state", "replay"):
        command = CommandLine(monkeypatch, capsys, tmp_path / restore)
        code, _, _ = command(*words, f"task.restore={restore}", "planner.budget=200", "seed=1")
        assert code == 0
        (path,) = (tmp_path / restore).glob("**/summary.json")
        summaries.append(json.loads(path.read_text()))
    known, replayed = summaries
    assert known["returns"] == replayed["returns"]
    steps = known["ledger"]["evaluation_sim_steps"]
    assert steps == replayed["ledger"]["evaluation_sim_steps"] > 0  # the budget is the same
    assert known["ledger"]["evaluation_sim_frames"] == steps * STEP
    assert replayed["ledger"]["evaluation_sim_frames"] > steps * STEP
