"""Atari games for learners, through Gymnasium."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from suites.errors import UserError
from suites.tasks.atari.pixels import PixelTask
from suites.tasks.registration import identifier


def test_pixels():
    env = gymnasium.make_vec(identifier("breakout"), num_envs=3, threads=1, max_frames=40)
    assert isinstance(env, PixelTask)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observations, _ = env.reset(seed=0)
    assert observations.shape == env.observation_space.shape == (3, 4, 84, 84)
    assert env.observation_space.contains(observations)
    assert env.facts.horizon == 10
    before, infos = observations, {}
    for t in range(10):
        before = observations
        observations, rewards, terminated, truncated, infos = env.step(np.array([0, 2, 3]))
        assert rewards.dtype == np.float64
        assert not terminated.any()
        assert truncated.tolist() == [t == 9] * 3
    assert infos["_final_obs"].all()
    # Of the four pictures the last three of before are the first three of the final ones.
    assert np.array_equal(infos["final_obs"][:, :3], before[:, 1:])
    assert not np.array_equal(observations, infos["final_obs"])
    for wrong in ([0, 1, 4], [0, 1], [[0, 1, 2]]):
        with pytest.raises(ValueError, match="actions are"):
            env.step(np.array(wrong))
    env.close()


def pixels_after(**options) -> np.ndarray:
    env = PixelTask("breakout", 2, threads=1, **options)
    env.reset(seed=1)
    for action in (1, 2, 3, 3, 3, 2, 3):
        observations, *_ = env.step(np.full(2, action))
    return observations


@pytest.fixture(scope="module")
def usual_pixels():
    pixels = pixels_after()
    assert np.array_equal(pixels, pixels_after())
    return pixels


@pytest.mark.parametrize(
    "option",
    [
        {"sticky": 0.0},
        {"frame_skip": 2},
        {"noop_max": 1},
        {"max_frames": 20},
        {"full_action_space": True},
    ],
)
def test_every_option_of_pixels_matters(usual_pixels, option):
    assert not np.array_equal(usual_pixels, pixels_after(**option))


def test_options_that_pixels_do_not_have():
    with pytest.raises(UserError, match="mode"):
        PixelTask("breakout", mode=4)
    with pytest.raises(UserError, match="restore"):
        PixelTask("breakout", restore="replay")
    with pytest.raises(UserError, match="unknown task 'cheetah'"):
        PixelTask("cheetah")
