"""Run an agent on a task: `python -m suites.run task=cheetah planner=mpc`. See `--help`."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError

import suites.environment  # noqa: F401  (before NumPy and MuJoCo)
from suites import audit, usage
from suites.assembly import CONF, evaluation_points, settle
from suites.checkpoints import drop_trainings, load
from suites.doctor import check_versions
from suites.environment import complain, debugging, drawing_environment
from suites.errors import UserError
from suites.ledger import Costs, Meter, allowed_threads, columns, concurrent_runs
from suites.progress import closing_table
from suites.records import Run, config_hash, run_path
from suites.session import Session
from suites.tasks import registry
from suites.video import pending

# The null part of each axis: it adds nothing to an agent's name. All null is the random baseline.
NULL = {"planner": "none", "world_model": "simulator", "learner": "none"}


def main() -> None:
    """The command line. Exit code 0: done; 2: bad input or a failing machine, told in one line."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        check_versions()
        for config, choices in compose():
            # Before a task is made: what is compiled while its modules are imported counts.
            execute(config, choices, Meter())
    except (UserError, HydraException) as error:
        if debugging():
            raise
        complain(f"error: {usage.explain(error)}")
        sys.exit(2)
    except KeyboardInterrupt:
        complain("interrupted: finished episodes are kept, and the same command continues")
        sys.exit(130)


def compose() -> list[tuple[Any, Any]]:
    """The configuration that the command line asks for, with the option chosen in each group.

    None if it asks for help and the like. The run itself is made outside of Hydra, which would
    comment on its errors.
    """
    registry.register()
    usage.register(CONF)
    sys.argv[1:] = usage.arguments(sys.argv[1:])
    composed: list[tuple[Any, Any]] = []

    @hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
    def command(config: DictConfig) -> None:
        composed.append((config, HydraConfig.get().runtime.choices))

    try:
        command()
    except ConfigCompositionException as error:
        raise UserError(usage.explain_composition(error, CONF)) from error
    except ValueError as error:  # Hydra's own, for `budget=3`
        raise UserError(f"can't read the command line: {usage.explain(error)}") from error
    return composed


def execute(config: DictConfig, choices: Any, meter: Meter) -> None:
    """Make the run that a configuration describes, or what is missing of it."""
    given = {axis: choices[axis] != NULL[axis] for axis in NULL}
    modelled = given["world_model"]
    settle(config, given["learner"] or modelled, given["planner"], modelled)
    check(config)
    task_name = config.task.get("name") or choices["task"].replace("/", "-")
    agent_name = name_agent(choices, config)
    digest = config_hash(OmegaConf.to_container(config, resolve=False))  # pyright: ignore
    experiment = None if config.experiment is None else str(config.experiment)
    path = run_path(str(config.runs_dir), experiment, task_name, agent_name, digest, config.seed)
    run = Run(path)
    if config.force:
        run.clear()
    if run.done:
        complain(f"already done: {path} (force=true starts over)")
        conclude(run, config)
        return
    if choices["planner"] != NULL["planner"] and choices["world_model"] == NULL["world_model"]:
        task = config.task
        if warning := audit.warning(str(task.get("name")), str(task.get("restore", "state"))):
            complain(warning)
    threads = config.threads or allowed_threads()
    with run.running():
        names = {"task": task_name, "agent": agent_name}
        resolved = OmegaConf.to_container(config, resolve=True)
        identity = {"config_hash": digest, **names, "seed": config.seed, "config": resolved}
        run.manifest(identity, threads, concurrent_runs())
        run.write("config.yaml", OmegaConf.to_yaml(config, resolve=True))
        record(run, config, meter, digest, names, threads)
        run.status("done")
    conclude(run, config)


def check(config: Any) -> None:
    """Refuse values that make no sense, before anything is made.

    Raises:
      UserError: says which.
    """
    try:
        OmegaConf.to_container(config, resolve=True)
    except InterpolationKeyError as error:
        source = str(error).splitlines()[0].split("'")[1]
        raise UserError(
            f"{error.full_key} is that of {source}, which is not there: the chosen"
            f" {source.partition('.')[0]} does not go with it"
        ) from None
    for key in ("video", "force", "checkpoint.replay"):
        value = OmegaConf.select(config, key)
        if not isinstance(value, bool):
            raise UserError(f"{key} is {value!r}: give true or false")
    least_of = {"seed": 0, "evaluation.seed": 0, "evaluation.episodes": 1, "budget.env_steps": 0}
    least_of |= {"evaluation.every": 1, "checkpoint.seconds": 0}
    if config.runs_dir is None:
        raise UserError("runs_dir is None: give a folder")
    for key in ("threads", "planner.budget"):
        if OmegaConf.select(config, key) is not None:
            least_of[key] = 1
    for key, least in least_of.items():
        value = OmegaConf.select(config, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"{key} is {value!r}: give a whole number of at least {least}")


def name_agent(choices: Any, config: Any) -> str:
    """The agent's name in the run directory: the preset's, or that of its parts."""
    if choices.get("agent"):
        return choices["agent"].replace("/", "-")
    parts = [choices[axis] for axis, null in NULL.items() if choices[axis] != null]
    method = config.planner.get("optimizer") or config.planner.get("search")
    if method and method not in parts:
        parts.insert(1, str(method))
    return "-".join(parts).replace("/", "-") or "random"


def record(
    run: Run, config: Any, meter: Meter, digest: str, names: dict[str, str], threads: int
) -> None:
    """Train and evaluate, or go on where that was interrupted; leave the rows and the summary."""
    points, rows = evaluation_points(config), run.rows("evaluations.jsonl")
    if len(rows) < len(points):
        session = Session(run, config, meter, threads, len(rows))
        for k in range(len(rows), len(points)):
            if session.trainer:
                session.train(points[k], k)
            row = session.evaluate(points[k], rows[-1] if rows else None)
            if k == len(points) - 1:
                session.keep_agent()  # before the row that says that the training is done
            rows.append({**row, "config_hash": digest})
            run.append("evaluations.jsonl", rows[-1])
    drop_trainings(run.path)
    last = rows[-1]
    ledger = columns(Costs(), Costs()).keys()
    run.write(
        "summary.json",
        {
            **names,
            "seed": config.seed,
            "score": last["score"],
            "returns": last["returns"],
            "ledger": {name: last[name] for name in ledger},
        },
    )


def conclude(run: Run, config: Any) -> None:
    """Print the closing table, and see to the video."""
    summary, episodes = run.read("summary.json"), load(run.path, evaluation_points(config)[-1])
    print(closing_table(summary, [f.episode for f in episodes.values()], run.path))
    if config.video:
        make_videos(run.path)


def make_videos(path: Path) -> None:
    """Draw what was recorded, in another process. Where that can't be, say why, and go on."""
    videos = pending(path)
    if not videos:
        done = len(list(path.glob("video/*.mp4")))
        again = "the run was made without video=true; force=true makes it again"
        complain(f"{done} videos in {path / 'video'}" if done else f"no video: {again}")
        return
    complain(f"drawing {len(videos)} videos..." if len(videos) > 1 else "drawing a video...")
    drawn = subprocess.run(
        [sys.executable, "-m", "suites.video", str(path)],
        env=drawing_environment(),
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    )
    if drawn.returncode == 0:
        complain("\n".join(f"video  {video}" for video in videos))
        return
    reason = (drawn.stderr.strip().splitlines() or [f"exit code {drawn.returncode}"])[-1]
    complain(f"no video: {reason}; the same command makes it then")


if __name__ == "__main__":
    main()
