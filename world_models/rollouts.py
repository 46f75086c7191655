"""What a model that rolls out can do besides."""

from typing import Any

import numpy as np


def step(
    model: Any, state: np.ndarray, action: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Next states [M, S], rewards [M] and continuation [M] after actions [M, A] or [M]."""
    rewards, continuation, last = model.rollout(state, action[:, None, None])
    return last[:, 0], rewards[:, 0, 0], continuation[:, 0, 0]


def trace(
    model: Any, state: np.ndarray, plans: np.ndarray, every: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """As `model.rollout`, and the features [B, K, P, F] on the way: a rollout piece by piece.

    At its beginning, then after each `every` steps, and at its end.
    """
    batch, candidates, horizon = plans.shape[:3]
    rows = np.repeat(state, candidates, axis=0)
    rewards, continuation = np.empty((len(rows), horizon)), np.empty((len(rows), horizon))
    alive, way = np.ones((len(rows), 1)), [model.features(rows)]
    for start in range(0, horizon, every):
        piece = slice(start, start + every)
        part = plans[:, :, piece].reshape(len(rows), 1, -1, *plans.shape[3:])
        paid, goes_on, last = model.rollout(rows, part)
        # A state does not tell that the episode ended before it.
        rewards[:, piece] = np.where(alive > 0, paid[:, 0], 0.0)
        continuation[:, piece] = alive * goes_on[:, 0]
        alive, rows = continuation[:, piece][:, -1:], last[:, 0]
        way.append(model.features(rows))
    shape = batch, candidates, horizon
    features = np.stack(way, axis=1).reshape(batch, candidates, len(way), -1)
    last = rows.reshape(batch, candidates, -1)
    return rewards.reshape(shape), continuation.reshape(shape), last, features
