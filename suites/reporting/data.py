"""The data of a report: what many runs recorded, as columns that a page can hold.

The page draws, and resamples runs for what depends on what it shows: so it gets the scores of all
seeds, and how the bootstrap of `suites.statistics` draws them. Final scores with their intervals
come ready.
"""

import base64
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from suites.points import AXES, Group, groups, spent
from suites.results import Results, RunInfo
from suites.statistics import DEFAULT, ENOUGH, estimate, resampled

Array = NDArray[np.float64]
TOGETHER = 8  # sets of tasks, at most, that are offered to be looked at together
_OF_RUN = ("seed", "task", "runs_dir", "experiment")  # what differs between a method's runs


def collect(results: Results, left_out: Sequence[str], place: Path) -> dict[str, Any]:
    """All that a report tells of runs.

    Arguments:
      results: The runs.
      left_out: What was left out while reading, a line each.
      place: The folder of the report, which links are relative to.
    """
    found = groups(results)
    tasks = sorted({group.task for group in found})
    names = sorted({group.method for group in found})
    normalised = results.rows["normalised"]
    sets = together([group for group in found if np.isfinite(normalised[group.rows]).all()])
    return {
        "axes": {name: axis.title for name, axis in AXES.items()},
        "tasks": tasks,
        "sets": [[tasks.index(task) for task in of] for of in sets],
        **_methods(results, found, names),
        "groups": _groups(results, found, tasks, names),
        "together": _together(results, found, sets, tasks, names),
        "bootstrap": {
            "enough": ENOUGH,
            "confidence": DEFAULT.confidence,
            "resamples": DEFAULT.resamples,
            "draws": draws(results, found),
        },
        "runs": _runs(results, found, place),
        "left_out": _left_out(results.unfinished, left_out, place),
        "protocol": _protocol(results.runs),
    }


def encode(data: dict[str, Any]) -> str:
    """As JSON that can stand in a page: no tag ends or begins in it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def rounded(values: Array, digits: int) -> Array:
    """To so many significant digits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log10(np.abs(values))) - digits + 1
    exponent = np.where(np.isfinite(exponent), exponent, 0.0)
    up, down = 10.0 ** np.maximum(exponent, 0), 10.0 ** np.maximum(-exponent, 0)
    return np.round(values / up * down) * up / down


def packed(values: Array, digits: int) -> Any:
    """Numbers [G, n] in few characters: each, or one per row, or one, or None if all are unknown.

    Those of a row are taken as one where they are alike; single unknown ones are None.
    """
    values = rounded(values, digits)
    if np.isnan(values).all():
        return None
    rows = values[:, 0]
    if np.isnan(values).any() or (values != rows[:, None]).any():
        return [_number(value) for value in values.ravel().tolist()]
    if (rows == rows[0]).all():
        return _number(float(rows[0]))
    return [_number(value) for value in rows.tolist()]


def _number(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) else value


def draws(results: Results, found: Iterable[Group]) -> dict[int, str]:
    """For each number of seeds how often each is drawn in each resample [R, n], as bytes.

    As `suites.statistics.estimate` draws them, of one task.
    """
    made = {}
    for n in sorted({len(group.runs) for group in found}):
        if n >= ENOUGH:
            rng = np.random.default_rng(DEFAULT.seed)
            counts = n * resampled(np.array([n]), DEFAULT.resamples, rng)
            made[n] = base64.b64encode(np.rint(counts).astype(np.uint8).tobytes()).decode()
    return made


def together(found: Iterable[Group]) -> list[list[str]]:
    """Sets of at least two tasks that can be looked at together, those of most methods first.

    Methods that ran on the same tasks make a set; whoever ran on more is compared on it too.
    """
    ran: dict[str, set[str]] = {}
    for group in found:
        ran.setdefault(group.method, set()).add(group.task)
    sets = {frozenset(of) for of in ran.values() if len(of) > 1}
    counts = {of: sum(of <= theirs for theirs in ran.values()) for of in sets}
    order = sorted(
        (of for of in sets if counts[of] > 1), key=lambda of: (-counts[of] * len(of), sorted(of))
    )
    return [sorted(of) for of in order[:TOGETHER]]


