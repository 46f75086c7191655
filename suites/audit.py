"""Does a task's simulator go back to its states exactly? Measured along random episodes.

    python -m suites.audit task=breakout
    python -m suites.audit task=walker-walk,pong cases=200 seed=1
    python -m suites.audit task=all

At each of `cases` points two things are compared, bit for bit, with what then happens in the task:

  plan       what the planner's simulation predicted, which had been elsewhere before
  snapshot   what happens once more, after the task was elsewhere and then restored

of rewards (and whether the episode ends), observations (Atari: the RAM), the screen (Atari alone),
and the state, any byte of it: what differs in that alone never showed. The dice of sticky actions
are known, and all other options are as they are without being told.

Keys
  task=<name>     one task, several with commas, or all
  cases=60        points per task
  seed=0          of the episodes and the actions
  restore=state   or replay: how games go back to states, the task.restore of a run
  force=false     true: audit anew what was audited with so many cases, this seed, these versions
  file=<path>     where it is kept; default: suites/tasks/audit.json, which runs look up, and from
                  which results/audit.md is made

An audit that was stopped is continued by the same command. The exit code is 0 also if a task fails.
"""

import difflib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import suites.environment  # noqa: F401  (before MuJoCo)
from suites.environment import complain, debugging, say
from suites.errors import UserError
from suites.progress import duration
from suites.records import versions, write_atomic
from suites.tasks import registry
from suites.tasks.atari_names import GAMES, RESTORES
from suites.tasks.control_names import TASKS

FILE = Path(__file__).resolve().parent / "tasks" / "audit.json"
TABLE = Path(__file__).resolve().parents[1] / "results" / "audit.md"
STEPS = 20  # of a plan
PLANS = 3  # of which the last is compared: its emulator has been through the others
WALK = 12  # fewer steps than this lie between two points
COMPARED = ("plan", "snapshot")
HIDDEN = "state"  # differences in which alone never showed
_DEFAULTS = {
    "task": "",
    "cases": "60",
    "seed": "0",
    "restore": "state",
    "force": "false",
    "file": str(FILE),
}


# What is compared


@dataclass(frozen=True)
class Trace:
    """What came of some actions, up to the end of the episode.

    Attributes:
      rewards: [T]. ends: Whether the game was over, [T].
      observations: The last ones, [M, O]; a prediction has one or none.
      screen, state: The last ones; None where the next episode has begun.
    """

    rewards: np.ndarray
    ends: np.ndarray
    observations: np.ndarray
    screen: np.ndarray | None
    state: np.ndarray | None


def play(task: Any, plan: np.ndarray) -> Trace:
    """Play a plan [H] or [H, A] in a task's one environment."""
    rewards, ends, observations, over = [], [], [], False
    for action in plan:
        seen, reward, terminated, truncated, infos = task.step(action[None])
        over = bool(terminated[0] or truncated[0])
        rewards.append(reward[0])
        ends.append(terminated[0])
        observations.append(infos["final_obs"][0] if over else seen[0])
        if over:
            break
    last = () if over else task.simulation.read()
    return Trace(
        np.array(rewards), np.array(ends), np.array(observations), *_screen_and_state(task, last)
    )


def predict(task: Any, simulation: Any, root: Any, plans: Any, happened: Trace) -> Trace:
    """What a planner's simulation says of the last of some plans, as far as that happened."""
    rewards, continuation, last = simulation.rollout(root, np.zeros(len(plans), int), plans)
    steps = len(happened.rewards)
    cut = happened.state is None and not happened.ends[-1]  # by the time limit, midway
    return Trace(
        rewards[-1, :steps],
        continuation[-1, :steps] == 0,
        simulation.observe(last[-1:])[int(cut) :],
        *_screen_and_state(task, last[-1:] if happened.state is not None else ()),
    )


