"""Seeds of environments that are stepped together."""

from collections.abc import Sequence

import numpy as np


def environment_seeds(
    seed: int | Sequence[int | None] | None, num_envs: int
) -> Sequence[int | None]:
    """One for each environment: `seed + i`, or those given; from the system's entropy if None."""
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0] % 2**31)
    return [seed + i for i in range(num_envs)] if isinstance(seed, int) else seed
