"""Compares runs: `python -m suites.compare runs`. See `--help`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import suites.environment  # noqa: F401  (before NumPy)
from suites import comparison, published, tables
from suites.environment import complain, say
from suites.errors import UserError
from suites.options import Key, command, read_options, split
from suites.points import AXES, Point, points
from suites.records import write_atomic
from suites.results import Results, RunInfo, check_comparable, distinct, load
from suites.tables import Table

FIGURES = ("pdf", "svg", "png")
MIXED = ("clairvoyant", "sticky", "protocol", "versions")
HELP = f"""\
Which method for which budget: tables and figures of all runs below some folders.

  python -m suites.compare runs                                tables in the terminal
  python -m suites.compare runs results out=comparison         and files of them, and figures
  python -m suites.compare runs tasks=cheetah-run,walker-walk cost=cpu_seconds,env_steps
  python -m suites.compare runs published=SAC,TD-MPC2 out=comparison

A cost is that of all training and of acting for one episode, compilation apart. Runs that were not
scored alike are refused, unless `mix=` says what may differ.

Keys
  tasks: null         # some of them, with commas between; null: all
  methods: null       # some of them, or how their names begin
  only: null          # runs with these settings alone, as in only=task.sticky=0.25
  mix: null           # what may differ: {", ".join(MIXED)}
  unfinished: false   # also runs that are not done: then curves end where the shortest does
  cost: cpu_seconds   # of the figures of frontiers: {", ".join(AXES)}
  threshold: 0.5      # normalised score that samples are counted to
  failed: 0.1         # normalised score below which a seed has failed
  baseline: null      # the method that others are compared with; null: the best
  published: null     # published scores in the figures: how their names begin; all
  out: null           # a folder for files of tables and figures
  formats: csv,md,tex,pdf,svg,png   # of these"""
KEYS = {
    "tasks": Key(tuple, None),
    "methods": Key(tuple, None),
    "only": Key(tuple, None),
    "mix": Key(tuple, None, choices=MIXED),
    "unfinished": Key(bool, False),
    "cost": Key(tuple, ("cpu_seconds",), choices=tuple(AXES)),
    "threshold": Key(float, 0.5),
    "failed": Key(float, 0.1),
    "baseline": Key(str, None),
    "published": Key(tuple, None),
    "out": Key(str, None),
    "formats": Key(tuple, (*tables.FORMATS, *FIGURES), choices=(*tables.FORMATS, *FIGURES)),
}


def main() -> None:
    """The command line."""
    command(HELP, compare)


def compare(words: list[str]) -> None:
    """Print the tables, and write what is asked for.

    Raises:
      UserError: for what can't be compared, read or written.
    """
    paths, said = split(words)
    options = read_options(said, KEYS)
    results = gather([Path(path) for path in paths], options)
    found = points(results)
    made = make_tables(results, found, options)
    say("\n\n".join(tables.text(table) for table in made))
    if options["out"]:
        write(results, found, made, options)


def gather(paths: list[Path], options: dict[str, Any]) -> Results:
    """The runs below some folders that options choose, all scored alike.

    Raises:
      UserError: where there are none, or they were not scored alike.
    """
    if not paths:
        raise UserError("give a folder of run directories, such as runs")
    results = choose(load(paths), options["tasks"] or (), options["only"] or ())
    if not options["unfinished"]:
        ended = [run.status == "done" for run in results.runs]
        away = [run for run, there in zip(results.runs, ended, strict=True) if not there]
        if not any(ended):
            raise UserError(
                "none of these runs is done yet: unfinished=true takes them as they are"
            )
        for run in [*away, *results.unfinished]:
            complain(f"left out {run.path}: {run.status}{f', {run.reason}' if run.reason else ''}")
        results = replace(results.keep(ended), unfinished=[*away, *results.unfinished])
    results = results.named()
    if options["methods"]:
        names = tuple(options["methods"])
        for name in names:
            if not any(method.startswith(name) for method in results.methods):
                _known("method", (name,), set(results.methods))
        results = results.keep([method.startswith(names) for method in results.methods])
    check_comparable(results, options["mix"] or ())
    results = distinct(results)
    if len(machines := {run.machine for run in results.runs}) > 1:
        complain(f"seconds are of different machines: {', '.join(sorted(machines))}")
    return results


def choose(results: Results, tasks: tuple[str, ...], only: tuple[str, ...]) -> Results:
    """The runs of some tasks (none: of all) that have these settings.

    Raises:
      UserError: for a task or a setting that no run has, and where no run is left.
    """
    if tasks:
        _known("task", tasks, {run.task for run in results.runs})
    settings = []
    for choice in only:
        key, equals, value = choice.partition("=")
        if not equals or not any(key in run.settings for run in results.runs):
            raise UserError(f"only is '{choice}': write a setting, as in only=task.sticky=0.25")
        settings.append((key, value))

    def chosen(run: RunInfo) -> bool:
        alike = all(_alike(run.settings.get(key), value) for key, value in settings)
        return alike and (not tasks or run.task in tasks)

    kept = results.keep([chosen(run) for run in results.runs])
    if not kept.runs:
        raise UserError("no run is left of what tasks= and only= choose")
    return replace(kept, unfinished=[run for run in results.unfinished if chosen(run)])


def _known(what: str, given: tuple[str, ...], there: set[str]) -> None:
    for name in given:
        if name not in there:
            raise UserError(f"no run of {what} '{name}': there are {', '.join(sorted(there))}")


def _alike(value: Any, said: str) -> bool:
    """Whether a setting is what a command line says."""
    try:
        return float(value) == float(said)
    except (TypeError, ValueError):
        return str(value).lower() == said.lower()


def make_tables(results: Results, found: list[Point], options: dict[str, Any]) -> list[Table]:
    """All tables that the runs allow."""
    if (baseline := options["baseline"]) is not None:
        _known("method", (baseline,), set(results.methods))
    curves = comparison.curves_of(results)
    made = [
        comparison.scores_table(found, options["failed"]),
        comparison.overall_table(found, baseline),
        comparison.samples_table(curves, options["threshold"]) if curves else None,
        comparison.costs_table(found, options["cost"][0]),
        comparison.break_even_table(found, comparison.total_axis(options["cost"])),
    ]
    return [table for table in made if table is not None]


def write(results: Results, found: list[Point], made: list[Table], options: dict[str, Any]) -> None:
    """Write the tables and the figures into the folder `out`."""
    out = Path(options["out"])
    for kind in (kind for kind in tables.FORMATS if kind in options["formats"]):
        for table in made:
            content = f"{tables.FORMATS[kind](table)}\n"
            write_atomic(out / f"{table.name}.{kind}", content.encode())
    kinds = [kind for kind in FIGURES if kind in options["formats"]]
    if kinds:
        from suites import figures  # here, since Matplotlib takes a second to import

        names = sorted({run.task for run in results.runs})
        theirs = published.select(names, options["published"] or ())
        for name, draw in figures.all_of(results, found, theirs, options["cost"]):
            for kind, content in figures.files(draw, kinds).items():
                write_atomic(out / f"{name}.{kind}", content)
    complain(f"written to {out}/")


if __name__ == "__main__":
    main()