def _screen_and_state(task: Any, rows: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Of one state [1, S] or none."""
    if not len(rows):
        return None, None
    settings = getattr(task.simulation, "settings", None)
    shown = getattr(settings, "screen", False)
    return task.simulation.observe(rows, "screen")[0] if shown else None, rows[0]


def differences(a: Trace, b: Trace) -> list[str]:
    """The kinds in which two traces of the same actions differ."""
    known = min(len(a.observations), len(b.observations))
    last = [trace.observations[len(trace.observations) - known :] for trace in (a, b)]
    differs = {
        "rewards": _differ(a.rewards, b.rewards) or _differ(a.ends, b.ends),
        "observations": _differ(*last),
        "screen": _differ(a.screen, b.screen),
        "state": _differ(a.state, b.state),
    }
    return [kind for kind, differ in differs.items() if differ]


def _differ(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is not b
    return a.shape != b.shape or a.dtype != b.dtype or a.tobytes() != b.tobytes()


def audit(task: Any, cases: int, seed: int) -> dict[str, dict[str, int]]:
    """In how many cases what is compared differs: counts by `COMPARED`, then by kind, none of 0.

    Arguments:
      task: Of one environment.
    """
    simulation, random = task.planning_simulation(1), np.random.default_rng(seed)
    task.reset(seed=seed)
    wrong: dict[str, dict[str, int]] = {name: {} for name in COMPARED}
    for _ in range(cases):
        play(task, draw(task, random, int(random.integers(1, WALK))))
        plans = draw(task, random, PLANS, STEPS)
        root, point = task.simulation.read(), task.snapshot()
        happened = play(task, plans[-1])
        told = predict(task, simulation, root, plans, happened)
        play(task, plans[0])
        task.restore(point)
        again = play(task, plans[-1])
        for name, trace in zip(COMPARED, (told, again), strict=True):
            for kind in differences(trace, happened):
                wrong[name][kind] = wrong[name].get(kind, 0) + 1
    return wrong


def draw(task: Any, random: np.random.Generator, *shape: int) -> np.ndarray:
    """Random actions, [*shape] or [*shape, A]; from -1 to 1 where they have no bounds."""
    space = task.facts.action_space
    if not hasattr(space, "low"):
        return random.integers(space.n, size=shape)
    low = np.where(np.isfinite(space.low), space.low, -1.0)
    high = np.where(np.isfinite(space.high), space.high, 1.0)
    return random.uniform(low, high, (*shape, *space.shape))


# What is kept


def read(file: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of an audit by task and by how it went back to states.

    Raises:
      UserError: where the file is damaged.
    """
    try:
        rows = json.loads(file.read_text())
        return {(row["task"], row["restore"]): row for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"can't read the audit in {file}: {error}; mend or delete it") from error


def write(file: Path, rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Keep an audit: a row a line, in the order of the tasks; and its table, of the suite's own."""
    order = {name: place for place, name in enumerate(registry.names())}
    keys = sorted(rows, key=lambda key: (order.get(key[0], len(order)), key))
    lines = ",\n".join(json.dumps(rows[key]) for key in keys)
    write_atomic(file, f"[\n{lines}\n]\n".encode())
    if file.resolve() == FILE and TABLE.parent.is_dir():
        write_atomic(TABLE, page([rows[key] for key in keys]).encode())


def installed(task: str) -> dict[str, str]:
    """The versions of what simulates a task."""
    names = ("ale-py",) if task in GAMES else ("dm-control", "mujoco") if task in TASKS else ()
    return {name: version for name, version in versions().items() if name in names}


def fault(row: dict[str, Any]) -> str:
    """What a task failed in; empty if it passed, be it with bytes that never showed."""
    return "; ".join(f"{name}: {said(row[name])}" for name in COMPARED if {*row[name]} - {HIDDEN})


def said(counts: dict[str, int]) -> str:
    """What was found of one thing that is compared: `exact`, or how often what was not."""
    if list(counts) == [HIDDEN]:
        return f"bytes that never showed {counts[HIDDEN]}"
    return ", ".join(f"{kind} {count}" for kind, count in counts.items()) or "exact"


def warning(task: str, restore: str) -> str | None:
    """One line for a run that plans on a simulator that failed its audit; None where it passed.

    Raises:
      UserError: where what is kept is damaged.
    """
    row = read(FILE).get((task, restore))
    if row is None or row["versions"] != installed(task) or not fault(row):
        return None
    cure = "task.restore=replay goes back exactly" if task in GAMES else "plans may be wrong"
    return (
        f"{task} failed the audit of its simulator ({fault(row)}, of {row['cases']} cases):"
        f" {cure if restore == 'state' else 'plans may be wrong'}"
    )


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [f"| task | cases | {' | '.join(COMPARED)} | |", "|---|---:|---|---|---|"]
    for row in rows:
        name = row["task"] + (", replay" if row["restore"] == "replay" else "")
        found = " | ".join(said(row[name]) for name in COMPARED)
        lines.append(f"| {name} | {row['cases']} | {found} | {'FAILS' if fault(row) else ''} |")
    return "\n".join(lines)


def page(rows: list[dict[str, Any]]) -> str:
    """The whole of results/audit.md."""
    used = {f"{name} {x}" for row in rows for name, x in row["versions"].items()}
    differing = [row for row in rows if any(row[name] for name in COMPARED)]
    return f"""# How exactly simulators go back to their states

Made by `python -m suites.audit`, with {", ".join(sorted(used))}.
What is compared, over {STEPS} random steps in each case, and what the words mean: `--help` there,
and [docs/atari.md](../docs/atari.md#exactness). A task that differs in its state alone passes.

## Not exact: {len(differing)} of {len(rows)} rows

{table(differing)}

## All

{table(rows)}
"""


# The command line


@dataclass(frozen=True)
class Order:
    """What a command line asks for."""

    tasks: tuple[str, ...]
    cases: int
    seed: int
    restore: str
    force: bool
    file: Path


def parse(words: list[str]) -> Order:
    """What `key=value` words ask for.

    Raises:
      UserError: for a word that makes no sense.
    """
    given = dict(_DEFAULTS)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key.startswith("-"):
            raise UserError(f"can't read '{word}': write key=value, as in task=breakout")
        if key not in given:
            close = difflib.get_close_matches(key, given, n=3)
            hint = f"; nearest: {', '.join(close)}" if close else ""
            raise UserError(f"unknown key '{key}'{hint}; `python -m suites.audit --help` lists all")
        given[key] = value
    for key, choice in {"restore": RESTORES, "force": ("true", "false")}.items():
        if given[key] not in choice:
            raise UserError(f"{key} is '{given[key]}': give {' or '.join(choice)}")
    for key, (least, most) in {"cases": (1, 10**6), "seed": (0, 2**31 - 1)}.items():
        if not (given[key].isdecimal() and least <= int(given[key]) <= most):
            raise UserError(f"{key} is '{given[key]}': give a whole number from {least} to {most}")
    if not given["task"]:
        raise UserError("no task is given: say task=breakout, task=walker-walk,pong or task=all")
    return Order(
        tasks=_tasks(given["task"], given["restore"]),
        cases=int(given["cases"]),
        seed=int(given["seed"]),
        restore=given["restore"],
        force=given["force"] == "true",
        file=Path(given["file"]),
    )


def _tasks(names: str, restore: str) -> tuple[str, ...]:
    if names == "all":
        return registry.names() if restore == "state" else GAMES
    found = tuple(registry.config(name)["name"] for name in names.split(","))
    for name in found:
        if restore != "state" and name not in GAMES:
            raise UserError(f"restore={restore} is for Atari games, and {name} is none")
    return found


def carry_out(order: Order) -> list[dict[str, Any]]:
    """The rows that an order asks for, of which what is missing is measured and kept."""
    rows = []
    for number, name in enumerate(order.tasks, 1):
        row, told = read(order.file).get((name, order.restore)), "already audited"
        if order.force or row is None or not suffices(row, order):
            begin = time.monotonic()
            row = measure(name, order)
            write(order.file, {**read(order.file), (name, order.restore): row})
            told = duration(time.monotonic() - begin)
        found = "; ".join(f"{compared} {said(row[compared])}" for compared in COMPARED)
        complain(f"{number}/{len(order.tasks)}  {name}: {found} ({told})")
        rows.append(row)
    return rows


def suffices(row: dict[str, Any], order: Order) -> bool:
    """Whether a row tells what an order wants to know; more cases begin with the fewer."""
    same = (row["seed"], row["versions"]) == (order.seed, installed(row["task"]))
    return same and row["cases"] >= order.cases


def measure(name: str, order: Order) -> dict[str, Any]:
    """The row of a task."""
    settings = registry.config(name)
    if name in GAMES:
        settings |= {"screen": True, "restore": order.restore}
    counts = audit(registry.make(settings), order.cases, order.seed)
    facts = {"cases": order.cases, "seed": order.seed, "versions": installed(name)}
    return {"task": name, "restore": order.restore, **facts, **counts}


def main(words: list[str]) -> int:
    """The command line. Exit code 0: measured; 2: bad input, told in one line."""
    try:
        say(__doc__ if {"-h", "--help"} & {*words} else table(carry_out(parse(words))))
    except UserError as error:
        if debugging():
            raise
        complain(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        complain("interrupted: the same command continues")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