def _methods(results: Results, found: Sequence[Group], names: list[str]) -> dict[str, Any]:
    """Each method: what it is, which settings tell it from others, and all of them."""
    of: dict[str, Group] = {}
    for group in found:
        of.setdefault(group.method, group)
    runs = [results.runs[of[name].runs[0]] for name in names]
    settings = [_settings(run) for run in runs]
    keys = sorted({key for each in settings for key in each})
    common = {
        key: settings[0][key]
        for key in keys
        if all(key in each and each[key] == settings[0][key] for each in settings)
    }
    own = [{key: x for key, x in each.items() if key not in common} for each in settings]
    return {
        "common": common,
        "methods": {
            "name": names,
            "family": [of[name].family for name in names],
            "parts": [_parts(run) for run in runs],
            "settings": own,
            "telling": [_telling(run, runs) for run in runs],
        },
    }


def _settings(run: RunInfo) -> dict[str, str]:
    return {
        key: "null" if value is None else str(value)
        for key, value in run.settings.items()
        if key.partition(".")[0] not in _OF_RUN or (key.startswith("task.") and key != "task.name")
    }


def _parts(run: RunInfo) -> list[str]:
    """What plans, what it plans in, and what learns; without what is not there."""
    kinds = {"planner": run.plans, "world_model": run.plans or run.models, "learner": run.learns}
    said = [str(run.settings.get(f"{k}._target_")).split(".")[1:] for k in kinds]
    return [
        of[0] if there and of else "none" for of, there in zip(said, kinds.values(), strict=True)
    ]


def _telling(run: RunInfo, runs: Iterable[RunInfo]) -> list[str]:
    """Keys of the settings that tell a method from others of its planner, model or learner."""
    found = set()
    for key, value in run.settings.items():
        part = key.partition(".")[0]
        if part not in ("planner", "world_model", "learner", "budget", "task"):
            continue
        if part in ("budget", "task"):
            alike = [other for other in runs if other.task == run.task]
        else:
            kind = f"{part}._target_"
            alike = [o for o in runs if o.settings.get(kind) == run.settings.get(kind)]
        if any(key in other.settings and other.settings[key] != value for other in alike):
            found.add(key)
    return sorted(found)


def _groups(
    results: Results, found: Sequence[Group], tasks: list[str], names: list[str]
) -> dict[str, Any]:
    """Columns over groups; what has a number for each evaluation and seed is packed."""
    costs, acting = spent(results)
    score, normalised = results.rows["score"], results.rows["normalised"]
    failed = Counter((run.task, run.agent, run.digest) for run in results.unfinished if run.failed)
    return {
        "task": [tasks.index(group.task) for group in found],
        "method": [names.index(group.method) for group in found],
        "privileges": [group.privileges for group in found],
        "seeds": [[results.runs[i].seed for i in group.runs] for group in found],
        "steps": [group.steps.tolist() for group in found],
        "score": [packed(score[group.rows], 6) for group in found],
        "normalised": [packed(normalised[group.rows], 6) for group in found],
        "costs": {name: [packed(x[group.rows], 4) for group in found] for name, x in costs.items()},
        "episode": {
            name: [packed(x[group.rows].mean(axis=1, keepdims=True), 3) for group in found]
            for name, x in acting.items()
        },
        "iqm": _intervals([[score[group.rows[-1]]] for group in found]),
        "iqm_normalised": _intervals([[normalised[group.rows[-1]]] for group in found]),
        "failed": [_failed(results, group, failed) for group in found],
    }


def _failed(results: Results, group: Group, left_out: Counter[tuple[str, str, str]]) -> int:
    """Runs of a group that failed, those that were left out too."""
    runs = [results.runs[i] for i in group.runs]
    kinds = {(run.task, run.agent, run.digest) for run in runs}
    return sum(run.failed for run in runs) + sum(left_out[kind] for kind in kinds)


