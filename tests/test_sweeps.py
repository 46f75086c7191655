"""Sweeps: what runs a command stands for, and that each is made once, whatever happens."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from scripted import BAD, GOOD, LOST, leave_summary, scripted
from sweeping import TOY, folders, gone, holder, start, starts, wait_until

from suites.command import composing, from_command_line, from_words
from suites.errors import InUseError, RefusedError, UserError
from suites.records import hold
from suites.sweeps import display
from suites.sweeps.engine import Job, Sweep
from suites.sweeps.grid import expand
from suites.sweeps.work import Outcome

LONG = ("task=pendulum", "agent=random", "evaluation.episodes=2000")  # for minutes


def named(tmp_path: Path, text: str) -> list[Path]:
    """A folder of yamls with a sweep of the name `mine`."""
    (tmp_path / "sweep").mkdir(exist_ok=True)
    (tmp_path / "sweep" / "mine.yaml").write_text(text)
    return [tmp_path]


SWEEP = """
grid:
  task: [cheetah, walker]
  seed: range(2)
variants:
  small: [planner=mpc, "planner.budget=100,200"]
  tree:
    overrides: [planner=mcts]
    grid: {task: cheetah, evaluation.episodes: 3}
"""


def test_lists_on_the_command_line():
    runs = expand(["planner=mpc,mcts", "task=cheetah", "seed=range(0,3)"], [])
    assert len(runs) == 6
    assert runs[1] == ["planner=mpc", "task=cheetah", "seed=1"]
    assert runs[5] == ["planner=mcts", "task=cheetah", "seed=2"]


def test_a_named_sweep(tmp_path):
    folders = named(tmp_path, SWEEP)
    runs = expand(["+sweep=mine", "seed=5", "threads=2"], folders)
    assert (runs[3][:-1]) == [
        "task=walker",
        "seed=5",
        "planner=mpc",
        "planner.budget=200",
        "threads=2",
    ]
    assert runs[3][-1] == "label=small"
    assert len(runs) == 5
    last = {"task=cheetah", "seed=5", "evaluation.episodes=3", "planner=mcts", "threads=2"}
    assert set(runs[4]) == {*last, "label=tree"}
    assert len(expand(["+sweep=mine"], folders)) == 2 * 2 * 2 + 2
    assert len(expand(["+sweep=mine", "label=tree"], folders)) == 2
    assert len(expand(["+sweep=mine", "planner.budget=7"], folders)) == 2 * 2 + 2


def test_the_sweeps_that_come_with_the_suite(monkeypatch):
    from suites.assembly import CONF

    with composing():
        for path in (CONF / "sweep").glob("*.yaml"):
            runs = expand([f"+sweep={path.stem}"], [CONF])
            assert len({from_words(words).path for words in runs}) == len(runs)


@pytest.mark.parametrize(
    "words",
    [
        TOY,
        ("agent=random", "task=cheetah", "label=x", "experiment=e"),
        ("learner=sac", "task=walker", "seed=3"),
        ("agent=pets", "seed=2", "evaluation.seed=4", "planner.budget=400"),
        ("planner=mcts", "task=pong", "task.frame_skip=15"),
    ],
)
def test_the_sweep_knows_where_its_runs_lie(words, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["suites.run", *words])
    (alone,) = from_command_line()
    with composing():
        among = from_words([*words, "threads=1"])
    assert among.path == alone.path
    alone.config.threads = 1
    assert among.config == alone.config


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("planner=mpc,mcp",), "unknown planner 'mcp': choose one of "),
        (("task=cheetah,chetah",), "unknown task 'chetah'; nearest: cheetah"),
        (("seed=0,-1",), "seed is -1"),
        (("planner=mpc,mcts", "planner.knots=3"), "is a key of planner=mpc, which"),
        (("planner=mpc,mcts", "planner.knots=3"), "planner=mcts planner.knots=3 threads=1)"),
        (("seed=0", "seed=1"), "seed is given twice"),
        (("seed={",), "can't read 'seed={'"),
        (("+sweep=nope",), "unknown sweep 'nope': choose one of "),
        (("+sweep=planners", "label=icm"), "has no variant 'icm': choose label= among icem-1000"),
        (("launcher=condor",), "unknown launcher 'condor': choose one of local, ray, slurm"),
        (("sweep.worker=2",), "unknown key 'sweep.worker'; nearest: sweep.workers"),
        (("launcher.adress=a",), "unknown key 'launcher.adress'; nearest: launcher.address"),
        (("sweep.plan=true",), "key 'sweep.plan'; there are launcher.address, launcher.cluster"),
        (("sweep.plan=true",), "launcher.cluster, launcher.gpus, launcher.memory_gb"),
        (("sweep.workers=0",), "sweep.workers is 0"),
        (("sweep.retries=few",), "sweep.retries is 'few'"),
        (("sweep.timeout=0",), "sweep.timeout is 0"),
        (("sweep.timeout=true",), "sweep.timeout is True: give a number of seconds"),
        (("sweep=planners",), "a named sweep is chosen with a plus: +sweep=planners"),
        (("+launcher=ray",), "'+launcher=ray' is there already: write it without the plus"),
        (("+sweep.workers=1",), "'+sweep.workers=1' is there already"),
        (("--cfg", "job"), "a sweep takes -m, --plan-cost and --config-dir"),
        (("--config-dir", "no/such"), "no/such: there is no such folder"),
        (
            ("--plan-cost=1",),
            "a sweep takes -m, --plan-cost and --config-dir, and no '--plan-cost=1'",
        ),
        (("launcher=null",), "can't read the sweep's settings launcher=null"),
        (("launcher=ray", "launcher.address=null"), "launcher.address is 'None': give auto or"),
        (("launcher=ray", "launcher.address=5"), "launcher.address is '5': give auto or ip:port"),
        (("experiment=a,b",), "give one value of each"),
    ],
)
def test_one_line_before_anything_starts(command, words, said, tmp_path):
    code, out, err = command("-m", *words)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grid: [1]", "is no mapping"),
        ("grids: {}", "unknown key 'grids'"),
        ("variants: {a: {grid: {}, over: []}}", "unknown key 'over'"),
        ("variants: {a: planner=mpc}", "a: give a list of words"),
        ("grid: {", "can't read"),
    ],
)
def test_yamls_that_make_no_sense(tmp_path, text, said):
    with pytest.raises(UserError, match=said):
        expand(["+sweep=mine"], named(tmp_path, text))


def test_a_yaml_that_is_no_text(tmp_path):
    places = named(tmp_path, "")
    (tmp_path / "sweep" / "mine.yaml").write_bytes(b"grid: \xff\xfe")
    with pytest.raises(UserError, match=r"can't read .*mine.yaml: 'utf-8' codec"):
        expand(["+sweep=mine"], places)


def test_a_yaml_that_adds_a_key(tmp_path):
    runs = expand(["+sweep=mine"], named(tmp_path, "grid: {+task.wings: [1, 2]}"))
    assert runs == [["+task.wings=1"], ["+task.wings=2"]]


def test_a_sweep_of_nothing(command, tmp_path):
    named(tmp_path, "variants: {}")
    code, _, err = command("-m", "--config-dir", str(tmp_path), "+sweep=mine")
    assert (code, err.count("\n")) == (2, 1)
    assert "this sweep has no runs" in err


def test_a_log_lies_in_the_folder_of_logs_whatever_a_label_is(tmp_path):
    sweep, _ = scripted(tmp_path, {0: [GOOD]})
    sweep.jobs[0].method = "wide/deep"
    log = sweep.log(sweep.jobs[0])
    assert log.parent == sweep.folder / "logs"
    assert "wide-deep" in log.name


def test_what_fails_is_tried_again_and_then_told(tmp_path):
    outcomes = {0: [BAD, GOOD], 1: [BAD, BAD], 2: [LOST, GOOD], 3: [GOOD]}
    sweep, launcher = scripted(tmp_path, outcomes)
    sweep.run()
    assert [job.state for job in sweep.jobs] == ["done", "failed", "done", "done"]
    assert [job.attempts for job in sweep.jobs] == [2, 2, 2, 1]
    assert sweep.jobs[1].reason == "it broke"
    assert sorted(launcher.started) == [0, 0, 1, 1, 2, 2, 3]
    assert sweep.spent() == (2 + 0.5 * 0) + 1 + 2 + 2  # the ledger, where it knows more
    state = json.loads((sweep.folder / "state.json").read_text())
    assert [row["state"] for row in state["jobs"]] == ["done", "failed", "done", "done"]
    again, launcher = scripted(tmp_path, {0: [], 1: [GOOD], 2: [], 3: []})
    again.run()
    assert launcher.started == [1]
    assert again.jobs[1].spent == 2


def test_a_run_over_its_time_is_not_tried_again(tmp_path):
    sweep, launcher = scripted(tmp_path, {0: [Outcome(130, "took long", final=True)]}, retries=5)
    sweep.run()
    assert launcher.started == [0]
    assert sweep.jobs[0].state == "failed"


def test_a_run_that_another_process_makes_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("suites.sweeps.engine._PATIENCE", 0.01)
    taken = Outcome(InUseError.code, "in use")
    sweep, _ = scripted(tmp_path, {0: [taken, taken, taken, GOOD]}, retries=0)
    sweep.run()
    assert (sweep.jobs[0].state, sweep.jobs[0].attempts) == ("done", 1)
    sweep, launcher = scripted(tmp_path, {1: [taken]}, retries=0)

    def other_ends(_: Sweep, job: Job) -> None:
        if job.state == "waiting":
            leave_summary(job.path)

    sweep.on_event = other_ends
    monkeypatch.setattr("suites.sweeps.engine._PATIENCE", 1e6)  # it is seen all the same
    sweep.run()
    assert launcher.started == [1]
    assert sweep.jobs[0].state == "done"


def test_what_a_queue_refuses_is_offered_again(tmp_path, monkeypatch):
    monkeypatch.setattr("suites.sweeps.engine._PATIENCE", 0.01)
    outcomes = {k: [None, None, GOOD] for k in range(3)}
    sweep, launcher = scripted(tmp_path, outcomes, retries=0)
    launcher.takes, told = 1, []
    sweep.on_event = lambda _, job: told.append((job.seed, job.reason))
    sweep.run()
    refused = [seed for seed, reason in told if reason == "no more"]
    assert refused == sorted(set(refused)) == [1, 2]
    assert [(job.state, job.attempts) for job in sweep.jobs] == [("done", 1)] * 3
    assert len(launcher.started) > 3
    sweep, launcher = scripted(tmp_path / "none", {0: [GOOD]})
    launcher.takes = 0
    with pytest.raises(RefusedError, match="no more"):
        sweep.run()


def test_a_sweep_has_one_process(tmp_path):
    sweep, _ = scripted(tmp_path, {0: [GOOD]})
    lock = hold(sweep.folder, "is the same", "runs_dir")
    with pytest.raises(InUseError, match="makes the same sweep"):
        sweep.run()
    lock.close()
    sweep.run()


def test_an_error_ends_what_is_at_work(tmp_path):
    sweep, launcher = scripted(tmp_path, {0: [None, GOOD], 1: [None, BAD]})

    def interrupt(_):
        raise KeyboardInterrupt

    sweep.on_time = interrupt
    with pytest.raises(KeyboardInterrupt):
        sweep.run()
    assert launcher.stopped == 2


def test_time_left(tmp_path):
    sweep, _ = scripted(tmp_path, {k: [] for k in range(5)})
    done, running, *_ = sweep.jobs
    assert sweep.left() == (0.0, 5)  # nothing is known
    done.state, done.seconds = "done", 10.0
    sweep.known[done.path.parent] = [10.0]
    running.state = "running"
    now = time.monotonic()
    running.began, running.first, running.share = now - 8, (now - 4.0, 0.1), 0.5
    seconds, unknown = sweep.left()
    assert unknown == 0
    # By its speed; and as the mean of the one that is done and of what this one will have taken.
    assert seconds == pytest.approx((5 + 3 * (10 + 13) / 2) / 2, abs=0.1)


def test_low_seeds_and_long_runs_come_first(tmp_path):
    sweep, launcher = scripted(tmp_path, {k: [GOOD] for k in range(4)})
    for job, (seed, place) in zip(
        sweep.jobs, [(1, "a"), (1, "b"), (0, "a"), (0, "b")], strict=True
    ):
        job.seed, job.path = seed, tmp_path / place / job.path.name
    sweep.launcher.most = 1  # type: ignore
    leave_summary(tmp_path / "b" / "seed7", seconds=9.0)
    leave_summary(tmp_path / "a" / "seed7", seconds=5.0)
    launcher.runs = {f"seed={k}": job.path for k, job in enumerate(sweep.jobs)}
    sweep.run()
    assert launcher.started == [3, 2, 1, 0]


def test_the_table_of_a_thousand_runs_can_be_read(tmp_path):
    sweep, _ = scripted(tmp_path, {k: [] for k in range(1000)})
    for k, job in enumerate(sweep.jobs):
        job.method, job.spent = f"method{k % 50}", 36.0
        job.state = ("done", "running", "waiting", "failed")[k % 4]
        job.reason = "it broke" if job.state == "failed" else ""
    shown = StringIO()
    Console(file=shown, width=100).print(display._table(sweep, time.monotonic()))
    lines = shown.getvalue().splitlines()
    assert len(lines) < 60
    assert any(line.split() == ["all", *["250"] * 4, "10:00", "h"] for line in lines)
    assert any(line.split()[:2] == ["26", "more"] for line in lines)
    assert "failed: task method49 seed999: it broke" in lines
    last = " ".join(lines[-2:])
    assert "250 of 1000 done" in last
    assert "10:00 h of CPU so far" in last


def test_a_sweep_and_the_same_again(command, tmp_path):
    words = ("-m", *TOY, "seed=1,0,1", "label=me", "experiment=e")
    code, out, err = command(*words)
    assert code == 0
    assert "1 of 3 runs are the same" in err
    told = [line.partition(": done")[0] for line in err.splitlines() if ": done" in line]
    assert [line.partition(" ")[0] for line in told] == ["[1/2]", "[2/2]"]
    assert sorted(line.partition(" ")[2] for line in told) == [  # which one ends first is open
        "toy-chain me seed0",
        "toy-chain me seed1",
    ]
    assert "2 of 2 runs are done" in out
    found = folders(tmp_path)
    assert [path.name for path in found] == ["seed0", "seed1"]
    assert "label: me" in (found[0] / "config.yaml").read_text()
    assert "threads: 1" in (found[0] / "config.yaml").read_text()
    (folder,) = (tmp_path / "e" / "sweeps").iterdir()
    assert len(list((folder / "logs").iterdir())) == 2
    code, out, err = command(*words)
    assert code == 0
    assert "done" not in err.splitlines()[-1]  # nothing happened
    assert [starts(path) for path in found] == [1, 1]


def test_no_physics_and_no_torch_in_the_parent(tmp_path):
    code = (
        "import sys; from suites import run\n"
        "sys.argv[1:] = ['-m', 'task=toy-chain,cheetah', 'agent=random', sys.argv[1]]\n"
        "from suites.sweeps.launchers import Local; from suites.sweeps.work import Outcome\n"
        "Local.start = lambda *_: type('Done', (), {'poll': lambda _: Outcome(2, 'no')})()\n"
        "try: run.main()\n"
        "except SystemExit: print({'numba', 'mujoco', 'dm_control', 'torch'} & set(sys.modules))"
    )
    words = [sys.executable, "-c", code, f"runs_dir={tmp_path}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "0 of 2 runs are done" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_killed_run_is_made_again(tmp_path):
    process = start(tmp_path, *TOY, "seed=0,1", "sweep.workers=1")
    os.kill(holder(tmp_path, 0), signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "seed0: waiting: once more: killed by SIGKILL" in err
    assert "2 of 2 runs are done" in out
    assert [starts(path) for path in folders(tmp_path)] == [2, 1]


def test_a_killed_sweep_goes_on(tmp_path):
    words = (*TOY, "seed=range(3)", "sweep.workers=1")
    process = start(tmp_path, *words)
    child = holder(tmp_path, 1)
    process.kill()
    process.communicate()
    wait_until(lambda: gone(child))
    assert len(folders(tmp_path)) == 1
    process = start(tmp_path, *words)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert [starts(path) for path in folders(tmp_path)] == [1, 2, 1]
    for path in folders(tmp_path):
        assert len((path / "evaluations.jsonl").read_text().splitlines()) == 1


def test_ctrl_c(tmp_path):
    def listen() -> None:  # though the tests may run in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = start(tmp_path, *LONG, "seed=0,1", "sweep.workers=1", preexec_fn=listen)
    child = holder(tmp_path, 0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("interrupted: ")
    assert gone(child)


def test_failures_and_time_limits_do_not_stop_the_others(tmp_path):
    (tmp_path / "task").mkdir()
    yaml = "_target_: pole.make\nreward: broken\n"
    (tmp_path / "task" / "pole.yaml").write_text(yaml)
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    runs = tmp_path / "runs"
    process = start(
        runs,
        *("--config-dir", str(tmp_path), "task=pole,toy-chain", "agent=random"),
        *("sweep.workers=1", "sweep.retries=0"),
        env={**os.environ, "PYTHONPATH": path},
    )
    out, err = process.communicate()
    assert process.returncode == 1
    assert "1 of 2 runs are done" in out
    (told,) = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert "failed: pole random seed0: pole: reward is nan at control step 1" in told
    log = told.rpartition("; ")[2]
    assert "reward is nan" in Path(log).read_text()


def test_a_time_limit(tmp_path):
    process = start(tmp_path, *LONG, "sweep.timeout=3", "sweep.workers=1")
    _, err = process.communicate()
    assert process.returncode == 1
    assert "took longer than sweep.timeout=3 seconds" in err.splitlines()[-1]


def test_a_full_disk_is_one_line(tmp_path):
    """First a file of a run does not fit, then one of the sweep itself."""

    def limited(size: int) -> subprocess.Popen:
        limit = (size, size)
        return start(
            tmp_path,
            *TOY,
            "sweep.retries=0",
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        )

    start(tmp_path / "before", *TOY).communicate()  # compiled code is larger, and kept from then on
    process = limited(1100)
    _, err = process.communicate()
    assert process.returncode == 1
    assert "File too large; what was recorded so far stays" in err.splitlines()[-1]
    process = limited(200)
    _, err = process.communicate()
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert "state.json: File too large" in err
