"""Scores that others published: what a comparison is held against.

`scores.csv` has a row for each number: `kind` is learned, planned or reference (random, human),
`steps` of training in `unit` (control steps; emulator frames), `budget` of a planner per decision,
`spread` over `seeds` as `spread_is` says. `sources.csv` says where a number was read. Nothing in
them was measured here. Protocols differ between sources: on Atari sticky actions, frame skip and
first states, on the Control Suite how the last evaluations are averaged.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from suites.errors import UserError
from suites.tasks.atari_names import SCORES

FRAMES_PER_STEP = 4  # of Atari, where published steps are in frames: the usual frame skip


@dataclass(frozen=True)
class Published:
    """A published score.

    Attributes:
      task, method: Names; the method's as its source has it.
      kind: learned, planned or reference.
      env_steps: Control steps of training, on Atari of four frames each; None for what does not
        train.
      score, spread: The latter None where it is not told; `spread_is` says what it is.
      seeds: None where it is not told.
      budget: A planner's, per decision; empty for others.
      source: Where it was read.
    """

    task: str
    method: str
    kind: str
    env_steps: float | None
    score: float
    spread: float | None
    spread_is: str
    seeds: int | None
    budget: str
    source: str

    @property
    def normalised(self) -> float | None:
        """The score from random (0) to human (1) on Atari, of 1000 on the Control Suite."""
        if self.task not in SCORES:
            return self.score / 1000 if "-" in self.task else None
        random, human = SCORES[self.task]
        return (self.score - random) / (human - random)


@cache
def everything() -> tuple[Published, ...]:
    """All of them, in the order of the file."""
    folder = Path(__file__).parent
    with (folder / "sources.csv").open(newline="") as file:
        sources = {row["source"]: row["where"] for row in csv.DictReader(file)}
    with (folder / "scores.csv").open(newline="") as file:
        return tuple(
            Published(
                task=row["task"],
                method=row["method"],
                kind=row["kind"],
                env_steps=_steps(row),
                score=float(row["score"]),
                spread=float(row["spread"]) if row["spread"] else None,
                spread_is=row["spread_is"],
                seeds=int(row["seeds"]) if row["seeds"] else None,
                budget=row["budget"],
                source=sources[row["source"]],
            )
            for row in csv.DictReader(file)
        )


def _steps(row: dict[str, str]) -> float | None:
    per_step = FRAMES_PER_STEP if row["unit"] == "frames" else 1
    return float(row["steps"]) / per_step if row["steps"] else None


def select(tasks: Sequence[str], methods: Sequence[str]) -> list[Published]:
    """Those of some tasks and methods: a name, or how it begins, or `all`.

    Raises:
      UserError: for a name that no published method begins with.
    """
    for name in methods:
        if name != "all" and not any(row.method.startswith(name) for row in everything()):
            known = sorted({row.method for row in everything() if row.task in tasks})
            raise UserError(
                f"nobody's scores begin with '{name}'; published on these tasks are"
                f" {', '.join(known) or 'none'}"
            )
    return [
        row
        for row in everything()
        if row.task in tasks and any(name in ("all", row.method[: len(name)]) for name in methods)
    ]
