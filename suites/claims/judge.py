"""The verdict of a claim, from the runs that are done."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from suites.claims.design import Claim
from suites.claims.verdicts import Comparison, combined, compare
from suites.efficiency import areas, steps_to
from suites.errors import UserError
from suites.points import spent
from suites.records import INTERRUPTED, read_json
from suites.results import Results, check_comparable, load
from suites.statistics import Strata
from suites.sweeps.engine import Job, cpu_seconds

Record = dict[str, Any]
# Costs that the verdict tells of each arm, of its training and of one episode after it.
COSTS = ("env_steps", "sim_steps", "model_steps", "cpu_seconds")


def judge(claim: Claim, jobs: list[Job]) -> Record:
    """What came of a claim, as it is written to `verdict.json`.

    Raises:
      UserError: where no run is done, runs were not scored alike, or have no normalised score.
    """
    done = [job for job in jobs if job.summary()]
    if not done:
        raise UserError(f"{claim.name}: no run is done yet")
    arm_of = {job.path.resolve(): job.method for job in done}
    found = load([_root(jobs)])
    results = found.keep([run.path.resolve() in arm_of for run in found.runs])
    check_comparable(results)
    if not np.isfinite(results.rows["normalised"]).all():
        raise UserError(f"{claim.name}: a task has no scores that normalise its own")
    arms = [arm_of[run.path.resolve()] for run in results.runs]
    compared = [_comparison(claim, jobs, results, arms, pair) for pair in claim.test.compare]
    verdict, seeds = combined(claim.test, compared)
    order = {arm: k for k, arm in enumerate(claim.runs["variants"])}
    return {
        "name": claim.name,
        "budget": claim.budget,
        "claim": claim.claim,
        "source": claim.source,
        "limits": claim.limits,
        "rule": rule(claim),
        "verdict": verdict,
        "seeds_needed": _finite(seeds),
        "comparisons": [_told(one) for one in compared],
        "arms": sorted(_arms(results, arms), key=lambda row: (row["task"], order[row["arm"]])),
        "runs": len(jobs),
        "done": len(done),
        **_missing([job for job in jobs if job not in done]),
        "cpu_seconds": round(sum(cpu_seconds(job.summary() or {}) for job in done), 1),
        "machine": sorted({run.machine for run in results.runs}),
    }


def _root(jobs: list[Job]) -> Path:
    return jobs[0].path.parents[3]


def rule(claim: Claim) -> str:
    """What decides, in words."""
    test = claim.test
    scores = {
        "final": "the normalised score after all training",
        "area": "the mean height of the curve of normalised scores",
        "steps": f"the share of the training that was left at a score of {test.threshold}",
    }
    x, y = (*test.compare[0], "")[:2] if len(test.compare) == 1 else ("X", "Y")
    effect = {
        "difference": f"{scores[test.of]}, mean of {x} less that of {y}",
        "improvement": f"{scores[test.of]}, probability that a run of {x} beats one of {y}",
        "failures": f"fraction of runs with a normalised score below {test.threshold}",
        "confusion": f"chance that two groups of {test.group} seeds look different"
        f" (the better mean is better by {100 * test.by:g}%)",
    }[test.kind]
    if test.rule == "above":
        told = f"supported above {test.margin:g}, contradicted below"
    else:
        told = f"supported further than {test.margin:g} from 0, contradicted nearer"
    many = f"; for {test.needs} of the comparisons" if len(test.compare) > 1 else ""
    return f"{effect}; {told}, for the whole interval{many}"


# ---- from runs to scores ----


def _comparison(
    claim: Claim, jobs: list[Job], results: Results, arms: list[str], compared: tuple[str, ...]
) -> Comparison:
    """Decide one comparison. The k-th task of one arm meets the k-th of the other."""
    tasks = [list(dict.fromkeys(job.task for job in jobs if job.method == a)) for a in compared]
    if len({len(theirs) for theirs in tasks}) > 1:
        raise UserError(f"{claim.name}: {' and '.join(compared)} have not as many tasks")
    strata: list[list[np.ndarray]] = [[] for _ in compared]
    for met in zip(*tasks, strict=True):
        members = [
            {run.seed: i for i, run in enumerate(results.runs) if (arms[i], run.task) == who}
            for who in zip(compared, met, strict=True)
        ]
        if claim.test.paired:
            shared = set.intersection(*map(set, members))
            members = [{seed: of[seed] for seed in sorted(shared)} for of in members]
        scores = _scores(claim, results, [list(of.values()) for of in members])
        for runs, one in zip(strata, scores, strict=True):
            runs.append(one)
    return compare(claim.test, compared, strata)


def _scores(claim: Claim, results: Results, groups: list[list[int]]) -> Strata:
    """The score [n] of each run of some groups, which are compared."""
    if claim.test.of == "final":
        return [results.rows["normalised"][results.last[of]] for of in groups]
    curves = [[results.curve(i) for i in of] for of in groups]
    together = [curve for of in curves for curve in of]
    if not together:
        return [np.zeros(0) for _ in groups]
    start, end = max(c[0][0] for c in together), min(c[0][-1] for c in together)
    if start >= end or any(c[0][-1] != end for c in together):
        raise UserError(f"{claim.name}: of={claim.test.of} compares runs with the same training")
    if claim.test.of == "area":
        return [areas(of, start, end) if of else np.zeros(0) for of in curves]
    assert claim.test.threshold is not None
    # As all runs end at the same step, the mean of this is that of Kaplan and Meier, restricted.
    return [
        1 - steps_to(of, claim.test.threshold).steps / end if of else np.zeros(0) for of in curves
    ]


# ---- what is told beside the verdict ----


def _told(one: Comparison) -> Record:
    effect = one.effect
    told: Record = {"arms": list(one.arms), "verdict": one.verdict}
    told["seeds_needed"] = _finite(one.seeds)
    if effect:
        told |= {"effect": effect.value, "low": effect.low, "high": effect.high}
        told |= {"method": effect.method, "runs": effect.n, "seeds": effect.least}
    return told


def _finite(seeds: float | None) -> float | str | None:
    return "no number" if seeds == math.inf else seeds


def _arms(results: Results, arms: list[str]) -> list[Record]:
    """Of each arm on each task: what it scored, and what that cost."""
    costs, acting = spent(results)
    members: dict[tuple[str, str], list[int]] = {}
    for i, (run, arm) in enumerate(zip(results.runs, arms, strict=True)):
        members.setdefault((run.task, arm), []).append(int(results.last[i]))
    rows = []
    for (task, arm), last in members.items():
        scores = results.rows["normalised"][last]
        row: Record = {"task": task, "arm": arm, "n": len(scores)}
        row |= {"mean": float(scores.mean()), "deviation": float(scores.std(ddof=len(scores) > 1))}
        row |= {"least": float(scores.min()), "most": float(scores.max())}
        for name in COSTS:
            episode = acting[name][last]
            row[f"training_{name}"] = float(np.mean(costs[name][last] - episode))
            row[f"episode_{name}"] = float(np.mean(episode))
        rows.append(row)
    return rows


def _missing(jobs: list[Job]) -> Record:
    """Runs that failed, with the reason, and those that are yet to be made, or to go on."""
    said = {job.name: read_json(job.path / "status.json") or {} for job in jobs}
    failed = {
        name: of["reason"]
        for name, of in said.items()
        if of.get("status") == "failed" and of["reason"] != INTERRUPTED
    }
    return {"failed": failed, "waiting": [name for name in said if name not in failed]}
