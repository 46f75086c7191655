"""Speed of our Atari games as learners see them, beside ALE's vector environment in C++.

    python -m benchmarks.atari [--json PATH] [--quick]

Both show four grey pictures of 84 x 84, throw the dice of sticky actions, get the same random
actions and begin new episodes themselves; ours also can be saved and restored. One thread each.

They take turns in one process. A ratio is the median over the rounds, shown with its extremes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.report import Contestant, compare, machine, parse, print_table, race, write_json
from suites.tasks import registry
from suites.tasks.atari.emulator import import_ale

AS_ALE = 0.9  # what ratios should reach


@dataclass(frozen=True)
class Scale:
    """How much is done: games, environments, decisions of each of them in a round, rounds."""

    games: tuple[str, ...]
    num_envs: int
    steps: int
    rounds: int


FULL = Scale(("pong", "breakout", "qbert", "seaquest", "space_invaders", "ms_pacman"), 8, 250, 15)
QUICK = Scale(("pong",), 2, 5, 1)


def ours(game: str, scale: Scale) -> Any:
    """Environments with the options that a learner has without being told."""
    return registry.make({**registry.config(game), "observation": "pixels"}, scale.num_envs)


def theirs(game: str, scale: Scale) -> Any:
    """ALE's, with the same options."""
    import_ale()
    from ale_py.vector_env import AtariVectorEnv

    return AtariVectorEnv(
        game,
        scale.num_envs,
        num_threads=1,
        repeat_action_probability=0.25,
        autoreset_mode="SameStep",
        reward_clipping=False,
        use_fire_reset=False,
    )


def player(envs: Any, actions: np.ndarray) -> Callable[[], int]:
    """Work on environments: how many decisions were played."""
    envs.reset(seed=0)

    def work() -> int:
        for action in actions:
            envs.step(action)
        return actions.size

    return work


def compare_games(scale: Scale) -> Iterator[dict[str, Any]]:
    """A row for each game."""
    for game in scale.games:
        entrants = {"ours": ours(game, scale), "ALE's": theirs(game, scale)}
        size = scale.steps, scale.num_envs
        actions = np.random.default_rng(0).integers(
            entrants["ours"].facts.action_space.n, size=size
        )
        speeds = race(
            [Contestant(n, player(e, actions)) for n, e in entrants.items()], scale.rounds
        )
        yield compare(f"{game} x {scale.num_envs}", speeds["ours"], speeds["ALE's"], AS_ALE)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; `arguments` as on the command line."""
    given = parse("benchmarks.atari", __doc__, arguments)
    scale = QUICK if given.quick else FULL
    rows = list(compare_games(scale))
    print_table("Decisions per second, against ALE's vector environment", rows)
    if given.json:
        about = machine(["ale-py", "numba", "numpy"])
        write_json(given.json, {"machine": about, "scale": vars(scale), "rows": rows})


if __name__ == "__main__":
    main()
