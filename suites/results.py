"""What many runs recorded, as arrays: the one reader of all that compares.

Evaluations are read by an embedded DuckDB, which needs neither a server nor the memory for all
rows at once. What is damaged or not ours is left out with a warning, so that one bad file does not
hide a thousand good ones.
"""

import json
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from suites.errors import UserError
from suites.records import FORMAT, INTERRUPTED, NOT_IN_HASH, parse_rows
from suites.tasks.atari_names import SCORES

# Folders in a run directory that hold no other run.
_INSIDE = ("checkpoint", "video", "look", "diagnose")
# Settings that don't tell one method from another.
_NO_METHOD = {*NOT_IN_HASH, "evaluation", "task.name", "task._target_"}
# Settings of a task that belong to how an agent acts and sees, not to how it is scored.
_AGENTS = ("_target_", "name", "frame_skip", "screen", "restore", "observation")
# Packages that decide what a task is.
_WORLDS = ("mujoco", "dm-control", "ale-py")
# Columns of the ledger that are compared, of training and of evaluation.
COUNTED = (
    *("env_steps", "decisions", "sim_steps", "model_steps", "flops", "cpu_seconds"),
    *("compile_seconds", "joules", "act_seconds"),
)


@dataclass(frozen=True)
class RunInfo:
    """What a run is.

    Attributes:
      path: Its directory.
      task, agent, seed, digest: As in its path.
      label: The name of its variant in a sweep; None if it has none.
      status: running, done or failed. `reason` of the failure.
      settings: Each dotted key of its configuration with its value.
      versions: Of the packages at its last start. `machine`: its processor then.
    """

    path: Path
    task: str
    agent: str
    seed: int
    digest: str
    label: str | None
    status: str
    reason: str | None
    settings: dict[str, Any]
    versions: dict[str, str]
    machine: str

    @property
    def failed(self) -> bool:
        """Whether it ended with an error; an interrupted run can go on."""
        return self.status == "failed" and self.reason != INTERRUPTED

    @property
    def plans(self) -> bool:
        """Whether it has a planner."""
        return not str(self.settings.get("planner._target_")).endswith("NoPlanner")

    @property
    def models(self) -> bool:
        """Whether it learns a world model."""
        return not str(self.settings.get("world_model._target_")).endswith("Simulator")

    @property
    def learns(self) -> bool:
        """Whether it learns a policy or a value."""
        return not str(self.settings.get("learner._target_")).endswith("NoLearner")

    @property
    def privileges(self) -> tuple[str, ...]:
        """What it knows that an agent in the real task would not."""
        known = {
            "simulator": self.plans and not self.models,
            "reward": self.settings.get("world_model.reward") == "task",
            "clairvoyant": bool(self.settings.get("world_model.clairvoyant")),
            "RAM": self.settings.get("task.observation") == "ram" and (self.plans or self.learns),
        }
        return tuple(name for name, there in known.items() if there)

    @property
    def protocol(self) -> dict[str, Any]:
        """What must agree where scores are compared, by the kind that `mix=` knows."""
        told: dict[str, Any] = {"clairvoyant": bool(self.settings.get("world_model.clairvoyant"))}
        for key, value in self.settings.items():
            group, _, name = key.partition(".")
            if group == "task" and name not in _AGENTS:
                told["sticky" if name == "sticky" else f"protocol {key}"] = value
        first = self.settings.get("evaluation.seed")
        told["protocol evaluation.seed"] = "the run's" if first == self.seed else first
        for name in _WORLDS:
            if name in self.versions:
                told[f"versions {name}"] = self.versions[name]
        return told


