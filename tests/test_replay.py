"""The replay memory of vectors."""

import numpy as np
import torch
from learning import make_spec, random_transitions

from learners import replay
from learners.pace import Pace
from learners.replay import Replay
from learners.squashed import ActionBox

CPU = torch.device("cpu")


def filled(
    capacity: int, count: int, folder, envs: int = 3
) -> tuple[Replay, dict[str, np.ndarray]]:
    """A memory after `count` batches of `envs` transitions, and all that was ever added."""
    rng, spec = np.random.default_rng(0), make_spec(2, 2, low=-3, high=5)
    memory = Replay(capacity, 2, ActionBox(spec.action_space), folder)
    added = []
    for _ in range(count):
        new = random_transitions(rng, envs, 2, 2)
        memory.add(new)
        added.append(new)
    whole = {
        name: np.concatenate([getattr(new, name) for new in added])
        for name in ("observation", "action", "reward", "terminated", "next_observation")
    }
    return memory, whole


def test_batches_are_rows_of_what_was_added(tmp_path):
    memory, whole = filled(100, 7, tmp_path)
    assert len(memory) == memory.added == 21
    batch = memory.sample(500, torch.Generator().manual_seed(0), CPU)
    which = [int(np.flatnonzero(np.isclose(whole["reward"], r))[0]) for r in batch.reward.numpy()]
    assert set(which) == set(range(21))
    np.testing.assert_allclose(batch.observation, whole["observation"][which], rtol=1e-6)
    np.testing.assert_allclose(batch.next_observation, whole["next_observation"][which], rtol=1e-6)
    # The box from -3 to 5 is that of [-1, 1], shifted and stretched.
    np.testing.assert_allclose(batch.action, (whole["action"][which] - 1) / 4, atol=1e-6)
    assert np.array_equal(batch.continuation.numpy() == 0, whole["terminated"][which])


def test_the_oldest_go_first(tmp_path):
    memory, whole = filled(10, 6, tmp_path)  # 18 transitions, three at a time, around the end
    assert len(memory) == 10
    batch = memory.sample(400, torch.Generator().manual_seed(0), CPU)
    kept = whole["reward"][8:].astype(np.float32)
    assert set(batch.reward.tolist()) == set(kept.tolist())


def test_what_is_new_since(tmp_path):
    memory, whole = filled(10, 6, tmp_path)
    np.testing.assert_allclose(memory.since(15), whole["observation"][15:], rtol=1e-6)
    assert len(memory.since(18)) == 0
    np.testing.assert_allclose(memory.since(0), whole["observation"][8:], rtol=1e-6)


def test_a_copy_goes_on_the_same(tmp_path):
    memory, _ = filled(10, 6, tmp_path)
    box = ActionBox(make_spec(2, 2).action_space)
    copy = Replay(10, 2, box, tmp_path)
    copy.load({name: np.array(value) for name, value in memory.state().items()})
    draws = [m.sample(50, torch.Generator().manual_seed(1), CPU) for m in (memory, copy)]
    for one, other in zip(*draws, strict=True):
        assert torch.equal(one, other)
    assert copy.added == memory.added


def test_a_lost_memory_fills_again(tmp_path):
    copy = Replay(10, 2, ActionBox(make_spec(2, 2).action_space), tmp_path)
    copy.forget(18)
    assert (len(copy), copy.added) == (0, 18)
    copy.add(random_transitions(np.random.default_rng(5), 3, 2, 2))
    assert (len(copy), copy.added) == (3, 21)
    assert torch.equal(copy.since(18), copy.since(0))
    assert len(copy.since(20)) == 1
    pace = Pace(0.5, 2)
    pace.load((18, 8))
    assert pace.due(copy) == 1  # of decisions 19 to 21; 9 in all
    pace = Pace(0.5, 6)
    pace.load((18, 6))
    assert pace.due(copy) == 0  # three decisions are fewer than a warm-up
    copy.add(random_transitions(np.random.default_rng(5), 3, 2, 2))
    assert pace.due(copy) == 2


def test_what_outgrows_memory_lies_in_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(replay.os, "sysconf", lambda name: 1)
    array = replay.allocate((100, 7), np.float32, tmp_path)
    assert isinstance(array, np.memmap)
    array[3] = 5.0
    assert array[3].sum() == 35
    assert not list(tmp_path.iterdir())
