"""Speed of our rollouts and of our vector environment.

    python -m benchmarks.rollout [--json PATH] [--quick]

Rollouts, rewards included, against `mujoco.rollout`, which gives no rewards: same roots, same
plans, same physics. The vector environment on cheetah-run against EnvPool's CheetahRun (extra
`peers`) and a loop over dm_control's environments: same actions, whole episodes, resets included.

All take turns in one process, so whoever uses the `mujoco` package gains equally from what our
simulations switch off in it. A ratio is the median over the rounds, shown with its extremes.
"""

import importlib
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from mujoco.rollout import Rollout

from benchmarks.report import Contestant, compare, machine, parse, print_table, race, write_json
from suites.tasks.control import ControlTask, suite_task
from suites.tasks.control.physics import STATE
from suites.tasks.control.simulation import Simulation
from suites.tasks.control.source import load_suite

THREADS = (1, 2)
PHYSICS = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)  # the state that `mujoco.rollout` takes

# What the numbers should reach.
AS_MUJOCO, AS_ENVPOOL, TWO_THREADS = 0.9, 2.5, 1.8


@dataclass(frozen=True)
class Scale:
    """How much is done.

    Attributes:
      plans: Task, and plans in a rollout: as many as take about as long in each task.
      horizon: Control steps of a plan.
      num_envs: Environments side by side.
      steps: Control steps of each of them in a round: an episode of cheetah-run has 1000.
    """

    plans: tuple[tuple[str, int], ...]
    horizon: int
    num_envs: int
    steps: int
    rounds: int


FULL = Scale((("cheetah-run", 512), ("walker-walk", 64), ("humanoid-walk", 64)), 32, 16, 1000, 15)
QUICK = Scale((("cheetah-run", 8), ("walker-walk", 4), ("humanoid-walk", 4)), 4, 4, 20, 1)


def random_actions(task: ControlTask, *shape: int) -> np.ndarray:
    """Uniform actions, [*shape, A]."""
    space = task.facts.action_space
    generator = np.random.default_rng(0)
    return generator.uniform(space.low, space.high, (*shape, *space.shape))


def our_rollout(
    task: ControlTask, threads: int, roots: np.ndarray, plans: np.ndarray
) -> tuple[Callable[[], int], Callable[[], np.ndarray]]:
    """The work, and the states [N, PHYSICS] in which the plans of the last work ended."""
    simulation = task.planning_simulation(threads)
    root_of = np.arange(len(plans)) % len(roots)
    last = np.empty(0)

    def work() -> int:
        nonlocal last
        last = simulation.rollout(roots, root_of, plans)[2]
        return plans.shape[0] * plans.shape[1]

    return work, lambda: _physics(simulation.model, last)[0]


def mujoco_rollout(
    simulation: Simulation, threads: int, roots: np.ndarray, plans: np.ndarray
) -> tuple[Callable[[], int], Callable[[], np.ndarray]]:
    """The same by `mujoco.rollout` in its fastest form: its own threads, no checks, no copies."""
    model, n = simulation.model, len(plans)
    pool = Rollout(nthread=threads if threads > 1 else 0)
    datas = [mujoco.MjData(model) for _ in range(threads)]
    controls = np.repeat(plans, simulation.substeps, axis=1)
    first, warmstart = _physics(model, roots[np.arange(n) % len(roots)])
    states = np.empty((n, controls.shape[1], first.shape[1]))
    sensors = np.empty((n, controls.shape[1], model.nsensordata))

    def work() -> int:
        pool.rollout(
            [model] * n,
            datas,
            first,
            controls,
            nstep=controls.shape[1],
            initial_warmstart=warmstart,
            state=states,
            sensordata=sensors,
            skip_checks=True,
        )
        return plans.shape[0] * plans.shape[1]

    return work, lambda: states[:, -1]


