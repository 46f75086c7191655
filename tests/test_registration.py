"""The tasks through Gymnasium's own door."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from suites.tasks.atari_names import GAMES
from suites.tasks.control import ControlTask, suite_task
from suites.tasks.control_names import TASKS
from suites.tasks.registration import identifier


def make(name: str, **options) -> ControlTask:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Gymnasium warns where an environment breaks its rules
        env = gymnasium.make_vec(identifier(name), **options)
    assert isinstance(env, ControlTask)
    return env


def test_every_task_is_registered():
    registered = {key for key in gymnasium.registry if key.startswith("plan-or-learn/")}
    assert registered == {f"plan-or-learn/{name}-v0" for name in (*TASKS, *GAMES)}


def test_make_vec_is_the_same_task():
    env, task = make("walker-run", num_envs=3, threads=2), suite_task("walker-run", 3)
    assert env.simulation.threads == 2
    first, _ = env.reset(seed=5)
    assert np.array_equal(first, task.reset(seed=5)[0])
    assert first.shape == env.observation_space.shape == (3, 24)
    assert env.action_space.shape == (3, 6)
    assert env.observation_space.contains(first)
    env.action_space.seed(0)
    for _ in range(5):
        action = env.action_space.sample()
        for ours, theirs in zip(env.step(action)[:4], task.step(action)[:4], strict=True):
            assert np.array_equal(ours, theirs)


def test_gymnasium_finds_what_it_looks_for():
    env = make("cartpole-swingup", num_envs=2)
    assert env.spec is not None
    assert env.spec.id == "plan-or-learn/cartpole-swingup-v0"
    assert env.spec.kwargs["num_envs"] == 2
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert env.render_mode is None
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(env)
    wrapped.reset(seed=0)
    wrapped.step(env.action_space.sample())
    wrapped.close()
    assert env.closed


def test_reset_comes_with_the_last_step():
    """SAME_STEP: the step that ends an episode returns the first observation of the next."""
    env, alone = make("pendulum-swingup", num_envs=2), suite_task("pendulum-swingup", 2)
    env.reset(seed=1)
    alone.reset(seed=1)
    action = np.full((2, 1), 0.3)
    steps = [env.step(action) for _ in range(1000)]
    assert not any(terminated.any() for _, _, terminated, _, _ in steps)  # a time limit is none
    assert not any(truncated.any() or "final_obs" in infos for *_, truncated, infos in steps[:-1])
    observation, _, _, truncated, infos = steps[-1]
    assert truncated.all()
    assert infos["_final_obs"].all()
    assert infos["final_obs"].shape == (2, 3)
    # The last observation of the old episode is where the pendulum went, not where it now begins.
    np.testing.assert_allclose(infos["final_obs"], steps[-2][0], atol=0.3)
    assert not np.array_equal(infos["final_obs"], observation)
    # The next episode is the second of the same seed.
    assert np.array_equal(alone.reset()[0], observation)
    assert np.array_equal(env.step(action)[0], alone.step(action)[0])


def test_one_expression_without_an_import():
    code = (
        "import gymnasium; e = gymnasium.make_vec("
        "'suites.tasks.registration:plan-or-learn/pendulum-swingup-v0', num_envs=4);"
        "print(e.reset(seed=0)[0].shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(4, 3)"


def test_unknown_task_names_the_nearest():
    with pytest.raises(gymnasium.error.NameNotFound, match="cheetah-run"):
        gymnasium.make_vec("plan-or-learn/cheetah-runs-v0", num_envs=1)
