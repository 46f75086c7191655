"""Every compiled twin against dm_control's own Python, and snapshots exact to the bit."""

import ctypes

import numpy as np
import pytest

from suites.tasks.control import find_twin, suite_task
from suites.tasks.control.physics import make_table
from suites.tasks.control.python_simulation import flatten
from suites.tasks.control.source import load_suite
from suites.tasks.control_names import TASKS, split

SEEDS, STEPS = 3, 200
# NumPy and LLVM round the sums, exponentials and norms of rewards and observations differently in
# the last bits; positions and velocities come from the same C library and must agree to the bit.
TOLERANCE = 1e-9


def actions(task, steps: int, seed: int) -> np.ndarray:
    space = task.single_action_space
    low, high = np.maximum(space.low, -1), np.minimum(space.high, 1)
    return np.random.default_rng(seed).uniform(low, high, (steps, task.num_envs, len(low)))


@pytest.mark.parametrize("name", TASKS)
def test_equals_dm_control(name):
    domain, task_name = split(name)
    task = suite_task(name, num_envs=SEEDS)
    observation, _ = task.reset(seed=0)
    plan = actions(task, STEPS, 7)
    ours = [task.step(plan[t])[:3] for t in range(STEPS)]
    states = task.simulation.read()
    for seed in range(SEEDS):
        theirs = load_suite(domain, task_name, np.random.RandomState(seed))
        first = theirs.reset()
        np.testing.assert_allclose(
            observation[seed], flatten(first.observation), rtol=0, atol=TOLERANCE
        )
        for t in range(STEPS):
            step = theirs.step(plan[t, seed])
            obs, reward, ended = (part[seed] for part in ours[t])
            np.testing.assert_allclose(obs, flatten(step.observation), rtol=0, atol=TOLERANCE)
            assert reward == pytest.approx(step.reward, rel=0, abs=TOLERANCE)
            assert ended == step.last()
        physics = theirs.physics
        row = states[seed]
        n = 1 + physics.model.nq + physics.model.nv + physics.model.na
        assert np.array_equal(row[:n], np.r_[physics.time(), physics.get_state()])


@pytest.mark.parametrize("name", TASKS)
def test_snapshot_and_batch(name):
    task = suite_task(name, num_envs=2, threads=2)
    task.reset(seed=3)
    plan = actions(task, 70, 5)
    for t in range(20):
        task.step(plan[t])
    before = task.snapshot()
    first = [task.step(plan[t]) for t in range(20, 70)]
    task.restore(before)
    second = [task.step(plan[t]) for t in range(20, 70)]
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a[:4], b[:4], strict=True):
            assert np.array_equal(x, y)
    # B environments step as one does: from the snapshot, and from the seed.
    alone = suite_task(name)
    alone.reset(seed=4)
    for t in range(70):
        one = alone.step(plan[t, 1:])
        if t >= 20:
            for x, y in zip(one[:4], first[t - 20][:4], strict=True):
                assert np.array_equal(x[0], y[1])


@pytest.mark.parametrize("name", TASKS)
def test_twin_near_the_default_pose(name):
    """Random actions leave many rewards at 0, where a wrong twin can't be told from a right one."""
    domain, task_name = split(name)
    theirs = load_suite(domain, task_name, np.random.RandomState(0))
    physics, random = theirs.physics, np.random.default_rng(1)
    model, data = physics.model.ptr, physics.data.ptr
    twin = find_twin(domain, task_name, model)
    if twin is None:
        pytest.skip("no twin: the task runs through dm_control's own Python")
    table = make_table(model, data, twin.model_fields)
    address = table.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
    for k in range(60):
        observation = flatten(theirs.reset().observation)
        if k % 2:
            with physics.reset_context():
                data.qpos += random.normal(0, 0.03, model.nq)
                data.qvel[:] = random.normal(0, 10 ** random.uniform(-1, 1), model.nv)
                data.act[:] = random.normal(0, 1, model.na)
                data.ctrl[:] = random.uniform(-1, 1, model.nu)
            observation = flatten(theirs.task.get_observation(physics))
        out = np.full(observation.size + 1, np.inf)
        twin.observe.ctypes(address, out.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))
        np.testing.assert_allclose(out, np.r_[observation, np.inf], rtol=0, atol=TOLERANCE)
        reward = float(theirs.task.get_reward(physics))
        assert twin.reward.ctypes(address) == pytest.approx(reward, rel=0, abs=TOLERANCE)