@dataclass(frozen=True)
class Results:
    """Evaluations of N runs, R rows in all.

    Attributes:
      runs: N of them, all with at least one row.
      rows: Columns [R], sorted by run and then by training: `score`, `normalised`, `episodes` of
        the evaluation, the ledger's columns of training, and `evaluation_...` of one episode, NaN
        where it is not known. `planned`: the control steps of training that the evaluation was
        planned at, which a run may exceed by a part of a decision, another part for each seed.
      first: [N + 1]; the rows of run i are first[i] to first[i + 1].
      unfinished: Runs that are left out: without a single evaluation, or not done.
      methods: The name of each run's method [N]: on a task, runs of one differ in nothing but seed.
    """

    runs: list[RunInfo]
    rows: dict[str, NDArray[np.float64]]
    first: NDArray[np.int64]
    unfinished: list[RunInfo]
    methods: list[str]

    @property
    def last(self) -> NDArray[np.int64]:
        """The last row [N] of each run."""
        return self.first[1:] - 1

    def of(self, run: int) -> slice:
        """Its rows."""
        return slice(int(self.first[run]), int(self.first[run + 1]))

    def curve(self, run: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Planned control steps [E] and normalised scores [E] of its evaluations.

        Where a step was told twice, the last one counts.
        """
        rows = self.of(run)
        steps = self.rows["planned"][rows]
        last = np.append(np.diff(steps) > 0, True)
        return steps[last], self.rows["normalised"][rows][last]

    def keep(self, wanted: Sequence[bool] | NDArray[np.bool_]) -> "Results":
        """Those runs alone, under their names."""
        kept = np.asarray(wanted, dtype=bool)
        lengths = np.diff(self.first)
        rows = np.repeat(kept, lengths)
        return replace(
            self,
            runs=list(compress(self.runs, kept)),
            rows={name: x[rows] for name, x in self.rows.items()},
            first=np.concatenate([[0], np.cumsum(lengths[kept])]),
            methods=list(compress(self.methods, kept)),
        )

    def named(self) -> "Results":
        """The methods named anew, by what tells them from those that are there."""
        return replace(self, methods=name_methods(self.runs))


def load(paths: Iterable[Path]) -> Results:
    """All runs below these folders; of two copies of a run one that is done, and the longer one.

    Raises:
      UserError: where there are none, or DuckDB is not installed.
    """
    runs: dict[tuple[str, str, str, int], tuple[RunInfo, tuple[bool, int]]] = {}
    for path in paths:
        found = _find(path)
        if not found:
            raise UserError(f"no runs in {path}: give a folder of run directories, such as runs")
        for folder, size in found:
            run = _info(folder)
            if run is None:
                continue
            key, worth = (run.task, run.agent, run.digest, run.seed), (run.status == "done", size)
            if key not in runs or runs[key][1] < worth:
                runs[key] = run, worth
    ordered = [runs[key][0] for key in sorted(runs)]
    started = [run for run in ordered if (run.path / "evaluations.jsonl").exists()]
    rows, lengths = _rows(started)
    there = lengths > 0
    kept = [run for run, any_rows in zip(started, there, strict=True) if any_rows]
    evaluated = {run.path for run in kept}
    unfinished = [run for run in ordered if run.path not in evaluated]
    if not kept:
        raise UserError("none of these runs has been evaluated yet")
    first = np.concatenate([[0], np.cumsum(lengths[there])]).astype(np.int64)
    return Results(kept, _per_episode(rows, first), first, unfinished, name_methods(kept))


def _find(root: Path) -> list[tuple[Path, int]]:
    """Run directories, and the bytes of their evaluations."""
    if not root.is_dir():
        raise UserError(f"{root} is no folder: give one with run directories, such as runs")
    found = []
    for folder, inside, files in os.walk(root):
        away = _INSIDE if "manifest.json" in files else (".git",)
        inside[:] = sorted(name for name in inside if name not in away)
        if "manifest.json" in files:
            rows = Path(folder, "evaluations.jsonl")
            found.append((Path(folder), rows.stat().st_size if rows.exists() else -1))
        elif "evaluations.jsonl" in files:
            warnings.warn(f"left out {folder}: it has no manifest.json", stacklevel=2)
    return found


def _info(path: Path) -> RunInfo | None:
    """What a run directory says of itself; None, with a warning, if it is not one of ours."""
    try:
        manifest = json.loads((path / "manifest.json").read_text())
        if manifest.get("format", 1) > FORMAT:
            raise UserError(f"its format {manifest['format']} is of a newer version of the suite")
        start = manifest["starts"][-1]
        if "config" not in manifest:  # format 1
            text = (path / "config.yaml").read_text()
            config = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            names = {"task": path.parts[-4], "agent": path.parts[-3], "seed": config["seed"]}
            manifest = {**manifest, **names, "config": config}
        told = json.loads(status.read_text()) if (status := path / "status.json").exists() else {}
        return RunInfo(
            path=path,
            task=str(manifest["task"]),
            agent=str(manifest["agent"]),
            seed=int(manifest["seed"]),
            digest=str(manifest["config_hash"]),
            label=None if (label := manifest["config"].get("label")) is None else str(label),
            status=str(told.get("status", "running")),
            reason=told.get("reason"),
            settings=_settings(manifest["config"]),
            versions=start["versions"],
            machine=str(start["machine"]["processor"]),
        )
    except UserError as error:
        warnings.warn(f"left out {path}: {error}", stacklevel=2)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, yaml.YAMLError):
        warnings.warn(
            f"left out {path}: its manifest.json or config.yaml is not of a run", stacklevel=2
        )
    return None


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """Each dotted key with its value; of older runs too what was not a setting yet."""
    found = _flat(config)
    if found.get("world_model._target_") == "world_models.ensemble.Ensemble":
        found.setdefault("world_model.reward", "learned")
    return found


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Each dotted key with its value."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _rows(runs: list[RunInfo]) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """Columns of all rows, sorted by run, and how many [N] each run has."""
    try:
        import duckdb
    except ImportError:
        raise UserError(
            "comparing runs needs DuckDB, which is not installed: pip install"
            " 'plan-or-learn[compare]'"
        ) from None
    numbers = ["score", *COUNTED, *(f"evaluation_{name}" for name in COUNTED)]
    columns = dict.fromkeys(numbers, "DOUBLE") | {
        "returns": "DOUBLE[]",
        "lengths": "DOUBLE[]",
        "reference": "STRUCT(random DOUBLE, best DOUBLE, human DOUBLE)",
    }
    files = [str(run.path / "evaluations.jsonl") for run in runs]
    # A path is a path: nothing in it is a pattern, and no `key=value` in it a column.
    patterns = [re.sub(r"([*?[])", r"[\1]", file) for file in files]
    query = f"""
        select filename, {", ".join(numbers)}, len(returns) as episodes,
               list_sum(lengths) as played,
               reference.random as worst, coalesce(reference.human, reference.best) as best
        from read_json(?, format = 'newline_delimited', columns = ?, filename = true,
                       ignore_errors = true, hive_partitioning = false)
    """
    if not files:
        return {}, np.zeros(0, dtype=np.int64)
    database = duckdb.connect(config={"memory_limit": "300MB", "threads": 2})
    try:
        found = database.execute(query, [patterns, columns]).fetchnumpy()
    except duckdb.Error as error:
        said = str(error).splitlines()[0]
        raise UserError(f"can't read the evaluations of these runs: {said}") from error
    finally:
        database.close()
    number = {file: i for i, file in enumerate(files)}
    owner = np.array([number[file] for file in found.pop("filename")], dtype=np.int64)
    table = {
        name: np.ma.filled(np.ma.asarray(x).astype(float), np.nan) for name, x in found.items()
    }
    damaged = np.isnan(table["score"]) | np.isnan(table["env_steps"]) | np.isnan(table["episodes"])
    for i in np.unique(owner[damaged]):
        _complain(runs[i].path)
    order = np.lexsort((table["env_steps"], owner))  # stable
    order = order[~damaged[order]]
    owner, table = owner[order], {name: x[order] for name, x in table.items()}
    worst, best = _references(runs, owner, table.pop("worst"), table.pop("best"))
    table["normalised"] = (table["score"] - worst) / (best - worst)
    counts = np.bincount(owner, minlength=len(runs))
    each = np.split(table["env_steps"], np.cumsum(counts)[:-1])
    table["planned"] = np.concatenate([_planned(*pair) for pair in zip(runs, each, strict=True)])
    return table, counts


def _planned(run: RunInfo, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The control steps of training [E] at which a run was to be evaluated, given those it took."""
    total, every = (run.settings.get(key) for key in ("budget.env_steps", "evaluation.every"))
    if not total or not every:
        return steps
    return np.where(steps >= total, total, steps // every * every)


def _complain(path: Path) -> None:
    """Say what is wrong with rows that were left out: a torn last line, or worse."""
    file = path / "evaluations.jsonl"
    try:
        parse_rows(file)  # warns of a torn last line
    except UserError as error:
        warnings.warn(f"{error}; its other lines are used", stacklevel=2)


def _references(
    runs: list[RunInfo],
    owner: NDArray[np.int64],
    worst: NDArray[np.float64],
    best: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores [R] that are normalised to 0 and 1; rows of format 1 don't tell them."""
    known = {run.task: SCORES.get(run.task) for run in runs}
    control = {run.task for run in runs if ".control." in str(run.settings.get("task._target_"))}
    bounds = [known[run.task] or ((0.0, 1000.0) if run.task in control else None) for run in runs]
    table = np.array([pair or (np.nan, np.nan) for pair in bounds]).reshape(-1, 2)
    unknown = np.isnan(best)
    return np.where(unknown, table[owner, 0], worst), np.where(unknown, table[owner, 1], best)


def _per_episode(
    rows: dict[str, NDArray[np.float64]], first: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """The ledger's columns of evaluation, which are sums since the beginning, for one episode.

    NaN where the row before is missing: then it is not known what this evaluation took of it.
    """
    begins = np.zeros(len(rows["score"]), dtype=bool)
    begins[first[:-1]] = True

    def since(name: str) -> NDArray[np.float64]:
        total = rows[f"evaluation_{name}"]
        return total - np.where(begins, 0.0, np.concatenate([[0.0], total[:-1]]))

    played = rows.pop("played")
    episodes = np.where(np.isnan(played) | (since("env_steps") == played), rows["episodes"], np.nan)
    return rows | {f"evaluation_{name}": since(name) / episodes for name in COUNTED}


def distinct(results: Results) -> Results:
    """One run of each seed of a method on a task: that with most episodes, then most evaluations.

    Runs that differ only in how often they were evaluated are no other seeds. Warns of the others.
    """
    episodes, counts = results.rows["episodes"][results.last], np.diff(results.first)
    worth = list(zip(episodes.tolist(), counts.tolist(), strict=True))
    best: dict[tuple[str, str, int], int] = {}
    for i, (run, method) in enumerate(zip(results.runs, results.methods, strict=True)):
        key = run.task, method, run.seed
        if key not in best or worth[best[key]] < worth[i]:
            best[key] = i
    kept = np.isin(np.arange(len(results.runs)), list(best.values()))
    for i in np.flatnonzero(~kept):
        run = results.runs[i]
        other = results.runs[best[run.task, results.methods[i], run.seed]]
        warnings.warn(f"left out {run.path}: {other.path} is the same seed", stacklevel=2)
    return results.keep(kept)


def name_methods(runs: list[RunInfo]) -> list[str]:
    """Names [N]: the label of a sweep's variant, or the agent and what tells it from its like.

    Settings count that differ between runs of one agent on one task. A setting that a run does not
    have (an older one, or another kind of task) tells nothing.
    """
    values: dict[tuple[str, str], dict[str, set[str]]] = {}
    for run in runs:
        seen = values.setdefault((run.agent, run.task), {})
        for key, value in run.settings.items():
            if not _is_of_run(key):
                seen.setdefault(key, set()).add(str(value))
    telling: dict[str, set[str]] = {}
    for (agent, _), seen in values.items():
        found = {key for key, different in seen.items() if len(different) > 1}
        telling.setdefault(agent, set()).update(found)
    names = []
    for run in runs:
        keys = sorted(key for key in telling[run.agent] if key in run.settings)
        told = [f"{key.rpartition('.')[2]}={run.settings[key]}" for key in keys]
        names.append(" ".join([run.agent, *told]))
    return _labelled(runs, names)


def _labelled(runs: list[RunInfo], names: list[str]) -> list[str]:
    """Those names [N] replaced for which a sweep has a label, the same of all runs that have one.

    A label that means two methods on one task says too little, and stays away.
    """
    labels: dict[str, set[str]] = {}
    meant: dict[tuple[str, str], set[str]] = {}
    for run, name in zip(runs, names, strict=True):
        if run.label:
            labels.setdefault(name, set()).add(run.label)
    for run, name in zip(runs, names, strict=True):
        for label in labels.get(name, ()):
            meant.setdefault((run.task, label), set()).add(name)
    vague = {label for (_, label), several in meant.items() if len(several) > 1}
    found = []
    for name in names:
        here = labels.get(name, set())
        found.append(next(iter(here)) if len(here) == 1 and not here & vague else name)
    return found


def _is_of_run(key: str) -> bool:
    """Whether a setting is of the run or its task rather than of the method."""
    return key in _NO_METHOD or key.partition(".")[0] in _NO_METHOD or key.endswith("seed")


def check_comparable(results: Results, mix: Iterable[str] = ()) -> None:
    """Refuse runs of a task that were not scored alike.

    Arguments:
      mix: What may differ all the same: clairvoyant, sticky, protocol, versions.

    Raises:
      UserError: for the first that differs, with what to do.
    """
    allowed = set(mix)
    seen: dict[tuple[str, str], dict[str, list[RunInfo]]] = {}
    for run in results.runs:
        for kind, value in run.protocol.items():
            seen.setdefault((run.task, kind), {}).setdefault(str(value), []).append(run)
    for (task, what), values in seen.items():
        kind, _, key = what.partition(" ")
        if len(values) > 1 and kind not in allowed:
            told = " and ".join(
                f"{value} ({len(runs)}, such as {runs[0].path})"
                for value, runs in sorted(values.items(), key=lambda item: -len(item[1]))
            )
            raise UserError(
                f"{task}: can't compare runs with {key or kind} {told}: choose with only=,"
                f" or say mix={kind}"
            )
