"""Rewards that random play does not meet: compiled and dm_control's, on the same MuJoCo data."""

import ctypes

import numpy as np
import pytest

from suites.tasks.control import find_twin
from suites.tasks.control.physics import make_table
from suites.tasks.control.source import load_suite
from suites.tasks.control_names import split


def poles(physics, random):
    """Close to upright, sometimes off the middle or too far over."""
    physics.data.qpos[:] = random.normal(0, 0.08, physics.model.nq)
    physics.data.qvel[:] = random.normal(0, 3, physics.model.nv)


def acrobot(physics, random):
    physics.data.qpos[:] = random.normal(0, 0.5, 2)


def spinner(physics, random):
    physics.named.data.qvel["hinge"] = -15 + random.normal()


def target_at_tip(physics, random):
    tip = physics.named.data.site_xpos["tip"]
    physics.named.model.site_pos["target"] = tip + random.normal(0, 0.03, 3)


def ball(physics, random):
    """About the middle of the cup."""
    away = random.normal(0, 0.03, 2)
    physics.named.data.qpos[["ball_x", "ball_z"]] += physics.ball_to_target() + away


def mass(physics, random):
    physics.data.qpos[:] = random.normal(0, 0.02, 2)


def hopper(physics, random):
    """About upright, at some speed."""
    physics.data.qpos[:] = random.normal(0, 0.3, 7)
    physics.data.qvel[0] = random.uniform(-1, 3)


def at_rest(physics, random):
    scale = random.choice([3e-7, 1.0])
    physics.data.qpos[:] = scale * random.normal(size=physics.model.nq)
    physics.data.qvel[:] = scale * random.normal(size=physics.model.nv)


def fish(physics, random):
    """Target near the mouth."""
    mouth = physics.named.data.geom_xpos["mouth"]
    physics.named.model.geom_pos["target"] = mouth + random.normal(0, 0.04, 3)


def swimmer(physics, random):
    """Target near the nose."""
    nose = physics.named.data.geom_xpos["nose"]
    physics.named.model.geom_pos["target"] = nose + random.normal(0, 0.1, 3)


PLACES = {
    "acrobot-swingup": acrobot,
    "acrobot-swingup_sparse": acrobot,
    "ball_in_cup-catch": ball,
    "cartpole-balance_sparse": poles,
    "cartpole-swingup": poles,
    "cartpole-swingup_sparse": poles,
    "cartpole-three_poles": poles,
    "finger-spin": spinner,
    "finger-turn_hard": target_at_tip,
    "fish-swim": fish,
    "hopper-hop": hopper,
    "hopper-stand": hopper,
    "lqr-lqr_2_1": at_rest,
    "lqr-lqr_6_2": at_rest,
    "pendulum-swingup": poles,
    "point_mass-easy": mass,
    "swimmer-swimmer6": swimmer,
}


def call(function, table: np.ndarray) -> float:
    return function.ctypes(table.ctypes.data_as(ctypes.POINTER(ctypes.c_int64)))


@pytest.mark.parametrize("name", PLACES)
def test_equals_dm_control_where_rewards_are(name):
    random = np.random.RandomState(0)
    environment = load_suite(*split(name), random)
    physics, task = environment.physics, environment.task
    twin = find_twin(*split(name), physics.model.ptr)
    assert twin is not None
    table = make_table(physics.model.ptr, physics.data.ptr)
    rewards, ended = [], []
    for _ in range(200):
        environment.reset()
        PLACES[name](physics, random)
        physics.forward()
        physics.data.ctrl[:] = random.uniform(-1.5, 1.5, physics.model.nu)
        rewards.append((call(twin.reward, table), task.get_reward(physics)))
        terminated = twin.terminated is not None and call(twin.terminated, table) > 0
        ended.append((terminated, task.get_termination(physics) is not None))
    ours, theirs = np.array(rewards).T
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
    assert theirs.max() > 0.75
    assert theirs.min() < 0.5 * theirs.max()  # both sides of the bounds
    assert np.array_equal(*np.array(ended).T)
    if twin.terminated is not None:
        assert 0 < sum(theirs for _, theirs in ended) < len(ended)
