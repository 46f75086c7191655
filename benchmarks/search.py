"""Overhead of tree search: microseconds per simulation, beside DeepMind's `mctx` on this processor.

    python -m benchmarks.search [--json PATH] [--quick]

Both search the same table of rewards, values and logits, which costs next to nothing, with the same
noise-free rules, one leaf per tree and round; ours also with eight. Ours calls the table from
Python; in mctx (extra `mctx`, JAX on the CPU, double precision off) it is compiled in. All take
turns in one process; a ratio is the median over the rounds, shown with its extremes.
"""

import argparse
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np

from benchmarks.report import Contestant, compare, machine, print_table, race, write_json
from planners.noise import Noise
from planners.searches import make_planner

SIZE, ACTIONS, DISCOUNT = 997, 6, 0.99
WIDER = 8  # leaves
AS_MCTX = 1.0  # what the ratio should reach

_random = np.random.default_rng(0)
REWARDS = _random.normal(size=(SIZE, ACTIONS))
LOGITS = _random.normal(size=(SIZE, ACTIONS))
VALUES = _random.normal(size=SIZE)
SUCCESSORS = (5 * np.arange(SIZE)[:, None, None] + np.arange(ACTIONS)[:, None] + 1) % SIZE
GOING = np.ones(10_000)


@dataclass(frozen=True)
class Scale:
    """How much is done: trees side by side, simulations in each, rounds."""

    batches: tuple[int, ...]
    simulations: tuple[int, ...]
    rounds: int


FULL, QUICK = Scale((1, 16, 256), (50, 200), 15), Scale((1, 2), (4,), 1)


class Table:
    """A world model and a prior of next to no cost."""

    has_value = True

    def step(self, state: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, ...]:
        """Next states [M, 1], rewards [M], continuation [M]."""
        which = state[:, 0], action
        return SUCCESSORS[which], REWARDS[which], GOING[: len(state)]

    def features(self, state: np.ndarray) -> np.ndarray:
        """The states."""
        return state

    def value(self, features: np.ndarray) -> np.ndarray:
        """[M]."""
        return VALUES[features[:, 0]]

    def logits(self, features: np.ndarray) -> np.ndarray:
        """[M, A]."""
        return LOGITS[features[:, 0]]


def our_search(search: str, batch: int, simulations: int, leaves: int) -> Callable[[], int]:
    """A decision in each of `batch` trees; how many simulations that is."""
    space = gymnasium.spaces.Discrete(ACTIONS)
    spec = SimpleNamespace(name="table", action_space=space, control_dt=1.0, budget_per_step=1)
    options = {"gumbel_scale": 0.0} if search == "gumbel" else {}
    planner: Any = make_planner(
        *(spec, search, simulations),
        **{"leaves": leaves, "discount": DISCOUNT, "depth": 0, "normalise": "node", **options},
    )
    table: Any = Table()
    states, noise = np.arange(batch)[:, None] % SIZE, Noise(0, range(batch), 0)

    def work() -> int:
        planner.plan(table, table, states, planner.init(batch), noise)
        return batch * simulations

    return work


def mctx_search(search: str, batch: int, simulations: int) -> Callable[[], int]:
    """The same by mctx."""
    jax, mctx = importlib.import_module("jax"), importlib.import_module("mctx")
    jnp = jax.numpy
    rewards, logits, values = (jnp.asarray(x, jnp.float32) for x in (REWARDS, LOGITS, VALUES))

    def step(params: Any, key: Any, action: Any, state: Any) -> Any:
        following = (state * 5 + action + 1) % SIZE
        output = mctx.RecurrentFnOutput(
            reward=rewards[state, action],
            discount=jnp.full(state.shape, DISCOUNT, jnp.float32),
            prior_logits=logits[following],
            value=values[following],
        )
        return output, following

    policy, options = {
        "puct": (mctx.muzero_policy, {"dirichlet_fraction": 0.0}),
        "gumbel": (mctx.gumbel_muzero_policy, {"gumbel_scale": 0.0}),
    }[search]

    @jax.jit
    def decide(key: Any, states: Any) -> Any:
        root = mctx.RootFnOutput(
            prior_logits=logits[states], value=values[states], embedding=states
        )
        return policy((), key, root, step, simulations, **options).action_weights

    states, key = jnp.arange(batch) % SIZE, jax.random.PRNGKey(0)

    def work() -> int:
        decide(key, states).block_until_ready()
        return batch * simulations

    return work


def missing_mctx() -> str | None:
    """Why mctx can't take part, or None."""
    try:
        importlib.import_module("mctx")
    except ImportError as error:
        return f"mctx is left out: {error}; pip install '.[mctx]' gets it"
    return None


def microseconds(speeds: Sequence[float]) -> float:
    """Of a simulation."""
    return round(1e6 / median(speeds), 3)


def rows(scale: Scale) -> Iterator[dict[str, Any]]:
    """A row for each search, number of trees and number of simulations."""
    with_mctx = missing_mctx() is None
    for search in ("puct", "gumbel"):
        for simulations in scale.simulations:
            for batch in scale.batches:
                entrants = [
                    Contestant("ours", our_search(search, batch, simulations, 1)),
                    Contestant("wider", our_search(search, batch, simulations, WIDER)),
                ]
                if with_mctx:
                    entrants.append(Contestant("mctx", mctx_search(search, batch, simulations)))
                speeds = race(entrants, scale.rounds)
                row = {
                    "line": f"{search}, {batch} trees, {simulations} simulations",
                    "us": microseconds(speeds["ours"]),
                    f"us, {WIDER} leaves": microseconds(speeds["wider"]),
                }
                if with_mctx:
                    ratio = compare("", speeds["ours"], speeds["mctx"], AS_MCTX)
                    keys = ("ratio", "lowest", "highest", "wanted")
                    row["us, mctx"] = microseconds(speeds["mctx"])
                    row |= {key: ratio[key] for key in keys}
                yield row


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; `arguments` as on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the numbers there")
    parser.add_argument("--quick", action="store_true", help="a smoke test without meaning")
    options = parser.parse_args(arguments)
    scale = QUICK if options.quick else FULL
    report: dict[str, Any] = {
        "machine": machine(["numba", "numpy", "jax", "mctx"]),
        "scale": vars(scale),
        "rows": list(rows(scale)),
        "left_out": missing_mctx(),
    }
    print_table("Microseconds per simulation and tree", report["rows"])
    if report["left_out"]:
        print(report["left_out"])
    if options.json:
        write_json(options.json, report)


if __name__ == "__main__":
    main()
