"""What to use for a task and a budget, by stored evidence: `python -m suites.advise task=cheetah`.

See `--help`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import suites.environment  # noqa: F401  (before NumPy)
from suites import compare, published
from suites.comparison import average, marks
from suites.environment import say
from suites.errors import UserError
from suites.options import Key, command, read_options, split
from suites.points import Point, points
from suites.published import Published
from suites.results import Results, check_comparable, distinct, load
from suites.statistics import ENOUGH, difference, estimate, improvement
from suites.tables import number, told
from suites.tasks import registry
from suites.tasks.atari_names import GAMES

HELP = """\
Plan, learn a model, or learn a policy? What the recorded runs say for a task and a budget.

  python -m suites.advise task=cheetah samples=1e5 cpu_hours=2 simulator=yes
  python -m suites.advise task=pong simulator=no runs my/other/runs

Evidence are the runs below the folders that are named; else those in results/ and runs/. Each
method counts with what it reached within the budget: a learner with its last evaluation there, a
planner with its largest budget.

Keys
  task: null         # needed
  samples: null      # real control steps of training, at most; null: any number
  cpu_hours: null    # of training, and of acting for so many episodes; null: any
  episodes: 1        # that the agent will act
  act_ms: null       # milliseconds per decision, at most; null: any
  simulator: yes     # no: there is no simulator to plan in
  reward: yes        # no: how the reward comes about is not known; a simulator would know it
  ram: yes           # no: an emulator's memory can't be read
  only: null         # runs with these settings alone, as in only=task.sticky=0.25
  mix: null          # what may differ between runs, as in suites.compare"""
YES = ("yes", "no")
KEYS = {
    "task": Key(str, None),
    "samples": Key(int, None),
    "cpu_hours": Key(float, None),
    "episodes": Key(int, 1, least=1),
    "act_ms": Key(float, None),
    "simulator": Key(str, "yes", choices=YES),
    "reward": Key(str, "yes", choices=YES),
    "ram": Key(str, "yes", choices=YES),
    "only": compare.KEYS["only"],
    "mix": compare.KEYS["mix"],
}
NEEDS = {
    "simulator": (("simulator",), "simulator"),
    "reward": (("simulator", "reward"), "reward's formula"),  # a simulator pays by it
    "ram": (("RAM",), "RAM"),
}
FOLDERS = ("results", "runs")


@dataclass(frozen=True)
class Advice:
    """What the evidence says.

    Attributes:
      ranked: What each family reached within the budget, the best first: those with enough seeds.
      few: The same of families with fewer than three seeds, of which nothing can be said.
      beyond: For each family that nothing is known of within the budget, what stands against it.
      others: Published scores within the samples, the best first.
    """

    ranked: list[Point]
    few: list[Point]
    beyond: dict[str, str]
    others: list[Published]


def main() -> None:
    """The command line."""
    command(HELP, lambda words: say(answer(words)))


def answer(words: list[str]) -> str:
    """The advice in words.

    Raises:
      UserError: for what can't be read.
    """
    folders, said = split(words)
    options = read_options(said, KEYS)
    if options["task"] is None:
        raise UserError("no task is given: say task=cheetah")
    everything = evidence([Path(folder) for folder in folders])
    task = full_name(options["task"], everything)
    results = of_task(everything, task, options["only"] or (), options["mix"] or ())
    if results is None:
        return _unknown(task, folders)
    return told_of(task, advise(points(results), task, options), results, options)


def evidence(folders: list[Path]) -> Results | None:
    """All runs below the folders; None where none are named and there are none."""
    there = folders or [path for path in map(Path, FOLDERS) if _has_runs(path)]
    return load(there) if there else None


def full_name(task: str, results: Results | None) -> str:
    """A task's name, `cheetah-run` for `cheetah`; one's own tasks are known by their runs.

    Raises:
      UserError: for a task that neither the suite nor the runs know.
    """
    if results and any(run.task == task for run in results.runs):
        return task
    return str(registry.config(task)["name"])


def of_task(
    results: Results | None, task: str, only: tuple[str, ...], mix: Iterable[str]
) -> Results | None:
    """The runs of a task that are done, of those with some settings; None where there are none.

    Raises:
      UserError: where they were not scored alike, and where none has these settings.
    """
    if results is None:
        return None
    found = results.keep([run.task == task and run.status == "done" for run in results.runs])
    if not found.runs:
        return None
    found = compare.choose(found, (), only).named()
    check_comparable(found, mix)
    return distinct(found)


def _has_runs(folder: Path) -> bool:
    return folder.is_dir() and next(folder.rglob("evaluations.jsonl"), None) is not None


def advise(found: list[Point], task: str, options: dict[str, Any]) -> Advice:
    """Rank what each family reached within the budget."""
    families: dict[str, list[Point]] = {}
    for point in found:
        families.setdefault(point.family, []).append(point)
    reached, beyond = [], {}
    for family, of in families.items():
        reasons = {reason: p for p in of if (reason := against(p, options))}
        fitting = [point for point in of if against(point, options) is None]
        if fitting:
            reached.append(max(fitting, key=lambda p: (p.env_steps, p.budget, _spent(p, 1))))
        else:  # the one that is nearest to the budget says what is missing
            beyond[family] = min(reasons, key=lambda reason: _spent(reasons[reason], 1))
    reached.sort(key=lambda point: -estimate([point.scores]).value)
    samples = options["samples"]
    others = [
        p
        for p in published.select([task], ["all"])
        if p.kind == "learned" and p.env_steps and (samples is None or p.env_steps <= samples)
    ]
    return Advice(
        ranked=[point for point in reached if len(point.seeds) >= ENOUGH],
        few=[point for point in reached if len(point.seeds) < ENOUGH],
        beyond=beyond,
        others=sorted(others, key=lambda p: -p.score),
    )


