"""The command of a sweep: `python -m suites.run -m planner=mpc,mcts seed=0,1`."""

import difflib
import hashlib
import math
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import ConfigCompositionException, MissingConfigException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from suites.assembly import CONF
from suites.command import composing, from_words, own_folder
from suites.environment import complain, say
from suites.errors import UserError
from suites.ledger import allowed_threads
from suites.progress import duration
from suites.sweeps.engine import Job, Sweep
from suites.sweeps.grid import expand

_MULTIRUN, _COST = ("-m", "--multirun"), "--plan-cost"


def wanted(words: list[str]) -> bool:
    """Whether a command line asks for a sweep."""
    flags = {word for word in words if word.startswith("-")}
    return bool(flags & {*_MULTIRUN, _COST}) and not flags & {"-h", "--help"}


def main(words: list[str]) -> int:
    """Make a sweep, or say what it will cost; the exit code.

    Raises:
      UserError: for words that make no sweep, before anything is started.
    """
    folder, rest = own_folder(words)
    flags, settings, overrides = split(rest)
    plan_cost = _COST in flags
    if not set(flags) & set(_MULTIRUN):
        raise UserError("--plan-cost goes with -m")
    chosen = _settings(settings)
    folders = [CONF, *([Path(folder)] if folder else [])]
    jobs = make_jobs(expand(overrides, folders), folder)
    if not jobs:
        raise UserError("this sweep has no runs: its variants, or the values of a key, are none")
    own = ["--config-dir", folder] if folder else []
    if plan_cost:
        from suites.sweeps.cost import plan

        say(plan(jobs, own, chosen.sweep.workers or chosen.launcher.get("queued")))
        return 0
    from suites.sweeps.display import Display

    place = _place(overrides, jobs)
    with Display() as display:
        sweep = Sweep(
            folder=place,
            jobs=jobs,
            command=words,
            flags=own,
            launcher=instantiate(chosen.launcher, _partial_=True)(folder=place),
            workers=chosen.sweep.workers,
            retries=chosen.sweep.retries,
            timeout=chosen.sweep.timeout,
            on_event=display.event,
            on_time=display.time,
        )
        sweep.run()
    return conclude(sweep)


