"""Studies: lists of runs of `suites.run`, and the table that they give.

Runs are made as those of a sweep. What is finished is not run again, whether its run
directory is there or only its row in the committed table; so a study that was stopped continues,
on another machine too. `--again` runs what only has its row.
"""

import argparse
import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from suites.environment import complain
from suites.errors import UserError
from suites.records import write_atomic
from suites.sweeps import engine as sweeps
from suites.sweeps.command import make_jobs
from suites.sweeps.display import Display
from suites.sweeps.engine import Sweep
from suites.sweeps.launchers import Local


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
      key: What tells it from the other runs of its study; columns of its row.
      task, seed: Two of them.
      overrides: What else is said on the command line.
    """

    key: tuple[tuple[str, Any], ...]
    overrides: tuple[str, ...]

    @property
    def label(self) -> str:
        """Names its folder."""
        return "-".join(str(value) for name, value in self.key if name not in ("task", "seed"))


def job(overrides: Iterable[str], **key: Any) -> Job:
    """A run whose key has at least `task` and `seed`."""
    words = (f"task={key['task']}", f"seed={key['seed']}", *overrides)
    return Job(tuple(key.items()), words)


@dataclass(frozen=True)
class Study:
    """Runs, and how their rows become a report.

    Attributes:
      name: Of the table `results/<group>/<name>.csv`, and of the report beside it.
      group: Runs lie in `runs/<group>`.
      report: Makes Markdown of the rows.
      extract: What a finished run's folder gives: a dictionary for each of its rows.
    """

    group: str
    name: str
    jobs: tuple[Job, ...]
    report: Callable[[list[dict[str, Any]]], str]
    extract: Callable[[Path], list[dict[str, Any]]] = lambda run: [last_score(run)]

    @property
    def table(self) -> Path:
        """Its rows."""
        return Path("results", self.group, f"{self.name}.csv")

    def folder(self, job: Job) -> Path:
        """Where a job's run lies, as `runs_dir`."""
        return Path("runs", self.group, self.name, job.label)

    def done(self, job: Job) -> Path | None:
        """Its run directory, None if it is not done."""
        key = dict(job.key)
        pattern = f"{key['task']}/*/*/seed{key['seed']}/summary.json"
        found = sorted(self.folder(job).glob(pattern))
        return found[-1].parent if found else None

    def rows(self, fresh: bool = False) -> list[dict[str, Any]]:
        """Those of finished jobs: of the runs, or else (unless `fresh`) of the committed table."""
        written: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in [] if fresh else read_rows(self.table):
            written.setdefault(_identity(row, self.jobs), []).append(row)
        rows = []
        for job in self.jobs:
            found = written.get(_key(job), [])
            if run := self.done(job):
                found = [{**dict(job.key), **row} for row in self.extract(run)]
            rows += found
        return rows

    def write(self, rows: list[dict[str, Any]]) -> str:
        """Write the table and the report; the report."""
        table = io.StringIO()
        writer = csv.DictWriter(table, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = self.report(rows)
        write_atomic(self.table, table.getvalue().encode())
        write_atomic(self.table.with_suffix(".md"), f"{text}\n".encode())
        for page in (*Path().glob("README.md"), *Path("docs").glob("*.md")):
            was = page.read_text()
            if filled(was) != was:
                write_atomic(page, filled(was).encode())
        return text

    def run(self, workers: int, again: bool) -> None:
        """Make what is missing, as a sweep; a run that fails is named, and the others go on."""
        there = {_identity(row, self.jobs) for row in self.rows(fresh=again)}
        missing = [job for job in self.jobs if _key(job) not in there]
        words = [[*job.overrides, f"runs_dir={self.folder(job)}"] for job in missing]
        place = Path("runs", self.group, self.name, "sweep")
        with Display() as display:

            def on_event(sweep: Sweep, run: sweeps.Job) -> None:
                display.event(sweep, run)
                if run.state == "done":
                    self.write(self.rows())

            Sweep(
                folder=place,
                jobs=make_jobs(words, None),
                command=sys.argv,
                flags=[],
                launcher=Local(place),
                workers=workers,
                retries=1,
                timeout=None,
                on_event=on_event,
                on_time=display.time,
            ).run()


def filled(text: str) -> str:
    """A page with its tables anew: from `<!-- results/group/name.md -->` to `<!-- end -->`."""

    def fresh(block: re.Match[str]) -> str:
        path = Path(block[1])
        table = path.read_text() if path.exists() else "(not measured yet)\n"
        return f"<!-- {path} -->\n\n{table}\n<!-- end -->"

    return re.sub(r"<!-- (results/\S+\.md) -->.*?<!-- end -->", fresh, text, flags=re.DOTALL)


def _key(job: Job) -> tuple[str, ...]:
    return tuple(str(value) for _, value in job.key)


def _identity(row: dict[str, Any], jobs: tuple[Job, ...]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name, _ in jobs[0].key)


def last_score(run: Path) -> dict[str, Any]:
    """The score of a run, and what it cost."""
    summary = json.loads((run / "summary.json").read_text())
    ledger = summary["ledger"]
    return {
        "score": round(summary["score"], 2),
        "sim_steps_per_decision": round(
            ledger["evaluation_sim_steps"] / ledger["evaluation_decisions"]
        ),
        "cpu_seconds": round(ledger["evaluation_cpu_seconds"], 1),
    }


def learning_curve(run: Path) -> list[dict[str, Any]]:
    """The score of each evaluation of a training, and what training had cost until then."""
    rows = [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
    return [
        {
            "env_steps": row["env_steps"],
            "score": round(row["score"], 2),
            "updates": row["updates"],
            "cpu_seconds": round(row["cpu_seconds"], 1),
        }
        for row in rows
    ]


def read_rows(table: Path) -> list[dict[str, Any]]:
    """The rows of a table, numbers as numbers; none if there is no table.

    Raises:
      SystemExit: for a row that is cut off.
    """
    if not table.exists():
        return []
    rows = []
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if None in row or None in row.values():
                raise SystemExit(f"error: {table} has a row that is cut off: {row}")
            rows.append({name: _number(value) for name, value in row.items()})
    return rows


def _number(value: Any) -> Any:
    """What a cell of a CSV file stands for."""
    for kind in (int, float):
        try:
            return kind(value) if isinstance(value, str) else value
        except ValueError:
            continue
    return value


def means(rows: list[dict[str, Any]], *keys: str) -> dict[tuple, tuple[float, int]]:
    """Mean score and number of seeds for each combination of keys."""
    groups: dict[tuple, list[float]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row["score"])
    return {key: (fmean(values), len(values)) for key, values in groups.items()}


def main(description: str, studies: dict[str, Study]) -> None:
    """The command line of a file with studies."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("study", choices=studies)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--again", action="store_true", help="run also what only the table has")
    parser.add_argument("--collect", action="store_true", help="run nothing, collect what is done")
    given = parser.parse_args()
    study = studies[given.study]
    try:
        if not given.collect:
            study.run(given.jobs, given.again)
        rows = study.rows()
        if not rows:
            raise UserError(f"no finished run of '{study.name}' in runs/{study.group}")
        print(study.write(rows))
    except UserError as error:
        complain(f"error: {error}")
        sys.exit(error.code)
    except KeyboardInterrupt:
        complain("\nstopped: the same command continues")
        sys.exit(130)
