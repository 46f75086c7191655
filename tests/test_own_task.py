"""The task of docs/own_task.md: the way that a user's own task goes, from yaml to rollouts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from suites.errors import UserError
from suites.tasks import balancer
from suites.tasks.control import own_task
from suites.tasks.control.simulation import Simulation
from suites.tasks.control.twin import site

ROOT = Path(__file__).resolve().parents[1]


def make(num_envs: int = 1, threads: int = 1) -> tuple[balancer.ControlTask, Simulation]:
    task = balancer.make(num_envs=num_envs, threads=threads)
    assert isinstance(task.simulation, Simulation)
    return task, task.simulation


def plan_of(task, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, task.num_envs, 2))


def run(task, plan: np.ndarray) -> list[tuple]:
    return [task.step(action)[:4] for action in plan]


def equal(first: list[tuple], second: list[tuple]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(np.array_equal(a, b) for one, two in pairs for a, b in zip(one, two, strict=True))


def test_an_episode_begins_where_the_target_is_written():
    task, simulation = make(num_envs=2)
    observation, _ = task.reset(seed=0)
    for i in range(2):
        model, data = simulation.models[i], simulation.datas[i]
        target = model.site_pos[site(model, "target")]
        assert 0.5 <= np.hypot(*target[:2]) <= balancer.FARTHEST
        chassis = data.body("chassis")
        offset = chassis.xmat.reshape(3, 3).T @ np.r_[target[:2] - chassis.xpos[:2], 0.0]
        np.testing.assert_allclose(observation[i, :2], offset[:2], atol=1e-12)
    assert not np.array_equal(observation[0], observation[1])
    assert np.array_equal(observation, task.reset(seed=0)[0])
    assert not np.array_equal(observation, task.reset()[0])


def test_reward_and_termination():
    task, simulation = make()
    task.reset(seed=0)
    model = simulation.models[0]
    begin = task.snapshot()
    # Stood on the target, upright: the full reward.
    there = begin.states.copy()
    position = 1  # after the time
    there[0, position : position + 2] = model.site_pos[site(model, "target"), :2]
    there[0, position + 3 : position + 7] = 1.0, 0.0, 0.0, 0.0
    simulation.write(np.array([0]), there)
    assert task.step(np.zeros((1, 2)))[1][0] == 1.0
    # Left alone far away: less, until it has fallen, which ends the episode.
    task.restore(begin)
    steps = [task.step(np.zeros((1, 2)))]
    while not steps[-1][2][0]:
        assert len(steps) < task.facts.horizon
        steps.append(task.step(np.zeros((1, 2))))
    rewards = [step[1][0] for step in steps]
    heights = [step[0][0, 4] for step in steps[:-1]]
    assert 0 < rewards[0] < 0.5
    assert rewards[-1] == 0.0
    assert min(heights) >= balancer.FALLEN
    assert steps[-1][4]["final_obs"][0, 4] < balancer.FALLEN


def test_snapshot_is_exact():
    task, _ = make(num_envs=3, threads=2)
    task.reset(seed=1)
    run(task, plan_of(task, 20))
    before = task.snapshot()
    plan = plan_of(task, 200, seed=2)  # long enough to fall and begin anew
    first = run(task, plan)
    assert any(step[2].any() for step in first)
    task.restore(before)
    assert equal(first, run(task, plan))


def test_rollouts_equal_stepping():
    task, simulation = make(num_envs=2)
    task.reset(seed=2)
    plan = plan_of(task, 80)
    roots = simulation.read()
    planning = task.planning_simulation(threads=2)
    rewards, continuation, _ = planning.rollout(
        roots, np.arange(2), np.ascontiguousarray(plan.swapaxes(0, 1))
    )
    ended = np.zeros(2, bool)
    for t, (_, reward, terminated, _) in enumerate(run(task, plan)):
        assert np.array_equal(rewards[~ended, t], reward[~ended])
        ended |= terminated
        assert np.array_equal(continuation[:, t], ~ended)
    assert ended.any()


def test_a_control_step_is_whole_physics_steps():
    model = balancer.mujoco.MjModel.from_xml_string(balancer.MJCF)
    with pytest.raises(UserError, match="not a multiple of the timestep"):
        own_task("mine", model, balancer.initialise, balancer.twin(model), 13, control_dt=0.012)


@pytest.mark.parametrize("size", [balancer.OBSERVATION_SIZE - 2, balancer.OBSERVATION_SIZE + 3])
def test_an_observation_has_the_size_that_is_said(size):
    model = balancer.mujoco.MjModel.from_xml_string(balancer.MJCF)
    said = f"mine: observation_size is {size}, but the twin's observation writes 13"
    with pytest.raises(UserError, match=said):
        own_task("mine", model, balancer.initialise, balancer.twin(model), size, control_dt=0.02)


def test_a_place_that_mujoco_would_not_read():
    """A site compiled at the origin stays there, whatever is written into `site_pos`."""
    xml = balancer.MJCF.replace('<site name="target" pos="1 0 0.002"', '<site name="target"')
    model = balancer.mujoco.MjModel.from_xml_string(xml)
    with pytest.raises(UserError, match="mine: initialise moves site 'target', but MuJoCo ignores"):
        own_task("mine", model, balancer.initialise, balancer.twin(model), 13, control_dt=0.02)


def command(folder: Path, *words: str) -> dict:
    """Run `python -m suites.run` in `folder`; the run's summary."""
    done = subprocess.run(
        [sys.executable, "-m", "suites.run", "threads=1", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(next(folder.glob("runs/**/summary.json")).read_text())


def test_the_command_line_knows_it(tmp_path):
    summary = command(tmp_path, "task=balancer", "planner.budget=200")
    assert summary["task"] == "balancer"
    assert summary["agent"].startswith("mpc")
    assert summary["returns"] == [summary["score"]]
    assert 0 < summary["score"] <= 500


def test_it_may_lie_in_a_folder_of_its_own(tmp_path):
    (tmp_path / "unicycle.py").write_text(Path(balancer.__file__).read_text())
    tasks = tmp_path / "conf" / "task"
    tasks.mkdir(parents=True)
    (tasks / "unicycle.yaml").write_text("_target_: unicycle.make\nname: unicycle\n")
    summary = command(tmp_path, "--config-dir", "conf", "task=unicycle", "planner=none")
    assert (summary["task"], summary["agent"]) == ("unicycle", "random")