def _intervals(strata: Sequence[Sequence[Array]]) -> dict[str, list[Any]]:
    """IQM of final scores; None where a score is unknown."""
    known = [all(np.isfinite(x).all() for x in of) for of in strata]
    made = [estimate(of) if there else None for of, there in zip(strata, known, strict=True)]
    return {
        "value": [_told(of.value) if of else None for of in made],
        "low": [_told(of.low) if of else None for of in made],
        "high": [_told(of.high) if of else None for of in made],
        "method": [of.method if of else "a score can't be normalised" for of in made],
    }


def _told(value: float | None) -> float | int | None:
    return None if value is None else _number(float(rounded(np.array(value), 6)))


def _together(
    results: Results,
    found: Sequence[Group],
    sets: Sequence[Sequence[str]],
    tasks: list[str],
    names: list[str],
) -> dict[str, Any]:
    """Columns over methods that ran on all tasks of a set: normalised final scores."""
    at = {(group.method, group.task): i for i, group in enumerate(found)}
    rows = [
        (number, names.index(name), [at[name, task] for task in of])
        for number, of in enumerate(sets)
        for name in names
        if all((name, task) in at for task in of)
    ]
    normalised = results.rows["normalised"]
    strata = [[normalised[found[i].rows[-1]] for i in of] for _, _, of in rows]
    return {
        "set": [number for number, _, _ in rows],
        "method": [name for _, name, _ in rows],
        "groups": [of for _, _, of in rows],
        "iqm_normalised": _intervals(strata),
    }


def _runs(results: Results, found: Sequence[Group], place: Path) -> dict[str, Any]:
    """Columns over the runs of all groups: the group, the seed, the folder, its videos."""
    rows = [(g, results.runs[i]) for g, group in enumerate(found) for i in group.runs]
    return {
        "group": [g for g, _ in rows],
        "seed": [run.seed for _, run in rows],
        "path": [link(run.path, place) for _, run in rows],
        "videos": [[link(v, place) for v in videos(run.path)] for _, run in rows],
    }


def videos(run: Path) -> list[Path]:
    """Those that a run left."""
    folder = run / "video"
    return sorted(folder.glob("*.mp4")) if folder.is_dir() else []


def link(path: Path, place: Path) -> str:
    """From a folder to a file, as a relative address."""
    return quote(os.fsencode(os.path.relpath(path, place).replace(os.sep, "/")))


def _left_out(runs: Iterable[RunInfo], lines: Sequence[str], place: Path) -> dict[str, Any]:
    """Runs that don't count, and what could not be read."""
    ordered = sorted(runs, key=lambda run: (run.status, run.task, run.agent, run.seed))
    return {
        "task": [run.task for run in ordered],
        "agent": [run.agent for run in ordered],
        "seed": [run.seed for run in ordered],
        "status": [run.status for run in ordered],
        "reason": [run.reason for run in ordered],
        "evaluations": [_lines(run.path / "evaluations.jsonl") for run in ordered],
        "path": [link(run.path, place) for run in ordered],
        "lines": list(lines),
    }


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def _protocol(runs: Sequence[RunInfo]) -> dict[str, Any]:
    """How tasks were scored, with which versions, and where: each value with its number of runs."""
    facts: dict[str, dict[str, Counter[str]]] = {}
    for run in runs:
        told = facts.setdefault(run.task, {})
        for key, value in run.protocol.items():
            if not key.startswith("versions "):
                name = key.removeprefix("protocol ")
                told.setdefault(name, Counter())[str(value)] += 1
    versions: dict[str, Counter[str]] = {}
    for run in runs:
        for name, value in run.versions.items():
            versions.setdefault(name, Counter())[value] += 1
    return {
        "tasks": {task: facts[task] for task in sorted(facts)},
        "versions": versions,
        "machines": Counter(run.machine for run in runs),
    }
