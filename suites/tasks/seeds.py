"""Seeds and random streams of environments that are stepped together."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Seed = int | Sequence[int | None] | None


def environment_seeds(seed: Seed, num_envs: int) -> Sequence[int | None]:
    """One for each environment: `seed + i`, or those given; from the system's entropy if None."""
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0] % 2**31)
    return [seed + i for i in range(num_envs)] if isinstance(seed, int) else seed


def begin_streams(seed: Seed, num_envs: int) -> list[np.random.Generator]:
    """A random stream for each environment."""
    return [np.random.default_rng(s) for s in environment_seeds(seed, num_envs)]


def states_of(streams: Sequence[np.random.Generator]) -> list[Any]:
    """Where some random streams are."""
    return [stream.bit_generator.state for stream in streams]


def streams_at(states: Sequence[Any]) -> list[np.random.Generator]:
    """Random streams that go on from there."""
    streams = [np.random.default_rng() for _ in states]
    for stream, state in zip(streams, states, strict=True):
        stream.bit_generator.state = state
    return streams
