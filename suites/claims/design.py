"""What a claim is: a sentence, the runs that test it, and the rule that decides, all in a yaml.

A claim is `conf/claim/<name>.yaml`:

    claim: One sentence.
    source: Where it comes from.
    limits: What the experiment does not show.
    test:
      kind: difference          # difference, improvement, failures, confusion
      of: final                 # final, area, steps: what a run scores
      compare: [[mpc, ppo]]     # the arms X and Y of each comparison, or of `failures` one arm
      rule: above               # above the margin, or apart: further than it from 0
      margin: 0.0
    budgets:
      laptop:
        runs: {grid: ..., variants: ...}    # as of a sweep; a variant is an arm
      full:
        test: ...               # replaces keys of the test
        limits: ...             # of this budget, beside those of all
        runs: ...

`suites.claims.verdicts` says what the keys of a test mean.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from suites.assembly import CONF
from suites.errors import UserError
from suites.records import write_atomic
from suites.sweeps.command import make_jobs
from suites.sweeps.engine import Job
from suites.sweeps.grid import expand

FOLDER = CONF / "claim"
BUDGETS = ("laptop", "full")
KINDS = {"difference": 2, "improvement": 2, "failures": 1, "confusion": 1}  # arms of a comparison
SCORES = ("final", "area", "steps")
RULES = ("above", "apart")
NEEDS = ("all", "any")


@dataclass(frozen=True)
class Test:
    """How runs decide a claim.

    Attributes:
      kind: Of `KINDS`, what is told of two arms, or of one.
      compare: The arms of each comparison, X and Y or one.
      rule, margin: Of `RULES`, when the interval decides.
      of: Of `SCORES`, what a run scores.
      needs: Whether the claim needs all comparisons to be supported, or any.
      paired: Whether run k of both arms had the same first states.
      threshold: A normalised score: where a run has failed, or what `steps` are counted to.
      group: Of `confusion`, seeds in a group.
      by: Of `confusion`, by which share of it the higher mean must be above the other.
    """

    kind: str
    compare: tuple[tuple[str, ...], ...]
    rule: str
    margin: float
    of: str = "final"
    needs: str = "all"
    paired: bool = False
    threshold: float | None = None
    group: int = 3
    by: float = 0.1

    @property
    def arms(self) -> list[str]:
        """All that are compared, each once."""
        return list(dict.fromkeys(arm for arms in self.compare for arm in arms))


@dataclass(frozen=True)
class Claim:
    """A claim at one budget.

    Attributes:
      limits: What the experiment does not show.
      runs: The grid and the variants of its sweep.
    """

    name: str
    budget: str
    claim: str
    source: str
    limits: str
    test: Test
    runs: dict[str, Any] = field(repr=False)

    def folder(self, runs_dir: str) -> Path:
        """Where its runs and its verdict lie."""
        return Path(runs_dir, "claims", f"{self.name}-{self.budget}")

    def words(self, runs_dir: str, seeds: int | None) -> list[str]:
        """Of the sweep that makes its runs. Its yaml is left beside them."""
        folder = self.folder(runs_dir)
        content = yaml.safe_dump(self.runs, sort_keys=False).encode()
        write_atomic(folder / "sweep" / f"{self.name}.yaml", content)
        words = [f"+sweep={self.name}", f"runs_dir={folder}"]
        return words if seeds is None else [*words, f"seed=range({seeds})"]

    def jobs(self, runs_dir: str, seeds: int | None) -> list[Job]:
        """The runs that it asks for, with the arm as their method.

        Raises:
          UserError: for a run that makes no sense, and for arms that are one and the same.
        """
        folder = self.folder(runs_dir)
        jobs = make_jobs(expand(self.words(runs_dir, seeds), [folder]), str(folder))
        there = {job.method for job in jobs}
        for arm in self.runs["variants"]:
            if arm not in there:
                raise UserError(f"{self.name}: the runs of '{arm}' are those of another arm")
        return jobs


def names() -> list[str]:
    """All claims, in the order of their numbers."""
    found = {path.stem: _read(path) for path in sorted(FOLDER.glob("*.yaml"))}
    return sorted(found, key=lambda name: (found[name].get("number", 99), name))


def load(name: str, budget: str) -> Claim:
    """A claim by its name, and one of its budgets.

    Raises:
      UserError: if there is none, or its yaml makes no sense.
    """
    path = FOLDER / f"{name}.yaml"
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name not in known:
        close = difflib.get_close_matches(name, known, 3) or known
        raise UserError(f"unknown claim '{name}': choose one of {', '.join(close)}")
    content = _read(path)
    _keys(path, "", content, ("number", "claim", "source", "limits", "test", "budgets"))
    budgets = content.get("budgets") or {}
    if budget not in budgets:
        raise UserError(f"{path}: no budget '{budget}': choose one of {', '.join(budgets)}")
    chosen = budgets[budget]
    _keys(path, f"budgets.{budget}", chosen, ("test", "limits", "runs"))
    runs = chosen.get("runs") or {}
    if not isinstance(runs.get("variants"), dict):
        raise UserError(f"{path}: budgets.{budget}.runs has no variants, the arms")
    test = _test(path, {**(content.get("test") or {}), **(chosen.get("test") or {})})
    for arm in test.arms:
        if arm not in runs["variants"]:
            raise UserError(
                f"{path}: '{arm}' is compared, and is no arm of budget {budget}:"
                f" choose among {', '.join(runs['variants'])}"
            )
    texts = {key: " ".join(str(content.get(key, "")).split()) for key in ("claim", "source")}
    if not all(texts.values()):
        raise UserError(f"{path}: give the claim in one sentence, and its source")
    limits = " ".join(f"{content.get('limits', '')} {chosen.get('limits', '')}".split())
    return Claim(name, budget, **texts, limits=limits, test=test, runs=runs)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, OSError) as error:
        raise UserError(f"can't read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no claim: docs/claims.md shows one")
    return content


def _keys(path: Path, place: str, content: Any, known: tuple[str, ...]) -> None:
    if not isinstance(content, dict):
        raise UserError(f"{path}: {place or 'it'} is {content!r}: docs/claims.md shows one")
    for key in content:
        if key not in known:
            name = f"{place}.{key}".lstrip(".")
            raise UserError(f"{path}: unknown key '{name}': choose among {', '.join(known)}")


def _test(path: Path, content: dict[str, Any]) -> Test:
    known = tuple(one.name for one in fields(Test))
    _keys(path, "test", content, known)
    for key in ("kind", "compare", "rule", "margin"):
        if key not in content:
            raise UserError(f"{path}: test.{key} is missing")
    for key, choices in (("kind", KINDS), ("rule", RULES), ("of", SCORES), ("needs", NEEDS)):
        if key in content and content[key] not in choices:
            wanted = ", ".join(choices)
            raise UserError(f"{path}: test.{key} is '{content[key]}': choose one of {wanted}")
    checks: dict[str, Callable[[Any], bool]] = {
        "margin": _is_number,
        "threshold": _is_number,
        "group": lambda x: isinstance(x, int) and x >= 1,
        "by": _is_number,
        "paired": lambda x: isinstance(x, bool),
    }
    for key, good in checks.items():
        if key in content and not good(content[key]):
            raise UserError(f"{path}: test.{key} is {content[key]!r}, which makes no sense")
    kind, arms = content["kind"], KINDS[content["kind"]]
    compare = content["compare"]
    if not isinstance(compare, list) or not all(
        isinstance(one, list) and len(one) == arms for one in compare
    ):
        shown = "[[x, y], ...]" if arms == 2 else "[[x], ...]"
        raise UserError(f"{path}: test.compare is {compare!r}: for {kind} give {shown}")
    wants = kind == "failures" or content.get("of") == "steps"
    if wants != ("threshold" in content):
        told = "is missing" if wants else "is for `failures` and `of: steps` alone"
        raise UserError(f"{path}: test.threshold {told}")
    return Test(**{**content, "compare": tuple(tuple(map(str, one)) for one in compare)})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
