"""What tree search costs: emulated frames per second, and microseconds per simulation.

    python -m benchmarks.search [--json PATH] [--quick]

- Frames: whole decisions on breakout, 5,000 frames each, beside a bare loop of `act()` with as
  many frames per decision; by one process and by two workers.
- Simulations, beside DeepMind's `mctx` on this processor: both search the same table of rewards,
  values and logits, which costs next to nothing, with the same noise-free rules, no tree kept, one
  leaf per tree and round; ours also with eight. Ours calls the table from Python; in mctx (extra
  `mctx`, JAX on the CPU, double precision off) it is compiled in.

All take turns in one process; a ratio is the median over the rounds, shown with its extremes.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np

from benchmarks.report import Contestant, compare, machine, parse, print_table, race, write_json
from learners.none import NoLearner
from planners.noise import Noise
from planners.searches import make_planner
from suites.tasks import registry
from world_models.simulator import Simulator

SIZE, ACTIONS, DISCOUNT = 997, 6, 0.99
WIDER = 8  # leaves
# What ratios should reach: to mctx; of frames to the bare loop, and of two workers to one process.
AS_MCTX, AS_BARE, OF_TWO = 1.0, 0.9, 1.7
GAME, FRAMES, PLAYED = "breakout", 5000, 40  # decisions that were played before

_random = np.random.default_rng(0)
REWARDS = _random.normal(size=(SIZE, ACTIONS))
LOGITS = _random.normal(size=(SIZE, ACTIONS))
VALUES = _random.normal(size=SIZE)
SUCCESSORS = (5 * np.arange(SIZE)[:, None] + np.arange(ACTIONS) + 1) % SIZE
GOING = np.ones(10_000)


@dataclass(frozen=True)
class Scale:
    """How much is done: frames per decision, trees side by side, simulations in each, rounds."""

    skips: tuple[int, ...]
    batches: tuple[int, ...]
    simulations: tuple[int, ...]
    rounds: int


FULL, QUICK = Scale((15, 4), (1, 16, 256), (50, 200), 15), Scale((15,), (1, 2), (4,), 1)
# Searches of emulators: name, options, and whether workers have something to share.
EMULATED = (("uct", {}, True), ("fmc", {}, True), ("iw", {}, False), ("iw", {"leaves": 8}, True))


class Table:
    """A world model and a prior of next to no cost."""

    has_value = True

    def step(self, state: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, ...]:
        """Next states [M, 1], rewards [M], continuation [M]."""
        which = ACTIONS * state[:, 0] + action
        return SUCCESSORS.take(which)[:, None], REWARDS.take(which), GOING[: len(state)]

    def features(self, state: np.ndarray) -> np.ndarray:
        """The states."""
        return state

    def value(self, features: np.ndarray) -> np.ndarray:
        """[M]."""
        return VALUES.take(features[:, 0])

    def logits(self, features: np.ndarray) -> np.ndarray:
        """[M, A]."""
        return LOGITS.take(features[:, 0], axis=0)


def our_search(search: str, batch: int, simulations: int, leaves: int) -> Callable[[], int]:
    """A decision in each of `batch` trees; how many simulations that is."""
    space = gymnasium.spaces.Discrete(ACTIONS)
    spec = SimpleNamespace(name="table", action_space=space, control_dt=1.0, budget_per_step=1)
    options: dict[str, Any] = {"gumbel_scale": 0.0} if search == "gumbel" else {}
    planner: Any = make_planner(
        spec,
        search,
        simulations,
        leaves=leaves,
        discount=DISCOUNT,
        depth=0,
        normalise="node",
        reuse=False,
        **options,
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


def played(skip: int) -> Any:
    """The game after some random decisions."""
    task = registry.make({**registry.config(GAME), "frame_skip": skip, "sticky": 0.0})
    task.reset(seed=0)
    for action in np.random.default_rng(0).integers(task.facts.action_space.n, size=PLAYED):
        task.step(action[None])
    return task


def bare_loop(skip: int) -> Callable[[], int]:
    """The game played on with random actions; how many frames that is."""
    console, random = played(skip).simulation.emulators[0].console, np.random.default_rng(1)
    actions = console.getMinimalActionSet()

    def work() -> int:
        for which in random.integers(len(actions), size=FRAMES // skip).tolist():
            action = actions[which]
            for _ in range(skip):
                console.act(action)
            if console.game_over():
                console.reset_game()
        return FRAMES // skip * skip

    return work


def emulated_search(task: Any, model: Any, search: str, options: Any) -> Callable[[], int]:
    """A decision; how many frames that is."""
    planner = make_planner(task.facts, search, FRAMES, **options)
    prior, state = NoLearner(task.facts), model.begin(None, task)

    def work() -> int:
        before = model.sim_frames
        planner.plan(model, prior, state, planner.init(1), Noise(0, [0], 0))
        return model.sim_frames - before

    return work


def emulation_rows(scale: Scale) -> Iterator[dict[str, Any]]:
    """A row for each number of frames per decision and search, by one process and by two."""
    for skip in scale.skips:
        task, entrants, rows = played(skip), [Contestant("act", bare_loop(skip))], []
        models = {threads: Simulator(task, threads=threads) for threads in (1, 2)}
        for search, options, shared in EMULATED:
            words = "".join(f", {value} {key}" for key, value in options.items())
            name = f"{search}{words}, {skip} frames a decision"
            for threads in (1, 2) if shared else (1,):
                work = emulated_search(task, models[threads], search, options)
                entrants.append(Contestant(f"{name} {threads}", work))
            rows.append((f"{name} 1", "act", f"{name} / act()", AS_BARE))
            if shared:
                rows.append((f"{name} 2", f"{name} 1", f"{name}, two workers / one", OF_TWO))
        speeds = race(entrants, scale.rounds)
        for ours, theirs, line, wanted in rows:
            row = compare(line, speeds[ours], speeds[theirs], wanted)
            yield {"frames/s" if key == "steps/s" else key: x for key, x in row.items()}


def microseconds(speeds: Sequence[float]) -> float:
    """Of a simulation."""
    return round(1e6 / median(speeds), 3)


def overhead_rows(scale: Scale) -> Iterator[dict[str, Any]]:
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
    given = parse("benchmarks.search", __doc__, arguments)
    scale = QUICK if given.quick else FULL
    report: dict[str, Any] = {
        "machine": machine(["numba", "numpy", "ale-py", "jax", "mctx"]),
        "scale": vars(scale),
        "frames": list(emulation_rows(scale)),
        "rows": list(overhead_rows(scale)),
        "left_out": missing_mctx(),
    }
    print_table("Emulated frames per second", report["frames"])
    print_table("Microseconds per simulation and tree", report["rows"])
    if report["left_out"]:
        print(report["left_out"])
    if given.json:
        write_json(given.json, report)


if __name__ == "__main__":
    main()
