"""The task of `docs/own_task.md` that needs no MuJoCo, as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from suites.tasks.arrays import ArrayTask, Rules
from suites.tasks.spec import TaskSpec

PAGE = Path(__file__).resolve().parents[1] / "docs" / "own_task.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    told = PAGE.read_text().split("## Without MuJoCo")[1]
    made = tmp_path_factory.mktemp("parking")
    (made / "conf" / "task").mkdir(parents=True)
    (made / "parking.py").write_text(re.findall(r"```python\n(.*?)```", told, re.DOTALL)[0])
    (made / "conf" / "task" / "parking.yaml").write_text("_target_: parking.make\n")
    return made


def run(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_keeps_to_what_a_task_must(folder):
    said = run(folder, "suites.check", "--config-dir", "conf", "task=parking")
    assert "all ok" in said


def test_planners_park(folder):
    commands = re.findall(r"python -m (suites.run .*task=parking.*)", PAGE.read_text())
    assert len(commands) == 1
    said = run(folder, *commands[0].split())
    (score,) = re.findall(r"^score +([\d.]+)", said, re.MULTILINE)
    assert float(score) > 90  # of 100; who does nothing has 22 in the mean


def spec(name: str) -> TaskSpec:
    from gymnasium.spaces import Box, Discrete

    box = Box(-np.inf, np.inf, (1,), np.float64)
    return TaskSpec(name, box, Discrete(2), 1.0, 1, 5, {}, True)


def test_what_was_observed_stays_what_it_was():
    """Though the task's observations are its states themselves, and an episode begins anew."""

    def advance(states, actions):
        following = states + 1
        return following, following[:, 0], following[:, 0] == 3

    rules = Rules(lambda random: (float(random.integers(2)),), advance, lambda states: states)
    task = ArrayTask(spec("count"), rules, 4)
    before, _ = task.reset(seed=0)
    begun = before.copy()
    assert set(begun[:, 0]) == {0.0, 1.0}
    for step in range(1, 4):
        seen, rewards, terminated, truncated, infos = task.step(np.zeros(4, int))
        assert not truncated.any()
        if step == 2:
            np.testing.assert_array_equal(terminated, begun[:, 0] == 1)
            np.testing.assert_array_equal(infos["final_obs"], begun + 2)
            assert (seen[terminated] < 2).all()
            np.testing.assert_array_equal(rewards, begun[:, 0] + 2)
    np.testing.assert_array_equal(before, begun)


def test_writing_into_an_observation_moves_nothing():
    def advance(states, actions):
        return states + 1, states[:, 0], np.zeros(len(states), bool)

    rules = Rules(lambda random: (random.random(),), advance, lambda states: states)
    task = ArrayTask(spec("count"), rules, 2)
    seen, _ = task.reset(seed=0)
    begun = seen.copy()
    seen[:] = 99
    for step in range(1, 4):
        seen, *_ = task.step(np.zeros(2, int))
        np.testing.assert_allclose(seen, begun + step)
        seen[:] = 99
    snapshot = task.snapshot()
    task.restore(snapshot)[:] = 99
    np.testing.assert_allclose(task.restore(snapshot), begun + 3)


def test_whole_numbers_that_advance_gives():
    def advance(states, actions):
        return np.zeros(states.shape, int), np.zeros(len(states)), np.ones(len(states), bool)

    rules = Rules(lambda random: (0.5 + random.random() / 4,), advance, lambda states: states)
    task = ArrayTask(spec("half"), rules, 3)
    task.reset(seed=0)
    for _ in range(2):  # each an episode, and the next one begins with what `begin` says
        seen, _, terminated, _, infos = task.step(np.zeros(3, int))
        assert terminated.all()
        assert (infos["final_obs"] == 0).all()
        assert (seen >= 0.5).all()


def test_nothing_follows_an_end():
    def advance(states, actions):
        following = states + actions[:, None]
        return following, np.ones(len(states)), following[:, 0] >= 2

    task = ArrayTask(spec("sum"), Rules(lambda random: (0.0,), advance, lambda states: states), 1)
    plans = np.array([[1, 1, 1, 1], [0, 0, 0, 1]])
    rewards, continuation, last = task.planning_simulation(1).rollout(
        np.array([[0.0], [0.5]]), np.array([0, 1]), plans
    )
    np.testing.assert_array_equal(rewards, [[1, 1, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(continuation, [[1, 0, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(last, [[2], [1.5]])


def test_an_advance_that_works_in_place():
    def in_place(states, actions):
        states += 1
        return states, states[:, 0], states[:, 0] >= 2

    rules = Rules(lambda random: (0.0,), in_place, lambda states: states)
    task = ArrayTask(spec("count"), rules, 1)
    before, _ = task.reset(seed=0)
    task.step(np.zeros(1, int))
    assert before == 0
    roots = np.zeros((1, 1))
    _, _, last = task.planning_simulation(1).rollout(roots, np.array([0]), np.zeros((1, 4)))
    assert last == 2  # where it ended
    assert roots == 0


def test_nothing_is_paid_after_an_end_whatever_the_rules_say():
    def advance(states, actions):
        following = states - 1
        with np.errstate(divide="ignore", invalid="ignore"):
            return following, np.log(following[:, 0]), (following[:, 0] <= 1).astype(float)

    task = ArrayTask(spec("log"), Rules(lambda random: (3.0,), advance, lambda states: states), 1)
    plans = np.zeros((1, 4))
    roots = np.array([[3.0]])
    rewards, continuation, _ = task.planning_simulation(1).rollout(roots, np.array([0]), plans)
    np.testing.assert_allclose(rewards, [[np.log(2), 0, 0, 0]])
    np.testing.assert_array_equal(continuation, [[1, 0, 0, 0]])
    task.reset(seed=0)
    assert [bool(task.step(np.zeros(1, int))[2][0]) for _ in range(2)] == [False, True]
