"""The memory of sequences, against a plain list of what was added."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from learners.interface import Transitions
from learners.sequences import SequenceReplay

CPU = torch.device("cpu")


def fill(capacity: int, num_envs: int, decisions: int, seed: int = 0):
    """A memory, and for each environment its episodes: lists of (t, action, reward, terminated).

    Observations are (environment, episode, time).
    """
    random = np.random.default_rng(seed)
    space = Box(-np.inf, np.inf, (3,))
    spec = SimpleNamespace(observation_space=space, action_space=Discrete(4, start=1))
    memory = SequenceReplay(capacity, spec, num_envs, Path(), actions=4)
    told = [[[]] for _ in range(num_envs)]
    time, episode = np.zeros(num_envs), np.zeros(num_envs)
    envs = np.arange(num_envs)
    for _ in range(decisions):
        action, reward = random.integers(1, 5, num_envs), random.normal(size=num_envs)
        terminated, truncated = random.random((2, num_envs)) < 0.1
        seen = np.stack([envs, episode, time], axis=1)
        following = np.stack([envs, episode, time + 1], axis=1)
        policy = random.random((num_envs, 4))
        start = time == 0
        memory.add(
            Transitions(seen, action, reward, terminated, truncated, following, start, 1, policy)
        )
        ended = terminated | truncated
        for b in range(num_envs):
            told[b][-1].append((action[b] - 1, reward[b], terminated[b], policy[b]))
            if ended[b]:
                told[b].append([])
        time, episode = np.where(ended, 0, time + 1), episode + ended
    return memory, told


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("capacity", "decisions"), [(1000, 60), (60, 200)])
def test_runs_are_what_was_added(whole, capacity, decisions):
    memory, told = fill(capacity, 2, decisions)
    generator = torch.Generator().manual_seed(0)
    drawn = memory.sample(500, 5, generator, CPU, whole)
    assert drawn.observation.shape == (6, 500, 3)
    assert bool(drawn.valid.all()) == whole
    for n in range(500):
        b, e, t = (int(x) for x in drawn.observation[0, n])
        episode = told[b][e]
        assert t < len(episode)
        if whole:
            assert t + 5 <= len(episode)
        finished = e + 1 < len(told[b])
        assert finished or t + 5 <= len(episode)
        for k in range(6):
            there = min(t + k, len(episode))
            assert drawn.observation[k, n].tolist() == [b, e, there]
            decided = t + k < len(episode)
            expected = episode[t + k] if decided else (0, 0, False, np.zeros(4))
            np.testing.assert_allclose(drawn.policy[k, n], expected[3], rtol=1e-6)
            if k < 5:
                assert drawn.valid[k, n] == decided
                assert drawn.action[k, n] == expected[0]
                assert drawn.reward[k, n] == pytest.approx(expected[1])
                ends = any(step[2] for step in episode[t : t + k + 1])
                assert drawn.terminated[k, n] == ends


def test_all_that_can_be_drawn_is_drawn_alike():
    memory, told = fill(1000, 2, 40)
    drawn = memory.sample(40_000, 3, torch.Generator().manual_seed(0), CPU)
    places, counts = np.unique(drawn.places, return_counts=True)
    runs = sum(max(len(episode) - 2, 0) for env in told for episode in env)
    at_work = sum(
        len(env[-1]) >= 3 for env in told
    )  # what follows their last decision is not known
    assert len(places) == runs - at_work
    assert counts.std() / counts.mean() < 0.06


def test_a_policy_is_overwritten():
    memory, _ = fill(1000, 2, 40)
    drawn = memory.sample(10, 2, torch.Generator().manual_seed(0), CPU)
    memory.overwrite(drawn.places, np.full((10, 4), 0.25))
    again = memory.sample(10, 2, torch.Generator().manual_seed(0), CPU)
    assert (again.policy[0] == 0.25).all()


def test_a_checkpoint_is_the_memory():
    memory, _ = fill(60, 2, 50)
    other, _ = fill(60, 2, 0)
    other.load(memory.state())
    one, two = (m.sample(50, 4, torch.Generator().manual_seed(1), CPU) for m in (memory, other))
    for mine, theirs in zip(one, two, strict=True):
        assert np.array_equal(mine, theirs)
    assert len(other) == len(memory)


def test_nothing_to_draw():
    memory, _ = fill(60, 2, 1)
    with pytest.raises(ValueError, match="no runs of 5"):
        memory.sample(3, 5, torch.Generator(), CPU)