def against(point: Point, options: dict[str, Any]) -> str | None:
    """What stands against a point; None if it is within the budget."""
    for key, (privileges, words) in NEEDS.items():
        if options[key] == "no" and set(privileges) & set(point.privileges):
            return f"it needs the {words}"
    if options["samples"] is not None and point.env_steps > options["samples"]:
        return f"its first evaluation was after {point.env_steps:,} control steps"
    if (hours := options["cpu_hours"]) is not None:
        needs = _spent(point, options["episodes"]) / 3600
        if not needs <= hours:
            return f"it took {number(needs)} CPU hours"
    if (limit := options["act_ms"]) is not None and not average(point.costs["act_ms"]) <= limit:
        return f"it took {number(average(point.costs['act_ms']))} ms per decision"
    return None


def _spent(point: Point, episodes: int) -> float:
    """CPU seconds of training and of so many episodes."""
    return average(point.train["cpu_seconds"]) + episodes * average(point.act["cpu_seconds"])


def told_of(task: str, advice: Advice, results: Results, options: dict[str, Any]) -> str:
    """The advice in words."""
    lines = [f"{task}: {_budget(options)}", ""]
    if advice.ranked:
        lines += _ranking(advice, options)
    else:
        lines.append("Nothing can be advised: no method has three seeds within this budget.")
    lines += ["", "Not known"]
    lines += [
        f"  {p.method}: {len(p.seeds)} seed{'s' * (len(p.seeds) > 1)} only,"
        f" {number(estimate([p.scores]).value)}"
        for p in advice.few
    ]
    lines += [f"  {family}: {reason}" for family, reason in advice.beyond.items()]
    best = average(advice.ranked[0].scores) if advice.ranked else -np.inf
    better = [p for p in advice.others if p.score > best][:3]
    lines += [
        f"  {p.method}, published: {number(p.score)} after {number(p.env_steps)} control steps"
        f" ({p.source})"
        for p in better
    ]
    lines.append("  other settings of these methods, and methods that were not run")
    machines = sorted({run.machine for run in results.runs})
    lines.append(f"  CPU seconds on other processors than {' and '.join(machines)}")
    return "\n".join(lines)


def _ranking(advice: Advice, options: dict[str, Any]) -> list[str]:
    best, *rest = advice.ranked
    lines = [f"Use {best.method}{_marked(best)}: {_facts(best, options)}"]
    if not rest:
        return [*lines, "It is the only method with three seeds within this budget."]
    second = rest[0]
    lines.append(f"Runner-up {second.method}{_marked(second)}: {_facts(second, options)}")
    apart = difference([best.scores], [second.scores])
    better = improvement([best.scores], [second.scores])
    assert apart.low is not None
    lines.append(
        f"{best.method} is better by {told(apart)}, and in {told(better)} of pairs of runs"
        f" ({apart.method}, n = {apart.n})."
    )
    if apart.low <= 0:
        lines.append("That may be chance: these seeds don't tell the two apart.")
    others = ", ".join(f"{p.method} {number(estimate([p.scores]).value)}" for p in rest[1:])
    return [*lines, *([f"Then {others}."] if others else [])]


def _facts(point: Point, options: dict[str, Any]) -> str:
    score, episodes = estimate([point.scores]), options["episodes"]
    hours = _spent(point, episodes) / 3600
    return (
        f"IQM {told(score)} of {score.n} seeds after {point.env_steps:,} control steps;"
        f" {number(hours)} CPU hours with {episodes} episode{'s' * (episodes > 1)},"
        f" {number(average(point.costs['act_ms']))} ms per decision"
    )


def _marked(point: Point) -> str:
    return f" ({', '.join(point.privileges)})" if marks(point) else ""


def _budget(options: dict[str, Any]) -> str:
    samples, hours = options["samples"], options["cpu_hours"]
    return ", ".join(
        [
            "any number of samples"
            if samples is None
            else f"{samples:,} control steps of training",
            "any CPU time" if hours is None else f"{hours:g} CPU hours",
            "a simulator" if options["simulator"] == "yes" else "no simulator",
            *(["a reward that is not known"] if options["reward"] == "no" else []),
        ]
    )


def _unknown(task: str, folders: list[str]) -> str:
    where = ", ".join(folders or [f"{name}/" for name in FOLDERS])
    sweep = "comparison_atari" if task in GAMES else "comparison"
    lines = [
        f"{task}: nothing is known of it: no finished run in {where}.",
        f"To find out:  python -m suites.run -m +sweep={sweep} task={task}",
    ]
    others = [p for p in published.select([task], ["all"]) if p.kind != "reference"]
    others.sort(key=lambda p: -p.score)
    lines += [f"Published: {p.method} {number(p.score)} ({p.source})" for p in others[:3]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
