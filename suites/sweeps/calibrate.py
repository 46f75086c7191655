"""What a run costs per step, found by making a little of it: `python -m suites.sweeps.calibrate`.

Its words are those of a run, whose `runs_dir` is a folder to be thrown away. It prints a JSON row.
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

import suites.environment  # noqa: F401  (before NumPy and MuJoCo)
from suites.command import composing, from_words, own_folder
from suites.environment import complain
from suites.errors import UserError
from suites.evaluate import evaluate
from suites.ledger import Meter, cpu_seconds
from suites.records import Run
from suites.session import Session
from suites.sweeps.work import end_with_parent

_TRAINING, _EVALUATION = 10.0, 5.0  # CPU seconds of each that are measured
_LONGEST = 60.0  # seconds until it is given up that anything is learned
_DECISIONS, _UPDATES = 512, 10  # at most so many before learning begins, and when it begins


class _EnoughError(Exception):
    """What was to be measured is measured."""


def main(words: list[str]) -> dict[str, Any]:
    """CPU seconds of the set-up, per control step of training and of evaluation, and what else
    an estimate needs.
    """
    folder, rest = own_folder(words)
    with composing():
        config = from_words(rest, folder).config
    shortened = {"warmup": shorten(config, "warmup", _DECISIONS)}
    shortened["pretraining"] = shorten(config, "pretraining", _UPDATES)
    session = Session(Run(Path(config.runs_dir, "run")), config, Meter(), config.threads, 0)
    row: dict[str, Any] = {"horizon": session.task.facts.horizon, "setup": cpu_seconds()}
    if session.trainer:
        row |= training(session.trainer, config.budget.env_steps, shortened)
    begin = time.monotonic(), cpu_seconds()
    row["evaluation_step"] = evaluation(session)
    row["busy"] = (cpu_seconds() - begin[1]) / (time.monotonic() - begin[0])
    return row


def shorten(config: Any, key: str, most: int) -> int:
    """Lower what stands before learning; by how much."""
    less = 0
    for part in ("learner", "world_model"):
        value = OmegaConf.select(config, f"{part}.{key}")
        if isinstance(value, int) and value > most:
            less = max(less, value - most)
            config[part][key] = most
    return less


def training(trainer: Any, total: int, shortened: dict[str, int]) -> dict[str, float]:
    """Seconds per control step before anything is learned and after, and where the one ends.

    What learns in bursts is measured from the end of one to the end of another.
    """
    begin = time.monotonic()
    first = (trainer.env_steps, cpu_seconds())
    marks: list[tuple[int, float, int, float]] = []  # after each burst of updates
    per_decision, before = 0, first

    def on_decision(trainer: Any) -> None:
        nonlocal per_decision, before
        updates = trainer.agent.count("updates")
        per_decision = per_decision or trainer.env_steps
        now = trainer.env_steps, cpu_seconds()
        if updates > (marks[-1][2] if marks else 0):
            marks.append((*now, updates, trainer.costs.update_seconds))
        elif not marks:
            before = now
        learned = len(marks) > 2 and now[1] - marks[1][1] > _TRAINING
        if learned or (len(marks) < 3 and time.monotonic() - begin > _LONGEST):
            raise _EnoughError

    with suppress(_EnoughError):
        trainer.run(total, on_decision)
    idle = (before[1] - first[1]) / max(before[0] - first[0], 1)
    if len(marks) < 3:  # it is over soon, or learns seldom: all that it did stands for the rest
        spent, steps = cpu_seconds() - first[1], trainer.env_steps - first[0]
        return {"warm_steps": 0, "warm_step": idle, "training_step": spent / max(steps, 1)}
    (early, then, n, learning), (late, now, m, learned) = marks[1], marks[-1]
    return {
        "warm_steps": marks[0][0] + shortened["warmup"] * per_decision,
        "warm_step": idle,
        "training_step": (now - then) / (late - early),
        "burst": shortened["pretraining"] * (learned - learning) / max(m - n, 1),
    }


def evaluation(session: Session) -> float:
    """CPU seconds per control step of evaluation."""
    marks: list[tuple[int, float]] = []

    def on_step(_: int, step: int, *__: Any) -> None:
        marks.append((step, cpu_seconds()))
        if marks[-1][1] - marks[0][1] > _EVALUATION and step > 2:
            raise _EnoughError

    seeds = session.config.seed, session.config.evaluation.seed
    agent, task, meter = session.agent.greedy, session.task, session.meter
    with suppress(_EnoughError):
        next(evaluate(agent, task, *seeds, [0], meter, on_step=on_step))
    (early, then), (late, now) = marks[0], marks[-1]
    return (now - then) / max(late - early, 1)


if __name__ == "__main__":
    end_with_parent()
    try:
        print(json.dumps(main(sys.argv[1:])))
    except UserError as error:
        complain(f"error: {error}")
        sys.exit(error.code)
