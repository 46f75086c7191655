"""The memory of frames against a plain list of all that happened."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from learners import replay as replay_module
from learners.frame_replay import SMALLEST_ERROR, FrameReplay
from learners.interface import Transitions

PICTURES = Box(0, 255, (4, 3, 2), np.uint8)
VECTORS = Box(-1.0, 1.0, (5,), np.float64)
START = 3  # the first of the actions
DISCOUNT = 0.9


@dataclass
class Happenings:
    """Environments that end at random, and a list of what they did, for brute force.

    An episode's first stack is its first frame, with as many blank ones before it as in `blank`,
    else repeated.
    """

    space: Box
    num_envs: int
    blank: bool = False
    seed: int = 0
    said: list[Transitions] = field(default_factory=list)

    def __post_init__(self):
        self.random = np.random.default_rng(self.seed)
        self.start = np.ones(self.num_envs, bool)
        self.seen = self._first(self.num_envs)

    def _frames(self, n: int) -> np.ndarray:
        if self.space is PICTURES:
            return self.random.integers(1, 256, (n, 1, 3, 2), np.uint8)
        return self.random.random((n, 5)).astype(np.float32)

    def _first(self, n: int) -> np.ndarray:
        frames = self._frames(n)
        if self.space is VECTORS:
            return frames
        before = np.repeat(frames, 3, axis=1) * (not self.blank)
        return np.concatenate([before, frames], axis=1).astype(np.uint8)

    def step(self) -> Transitions:
        b = self.num_envs
        frames = self._frames(b)
        if self.space is PICTURES:
            frames = np.concatenate([self.seen[:, 1:], frames], axis=1)
        terminated = self.random.random(b) < 0.08
        truncated = (self.random.random(b) < 0.08) & ~terminated
        action, reward = self.random.integers(3, 7, b), self.random.normal(size=b)
        said = Transitions(self.seen, action, reward, terminated, truncated, frames, self.start)
        self.start = terminated | truncated
        self.seen = np.where(self._like(self.start), self._first(b), frames)
        self.said.append(said)
        return said

    def _like(self, flags: np.ndarray) -> np.ndarray:
        return flags.reshape(-1, *[1] * len(self.space.shape))

    def decision(self, t: int, b: int, n: int) -> tuple[Any, ...] | None:
        """What is learned from the decision t of environment b; None while its n steps lack."""
        total = 0.0
        for k in range(n):
            if t + k >= len(self.said):
                return None
            step = self.said[t + k]
            total += DISCOUNT**k * step.reward[b]
            if step.terminated[b] or step.truncated[b] or k == n - 1:
                discount = 0.0 if step.terminated[b] else DISCOUNT ** (k + 1)
                start = self.said[t]
                known = start.observation[b], step.next_observation[b], start.action[b] - START
                return *known, total, discount
        raise AssertionError


def make(space: Any = PICTURES, num_envs=3, n=1, capacity=120, exponent=0.0, clip=None, folder="."):
    return FrameReplay(capacity, space, START, num_envs, n, DISCOUNT, Path(folder), exponent, clip)


def everything(replay: FrameReplay) -> dict[tuple[bytes, bytes], tuple[Any, ...]]:
    """All that can be drawn, by its two observations."""
    generator, device = torch.Generator().manual_seed(0), torch.device("cpu")
    found = {}
    for _ in range(8):
        drawn = replay.sample(40 * len(replay) // 8 + 1, generator, device)
        before, after = drawn.observations.chunk(2)
        for i in range(len(drawn.action)):
            key = before[i].numpy().tobytes(), after[i].numpy().tobytes()
            rest = drawn.action[i], drawn.reward[i], drawn.discount[i]
            found[key] = tuple(x.item() for x in rest)
    return found


@pytest.mark.parametrize("exponent", [0.0, 0.6])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(
    ("space", "blank"), [(PICTURES, False), (PICTURES, True), (VECTORS, False)]
)
def test_what_is_drawn_is_what_happened(space, blank, n, exponent):
    """After few decisions, and after the rings have gone round several times."""
    happenings = Happenings(space, 3, blank)
    replay = make(space, n=n, exponent=exponent)
    for t in range(150):
        replay.add(happenings.step())
        if t not in (4, 9, 60, 100, 149):
            continue
        expected = {}
        for s in range(t + 1):
            for b in range(3):
                known = happenings.decision(s, b, n)
                if known:
                    seen, after, *rest = known
                    expected[seen.tobytes(), after.tobytes()] = rest
        found = everything(replay)
        assert len(found) == len(replay) > 0
        for key, values in found.items():
            np.testing.assert_allclose(values, expected[key], atol=1e-6)
        # All of them at first; later the latest, but for the frames that are no decision's.
        assert len(found) >= (len(expected) if t < 10 else 120 * 0.4)
        newest = [happenings.decision(t + 1 - n, b, n) for b in range(3)]
        for known in newest:
            assert known
            assert (known[0].tobytes(), known[1].tobytes()) in found
    assert replay.added == 450


def test_an_environment_keeps_its_latest_decisions():
    """Of episodes that never end, all but those whose stacks reach beyond the ring."""
    replay, happenings = make(num_envs=2, capacity=60, n=2), Happenings(PICTURES, 2)
    happenings.random = np.random.default_rng(0)
    seen = happenings.seen
    for t in range(200):
        frames = np.concatenate([seen[:, 1:], happenings._frames(2)], axis=1)
        none, one = np.zeros(2, bool), np.full(2, t == 0)
        replay.add(Transitions(seen, np.full(2, 3), np.full(2, 1.0 * t), none, none, frames, one))
        seen = frames
    # 30 frames, the last an observation not yet decided in, 3 more for the oldest stack, and the
    # newest decision has only one of its two steps.
    assert len(replay) == 2 * (30 - 1 - 3 - 1)
    rewards = {round(values[1] / 1.9 - 0.9 / 1.9) for values in everything(replay).values()}
    assert rewards == set(range(174, 199))


def test_training_that_begins_in_the_midst_of_an_episode():
    """As after a checkpoint without its memory."""
    happenings = Happenings(PICTURES, 2, seed=3)
    for _ in range(7):
        happenings.step()
    happenings.said.clear()
    replay = make(num_envs=2)
    for _ in range(10):
        replay.add(happenings.step())
    keys = set(everything(replay))
    for t in range(10):
        for b in range(2):
            known = happenings.decision(t, b, 1)
            assert known
            assert (known[0].tobytes(), known[1].tobytes()) in keys
    assert len(keys) == 20


def test_rewards_are_clipped_one_by_one():
    happenings, replay = Happenings(VECTORS, 1), make(VECTORS, 1, n=2, clip=0.5)
    for _ in range(30):
        replay.add(happenings.step())
    for t, said in enumerate(happenings.said):
        happenings.said[t] = Transitions(
            **{**vars(said), "reward": np.clip(said.reward, -0.5, 0.5)}
        )
    found = everything(replay)
    for t in range(29):
        known = happenings.decision(t, 0, 2)
        assert known
        values = found[known[0].tobytes(), known[1].tobytes()]
        np.testing.assert_allclose(values[1], known[3], atol=1e-6)


def test_uniform_draws_are_uniform():
    replay, happenings = make(VECTORS, 2), Happenings(VECTORS, 2)
    for _ in range(40):
        replay.add(happenings.step())
    drawn = replay.sample(50_000, torch.Generator().manual_seed(0), torch.device("cpu"))
    _, counts = np.unique(drawn.places, return_counts=True)
    assert len(counts) == len(replay)
    expected = 50_000 / len(replay)
    assert ((counts - expected) ** 2 / expected).sum() < 1.6 * len(replay)  # chi squared
    assert (drawn.weight == 1).all()


def test_priorities_and_importance_weights():
    exponent, beta = 0.6, 0.7
    replay, happenings = make(VECTORS, 2, exponent=exponent), Happenings(VECTORS, 2)
    for _ in range(40):
        replay.add(happenings.step())
    device, generator = torch.device("cpu"), torch.Generator().manual_seed(0)
    places = np.unique(replay.sample(4000, generator, device).places)
    assert len(places) == len(replay)  # all are new, and as likely as each other
    errors = np.random.default_rng(1).exponential(size=len(places))
    replay.prioritise(places, errors)
    chances = (errors + SMALLEST_ERROR) ** exponent
    chances /= chances.sum()
    drawn = replay.sample(100_000, generator, device, beta)
    where = np.searchsorted(places, drawn.places)
    np.testing.assert_allclose(np.bincount(where) / 100_000, chances, atol=2.1e-5)
    weights = (len(replay) * chances[where]) ** -beta
    np.testing.assert_allclose(drawn.weight, weights / weights.max(), rtol=1e-5)
    # What is new gets the greatest priority so far.
    greatest = max(1.0, ((errors + SMALLEST_ERROR) ** exponent).max())
    happenings.said.clear()
    before = set(places.tolist())
    replay.add(happenings.step())
    tree: Any = replay._tree
    new = [p for p in range(replay._size) if tree[np.array([p])][0] > 0 and p not in before]
    assert len(new) == 2
    assert (tree[np.array(new)] == greatest).all()


@pytest.mark.parametrize("exponent", [0.0, 0.6])
@pytest.mark.parametrize("decisions", [10, 90])
def test_goes_on_after_a_checkpoint(exponent, decisions, tmp_path):
    happenings = Happenings(PICTURES, 3)
    replay, other = (make(n=2, exponent=exponent) for _ in range(2))
    for _ in range(decisions):
        replay.add(happenings.step())
    if exponent:
        replay.prioritise(np.flatnonzero(replay._ready)[::2], np.arange(3.0)[:1] + 4.0)
    for name, value in replay.state().items():
        np.save(tmp_path / name, value)
    other.load({path.stem: np.load(path, mmap_mode="r") for path in tmp_path.iterdir()})
    for _ in range(60):
        one, two = (
            each.sample(16, torch.Generator().manual_seed(1), torch.device("cpu"))
            for each in (replay, other)
        )
        for x, y in zip(one, two, strict=True):
            assert np.array_equal(x, y)
        said = happenings.step()
        replay.add(said)
        other.add(said)
    assert len(replay) == len(other)
    assert replay.added == other.added


def test_what_outgrows_memory_lies_in_a_file(monkeypatch, tmp_path):
    happenings, small = Happenings(PICTURES, 3), make()
    monkeypatch.setattr(replay_module.os, "sysconf", lambda name: 20)
    large = make(folder=tmp_path)
    assert isinstance(large.frames, np.memmap)
    for _ in range(60):
        said = happenings.step()
        small.add(said)
        large.add(said)
    assert everything(large) == everything(small)


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"learner\.capacity is 20"):
        make(num_envs=3, capacity=20)
    replay, happenings = make(num_envs=1), Happenings(PICTURES, 1)
    said = happenings.step()
    moved = said.next_observation[:, ::-1]
    with pytest.raises(ValueError, match=r"planner\.repeat"):
        replay.add(Transitions(**{**vars(said), "next_observation": moved}))
