"""Run an agent on a task: `python -m suites.run task=cheetah planner=mpc`. See `--help`."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import OmegaConf

import suites.environment  # noqa: F401  (before NumPy and MuJoCo)
from planners.interface import PlanningError
from suites import audit, usage
from suites.assembly import evaluation_points
from suites.checkpoints import drop_trainings, load
from suites.command import NULL, Composed, from_command_line, storable
from suites.doctor import check_versions
from suites.environment import complain, debugging, drawing_environment, hush, say
from suites.errors import UserError
from suites.ledger import Costs, Meter, allowed_threads, columns, concurrent_runs
from suites.progress import closing_table
from suites.records import Run, read_json
from suites.session import Session
from suites.sweeps import command as sweeps
from suites.sweeps.work import end_with_parent
from suites.video import pending


def main() -> None:
    """The command line.

    Exit code 0: done; 1: some runs of a sweep failed; 2: bad input or a failing machine, told in
    one line; 3: another process makes the same run.
    """
    end_with_parent()
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        check_versions()
        if sweeps.wanted(sys.argv[1:]):
            sys.exit(sweeps.main(sys.argv[1:]))
        for composed in from_command_line():
            # Before a task is made: what is compiled while its modules are imported counts.
            execute(composed, Meter())
    except (UserError, HydraException, PlanningError) as error:
        if debugging():
            raise
        complain(f"error: {usage.explain(error)}")
        sys.exit(error.code if isinstance(error, UserError) else 2)
    except KeyboardInterrupt:
        complain("interrupted: finished episodes are kept, and the same command continues")
        sys.exit(130)
    except BrokenPipeError:  # of the help, which Hydra prints
        hush(sys.stdout)


def execute(composed: Composed, meter: Meter) -> None:
    """Make a run, or what is missing of it."""
    config, choices, path = composed.config, composed.choices, composed.path
    run = Run(path)
    if config.force:
        run.clear()
    if run.done:
        complain(f"already done: {path} (force=true starts over)")
        if (read_json(path / "status.json") or {}).get("status") != "done":
            run.status("done")  # it was killed just before that
        conclude(run, config)
        return
    if choices["planner"] != NULL["planner"] and choices["world_model"] == NULL["world_model"]:
        task = config.task
        if warning := audit.warning(str(task.get("name")), str(task.get("restore", "state"))):
            complain(warning)
    threads = config.threads or allowed_threads()
    with run.running():
        run.manifest(
            {
                "config_hash": composed.digest,
                "task": composed.task,
                "agent": composed.agent,
                "seed": config.seed,
                "config": storable(OmegaConf.to_container(config, resolve=True)),
            },
            threads,
            concurrent_runs(),
        )
        run.write("config.yaml", OmegaConf.to_yaml(config, resolve=True))
        record(run, composed, meter, threads)
        run.status("done")
    conclude(run, config)


def record(run: Run, composed: Composed, meter: Meter, threads: int) -> None:
    """Train and evaluate, or go on where that was interrupted; leave the rows and the summary."""
    config = composed.config
    points, rows = evaluation_points(config), run.rows("evaluations.jsonl")
    if len(rows) < len(points):
        session = Session(run, config, meter, threads, len(rows))
        for k in range(len(rows), len(points)):
            if session.trainer:
                session.train(points[k], k)
            row = session.evaluate(points[k], rows[-1] if rows else None)
            if k == len(points) - 1:
                session.keep_agent()  # before the row that says that the training is done
            rows.append({**row, "config_hash": composed.digest})
            run.append("evaluations.jsonl", rows[-1])
    drop_trainings(run.path)
    last = rows[-1]
    ledger = columns(Costs(), Costs()).keys()
    run.write(
        "summary.json",
        {
            "task": composed.task,
            "agent": composed.agent,
            "seed": config.seed,
            "score": last["score"],
            "returns": last["returns"],
            "ledger": {name: last[name] for name in ledger},
        },
    )


def conclude(run: Run, config: Any) -> None:
    """Print the closing table, and see to the video."""
    summary, episodes = run.read("summary.json"), load(run.path, evaluation_points(config)[-1])
    table = closing_table(summary, [f.episode for f in episodes.values()], run.path)
    say(table)
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