def split(words: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Flags, settings of the sweep, and overrides for its runs.

    Raises:
      UserError: for a flag that a sweep does not take, and a plus too many or too few.
    """
    flags, settings, overrides = [], [], []
    for word in words:
        name = word.partition("=")[0]
        if word.startswith("-"):
            if word not in (*_MULTIRUN, _COST):
                raise UserError(f"a sweep takes -m, --plan-cost and --config-dir, and no '{word}'")
            flags.append(word)
        elif name == "sweep":
            raise UserError(f"a named sweep is chosen with a plus: +{word}")
        elif name == "+launcher" or name.startswith(("+launcher.", "+sweep.")):
            raise UserError(f"'{word}' is there already: write it without the plus")
        elif name == "launcher" or name.startswith(("launcher.", "sweep.")):
            settings.append(word)
        else:
            overrides.append(word)
    return flags, settings, overrides


def _settings(words: list[str]) -> Any:
    """The settings of the sweep.

    Raises:
      UserError: for unknown ones, and for values that make no sense.
    """
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            chosen = hydra.compose("sweep", words)
    except MissingConfigException as error:
        name = str(error.missing_cfg_file).rpartition("/")[2]
        options = ", ".join(error.options or ())
        raise UserError(f"unknown launcher '{name}': choose one of {options}") from error
    except ConfigCompositionException as error:
        known = {"sweep.workers", "sweep.retries", "sweep.timeout"}
        for path in (CONF / "launcher").glob("*.yaml"):
            known |= {f"launcher.{key}" for key in OmegaConf.load(path) if key != "_target_"}
        wrong = [w for w in words if w.partition("=")[0] not in (*known, "launcher")]
        name = (wrong or words)[0].partition("=")[0]
        if not wrong:
            raise UserError(f"can't read the sweep's settings {' '.join(words)}") from error
        close = difflib.get_close_matches(name, known, 1)
        told = f"nearest: {close[0]}" if close else f"there are {', '.join(sorted(known))}"
        raise UserError(f"unknown key '{name}'; {told}") from error
    except (ValueError, TypeError) as error:  # Hydra's own, for `launcher=null`
        raise UserError(f"can't read the sweep's settings {' '.join(words)}") from error
    for key, least in (("workers", 1), ("retries", 0)):
        value = chosen.sweep[key]
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
        if not whole and not (value is None and key == "workers"):
            raise UserError(f"sweep.{key} is {value!r}: give a whole number of at least {least}")
    limit = chosen.sweep.timeout
    number = isinstance(limit, int | float) and not isinstance(limit, bool)
    if limit is not None and not (number and 0 < limit < math.inf):
        raise UserError(f"sweep.timeout is {limit!r}: give a number of seconds")
    return chosen


def make_jobs(runs: list[list[str]], folder: str | None) -> list[Job]:
    """The runs of a sweep, composed and checked, each once.

    Raises:
      UserError: for a run that makes no sense.
    """
    jobs: dict[Path, Job] = {}
    with composing():
        for given in runs:
            pinned = any(word.startswith("threads=") for word in given)
            words = given if pinned else [*given, "threads=1"]
            try:
                composed = from_words(words, folder)
            except UserError as error:
                told = f" (in the run {' '.join(words)})" if len(runs) > 1 else ""
                raise UserError(f"{error}{told}") from error
            config = composed.config
            job = Job(
                words=tuple(words),
                path=composed.path,
                task=composed.task,
                method=composed.agent if config.label is None else str(config.label),
                seed=config.seed,
                threads=config.threads or allowed_threads(),
                force=config.force,
            )
            jobs.setdefault(composed.path, job)
    if twice := len(runs) - len(jobs):
        complain(f"{twice} of {len(runs)} runs are the same as others: each is made once")
    return list(jobs.values())


def _place(overrides: list[str], jobs: list[Job]) -> Path:
    """The sweep's own folder: `<runs_dir>/[<experiment>/]sweeps/<name or digest>`."""
    roots = {job.path.parents[3] for job in jobs}
    if len(roots) > 1:
        raise UserError("runs_dir and experiment: give one value of each in a sweep")
    named = [word.partition("=")[2] for word in overrides if word.startswith("+sweep=")]
    rest = sorted(word for word in overrides if not word.startswith("+sweep="))
    digest = hashlib.sha256("\n".join(rest).encode()).hexdigest()[:8]
    name = "-".join([*named, *([digest] if rest or not named else [])])
    return roots.pop() / "sweeps" / name


def conclude(sweep: Sweep) -> int:
    """Say what came of a sweep; the exit code."""
    failed = [job for job in sweep.jobs if job.state == "failed"]
    for job in failed:
        complain(f"failed: {job.name}: {job.reason}; {sweep.log(job)}")
    rows: dict[tuple[str, str], list[float]] = {}
    for job in sweep.jobs:
        if summary := job.summary():
            rows.setdefault((job.task, job.method), []).append(summary["score"])
    width = [max((len(key[k]) for key in rows), default=0) for k in (0, 1)]
    for (task, method), scores in sorted(rows.items()):
        mean = sum(scores) / len(scores)
        say(f"{task:<{width[0]}}  {method:<{width[1]}}  {mean:8.1f}, mean of {len(scores)} runs")
    done = len(sweep.jobs) - len(failed)
    total = (
        f"{done} of {len(sweep.jobs)} runs are done; {sweep.spent() / 3600:.2f} CPU-hours,"
        f" {duration(sweep.clock())} on the clock; {sweep.folder}"
    )
    say(total)
    return 1 if failed else 0