def _physics(model: mujoco.MjModel, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of our state rows, the part that `mujoco.rollout` takes, and the solver's warm start."""
    data = mujoco.MjData(model)
    out = np.empty((len(rows), mujoco.mj_stateSize(model, PHYSICS)))
    warmstart = np.empty((len(rows), model.nv))
    for i, row in enumerate(rows):
        mujoco.mj_setState(model, data, row[: mujoco.mj_stateSize(model, STATE)], STATE)
        mujoco.mj_getState(model, data, out[i], PHYSICS)
        warmstart[i] = data.qacc_warmstart
    return out, warmstart


def compare_rollouts(scale: Scale) -> Iterator[dict[str, Any]]:
    """Rows: each task at each number of threads, and what the second thread gives."""
    for name, n in scale.plans:
        task = suite_task(name, num_envs=4)
        task.reset(seed=0)
        assert isinstance(task.simulation, Simulation)
        roots, plans = task.simulation.read(), random_actions(task, n, scale.horizon)
        ours, theirs = {}, {}
        for threads in THREADS:
            ours[threads] = our_rollout(task, threads, roots, plans)
            theirs[threads] = mujoco_rollout(task.simulation, threads, roots, plans)
        speeds = race(
            [
                Contestant(f"{who}{threads}", works[threads][0])
                for threads in THREADS
                for who, works in (("ours", ours), ("mujoco", theirs))
            ],
            scale.rounds,
        )
        difference = np.abs(ours[1][1]() - theirs[1][1]()).max()
        for threads in THREADS:
            line = f"{name}, {threads} thread{'s' * (threads > 1)}, against mujoco.rollout"
            row = compare(line, speeds[f"ours{threads}"], speeds[f"mujoco{threads}"], AS_MUJOCO)
            yield row | {"last states differ by": float(difference)}
        row = compare(f"{name}, 2 threads against 1", speeds["ours2"], speeds["ours1"], TWO_THREADS)
        yield row | {"last states differ by": float(np.abs(ours[2][1]() - ours[1][1]()).max())}


class Counted:
    """Work on environments that counts its control steps and resets."""

    def __init__(self) -> None:
        self.steps = self.resets = 0

    def count(self, steps: int, resets: int) -> int:
        self.steps += steps
        self.resets += resets
        return steps


class Ours(Counted):
    """Our vector environment, in which a step that ends an episode also begins the next."""

    def __init__(self, threads: int, actions: np.ndarray):
        super().__init__()
        self.task = suite_task("cheetah-run", num_envs=actions.shape[1], threads=threads)
        self.task.reset(seed=0)
        self.actions = actions

    def __call__(self) -> int:
        resets = 0
        for action in self.actions:
            _, _, terminated, truncated, _ = self.task.step(action)
            resets += int((terminated | truncated).sum())
        return self.count(self.actions.shape[0] * self.actions.shape[1], resets)


class EnvPool(Counted):
    """EnvPool's CheetahRun. Its reset after an episode takes a call to step, which is no step.

    `batch`: environments that a call waits for; fewer than there are is its asynchronous mode.
    """

    def __init__(self, threads: int, actions: np.ndarray, batch: int):
        super().__init__()
        num_envs = actions.shape[1]
        make = importlib.import_module("envpool").make
        self.env = make(
            "CheetahRun-v1",
            env_type="gymnasium",
            num_envs=num_envs,
            batch_size=batch,
            num_threads=threads,
            seed=0,
        )
        self.calls_per_round = num_envs // batch
        self.actions = [
            np.ascontiguousarray(part)
            for action in actions
            for part in np.split(action, self.calls_per_round)
        ]
        self.env.async_reset()
        info = self.env.recv()[-1]
        self.ids = info["env_id"]

    def __call__(self) -> int:
        steps = resets = 0
        # One more round of calls than steps: that of the resets.
        for action in [*self.actions, *self.actions[: self.calls_per_round]]:
            self.env.send(action, self.ids)
            _, _, terminated, truncated, info = self.env.recv()
            self.ids = info["env_id"]
            resets += int((terminated | truncated).sum())
            steps += int(np.count_nonzero(info["elapsed_step"]))
        return self.count(steps, resets)


class DmControl(Counted):
    """A Python loop over dm_control's environments."""

    def __init__(self, actions: np.ndarray):
        super().__init__()
        self.envs = [
            load_suite("cheetah", "run", np.random.RandomState(i)) for i in range(actions.shape[1])
        ]
        for env in self.envs:
            env.reset()
        self.actions = actions

    def __call__(self) -> int:
        resets = 0
        for actions in self.actions:
            for env, action in zip(self.envs, actions, strict=True):
                if env.step(action).last():
                    env.reset()
                    resets += 1
        return self.count(self.actions.shape[0] * self.actions.shape[1], resets)


def missing_envpool() -> str | None:
    """Why EnvPool can't take part, or None."""
    try:
        importlib.import_module("envpool")
    except ImportError as error:
        return f"EnvPool is left out: {error}; pip install '.[peers]' gets it"
    return None


def compare_environments(scale: Scale) -> Iterator[dict[str, Any]]:
    """Rows: our vector environment against each peer, and what the second thread gives."""
    n = scale.num_envs
    actions = random_actions(suite_task("cheetah-run"), scale.steps, n)
    entrants: dict[str, Any] = {}
    for threads in THREADS:
        entrants[f"ours {threads}"] = Ours(threads, actions)
        if missing_envpool() is None:
            entrants[f"EnvPool's CheetahRun {threads}"] = EnvPool(threads, actions, n)
            entrants[f"EnvPool's CheetahRun, asynchronous {threads}"] = EnvPool(
                threads, actions, n // 2
            )
    entrants["dm_control's loop 1"] = DmControl(actions)
    speeds = race([Contestant(name, work) for name, work in entrants.items()], scale.rounds)
    for entrant in entrants:
        peer, threads = entrant.rsplit(" ", 1)
        if peer == "ours":
            continue
        line = f"cheetah-run x {n}, {threads} thread{'s' * (threads != '1')}, against {peer}"
        wanted = None if peer == "dm_control's loop" else AS_ENVPOOL
        row = compare(line, speeds[f"ours {threads}"], speeds[entrant], wanted)
        yield row | _resets(entrants[f"ours {threads}"], entrants[entrant])
    row = compare(
        f"cheetah-run x {n}, 2 threads against 1", speeds["ours 2"], speeds["ours 1"], TWO_THREADS
    )
    yield row | _resets(entrants["ours 2"], entrants["ours 1"])


def _resets(ours: Counted, theirs: Counted) -> dict[str, int]:
    return {"resets": ours.resets, "their resets": theirs.resets}


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings about dm_control's own XML."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; `arguments` as on the command line."""
    given = parse("benchmarks.rollout", __doc__, arguments)
    scale = QUICK if given.quick else FULL
    report: dict[str, Any] = {
        "machine": machine(["mujoco", "dm-control", "numba", "envpool"]),
        "scale": vars(scale),
    }
    with quiet():
        report["rollouts"] = list(compare_rollouts(scale))
        print_table("Rollouts: control steps per second", report["rollouts"])
        report["environments"] = list(compare_environments(scale))
        print_table("Vector environment: control steps per second", report["environments"])
    report["left_out"] = missing_envpool()
    if report["left_out"]:
        print(report["left_out"])
    if given.json:
        write_json(given.json, report)


if __name__ == "__main__":
    main()
