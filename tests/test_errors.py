"""Bad input and failing machines: one clear line, exit code 2, no traceback."""

import errno
import json
import os
import subprocess
import sys

import pytest

from suites import doctor, records
from suites.tasks import registry


def complaint(command, *words: str) -> str:
    """The one line that a command says."""
    code, out, err = command(*words)
    assert code == 2
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("task=chetah", "unknown task 'chetah'; nearest: cheetah"),
        ("task=walker_runn", "nearest: walker-run"),
        ("task=zzz", "unknown task 'zzz'; `python -m suites.run --help` lists all"),
        ("planner=mcp", "unknown planner 'mcp': choose one of "),
        ("agent=sacc", "unknown agent 'sacc': choose one of "),
        ("planner.optimizer=cmaes", "planner.optimizer is 'cmaes': choose one of "),
        ("planner.horizn=1", "unknown key 'planner.horizn'; nearest: planner.horizon"),
        ("sead=1", "unknown key 'sead'; nearest: seed"),
        ("planner.horizon=0", "planner.horizon is 0"),
        ("planner.horizon=long", "planner.horizon is 'long': give a positive number of seconds"),
        ("planner.budget=10", "planner.budget is 10"),
        ("planner.budget=", "planner.budget is '': give a whole number"),
        ("planner.budget=1e4", "planner.budget is 10000.0: give a whole number"),
        ("planner=null", "planner needs a choice, as in planner=<name>"),
        ("agent=null", "agent needs a choice"),
        ("budget=3", "budget.env_steps is None: give a whole number of at least 0"),
        ("runs_dir=null", "runs_dir is None: give a folder"),
        ("task.name=walker-fly", "unknown task 'walker-fly'; nearest: walker"),
        ("runs_dir=", "runs_dir is '': give a folder"),
        ("~task", "task is part of every run: choose one, task=..."),
        ("~planner", "planner is part of every run: choose one, planner=..."),
        ("~budget", "budget is part of every run: leave out ~budget"),
        ("~device", "device is part of every run: leave out ~device"),
        ("seed=007", "seed is '007': give a whole number"),
        ("seed=???", "can't read the value of evaluation.seed: "),
        ("seed=${oc.env:NOBODY_SETS_THIS}", "variable 'NOBODY_SETS_THIS' not found"),
        ("experiment=???", "can't read the value of experiment: "),
        ("+planner.wings=2", "planner.wings"),
        ("+task.wings=2", "task.wings: there is no such option"),
        ("+world_model.wings=2", "world_model.wings: there is no such option"),
        ("task=balancr", "nearest: balancer"),
        ("world_model.physics.substeps=0", "world_model.physics.substeps is 0: give a whole"),
        ("world_model.physics.substeps=99", "substeps is 99: this task has 1 physics steps"),
        ("world_model.physics.iterations=-1", "world_model.physics.iterations is -1"),
        ("world_model.physics.ls_iterations=few", "ls_iterations is 'few': give a whole number"),
        ("cheetah", "can't read 'cheetah': write key=value"),
        ("seed=1,2", "can't read 'seed=1,2': give one value"),
        ("seed={", "can't read 'seed={'"),
        ("seed=-1", "seed is -1"),
        ("seed=first", "seed is 'first'"),
        ("threads=0", "threads is 0"),
        ("evaluation.episodes=0", "evaluation.episodes is 0"),
        ("evaluation.seed=-3", "evaluation.seed is -3"),
        ("video=maybe", "video is 'maybe': give true or false"),
        ("budget.env_steps=10", "nothing in this agent learns"),
        ("--seed=1", "unknown flag '--seed'"),
        ("+sweep=planners", "'+sweep=planners' is for a sweep: add -m"),
        ("launcher=ray", "is for a sweep: add -m"),
        ("sweep.workers=2", "is for a sweep: add -m"),
        ("--plan-cost", "--plan-cost goes with -m"),
    ],
)
def test_one_line(command, word, said):
    assert said in complaint(command, word)


@pytest.mark.parametrize("optimizer", ["predictive_sampling", "mppi", "ilqg"])
def test_an_optimizer_that_makes_no_sense_with_discrete_actions(command, optimizer):
    line = complaint(command, "task=toy-chain", f"planner.optimizer={optimizer}")
    assert f"planner mpc with optimizer {optimizer} needs continuous actions" in line
    assert "task toy-chain has Discrete(2): choose planner.optimizer=icem or cem" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("planner=mpc", "planner.beta=nan"), "planner.beta is nan: give a number"),
        (("learner=sac", "learner.twin=no"), "learner.twin is 'no': give true or false"),
        (("learner=sac", "learner.batch=0"), "learner.batch is 0: give a whole number of at least"),
        (
            ("learner=sac", "learner.tau=soft"),
            "learner.tau is 'soft': give a number from 0.0",
        ),
        (("learner=sac", "learner.capacity=null"), "learner.capacity is None: give a whole number"),
        (
            ("learner=dqn", "learner.capacity=1e6"),
            "learner.capacity is 1000000.0: give a whole number of at least 1, written 1000000",
        ),
        (("learner=ppo", "learner.rewards=[raw]"), "learner.rewards is '['raw']': choose one of"),
        (("agent=tdmpc2", "world_model.size=x"), "world_model.size is 'x': give a whole number"),
        (("agent=mbpo", "world_model.imagine.length=5"), "imagine.length is 5: give a list of 2"),
        (("agent=mbpo", "world_model.imagine=5"), "world_model.imagine is 5: give keys and values"),
        (("planner=mpc", "world_model.physics=off"), "physics is 'off': give world_model.physics."),
        (
            ("learner=dqn", "learner.batch_norm=true", "learner.batch=1"),
            "learner.batch is 1: with learner.batch_norm=true give at least 2",
        ),
        (("agent=tdmpc2", "task=cheetah", "learner.dropout=1"), "dropout is 1: give a number"),
        (("learner=rainbow", "learner.value_max=inf"), "value_max is inf: give a number that is"),
        (
            ("planner=mpc", "planner.optimizer=[icem]"),
            "planner.optimizer is '['icem']': choose one of",
        ),
        (("agent=tdmpc2", "world_model.half=off"), "world_model.half is 'off': give true or false"),
        (("learner=rainbow", "task=toy-chain", "learner.noisy=false"), "explores nothing: give"),
        (
            ("learner=rainbow", "task=toy-chain", "learner.noise_sigma=0"),
            "learner.noise_sigma=0 with learner.epsilon_start=0 explores nothing: give",
        ),
        (("learner=simba", "task=toy-chain"), "learner=simba needs continuous actions"),
        (("agent=pets", "planner=mcts", "planner.search=fmc"), "no learned world model tells"),
        (("planner=mcts", "planner.search=[iw]"), "planner.search is '['iw']': choose one of uct"),
    ],
)
def test_numbers_that_are_none_and_searches_that_do_not_fit(command, words, said):
    assert said in complaint(command, "task=toy-chain", *words)


def test_a_memory_that_fits_nowhere(command):
    words = ("task=toy-chain", "learner=dqn", "budget.env_steps=10", f"learner.capacity={10**20}")
    code, _, err = command(*words)
    assert code == 2
    assert "fits neither into memory nor into a file of " in err.splitlines()[-1]
    assert err.splitlines()[-1].endswith("give a smaller learner.capacity")


def test_features_that_a_search_can_not_read(command, tmp_path, monkeypatch):
    from planners.interface import PlanningError
    from planners.iw import IW

    def plan(*_):
        raise PlanningError("planner.search=iw needs features that are whole numbers")

    monkeypatch.setattr(IW, "plan", plan)
    words = ("task=toy-chain", "planner=mcts", "planner.search=iw", f"runs_dir={tmp_path}")
    assert "needs features that are whole numbers" in complaint(command, *words)


def test_a_config_may_have_infinite_numbers(command, tmp_path):
    words = ("learner=ppo", "task=pendulum", "learner.value_clip=inf", "evaluation.episodes=1")
    assert command(*words, "budget.env_steps=32", f"runs_dir={tmp_path}")[0] == 0
    (manifest,) = tmp_path.glob("**/manifest.json")
    assert json.loads(manifest.read_text())["config"]["learner"]["value_clip"] == "inf"


@pytest.mark.parametrize("other", ["planner=none", "agent=random"])
def test_a_key_of_an_option_that_is_not_chosen(command, other):
    line = complaint(command, other, "planner.horizon=2")
    assert "'planner.horizon' is a key of planner=mpc, which this command does not choose" in line
    # One of the yamls that know it has the width of another part.
    line = complaint(command, "learner=sac", "learner.width=16")
    assert "'learner.width' is a key of learner=der or" in line


def test_packages_that_do_not_fit(command, monkeypatch):
    real = doctor.version
    wrong = {"mujoco": "4.0.0"}
    monkeypatch.setattr(doctor, "version", lambda name: wrong.get(name, real(name)))
    line = complaint(command, "task=pendulum", "agent=random")
    assert "mujoco is 4.0.0 where ==3.17.0 is needed" in line
    assert "pip install 'mujoco==3.17.0'" in line


def test_help_and_errors_import_no_physics():
    """So they are quick, and the check of versions comes before what would fail."""
    code = (
        "import sys; sys.argv[1:] = ['task=nope'];"
        "from suites import run\n"
        "try: run.main()\n"
        "except SystemExit: print({'numba', 'mujoco', 'dm_control'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "unknown task 'nope'" in done.stderr
    assert done.stdout.strip() == "set()"


def test_debugging_shows_the_traceback(command, monkeypatch):
    monkeypatch.setenv("PLAN_OR_LEARN_DEBUG", "1")
    with pytest.raises(Exception, match="cmaes"):
        command("planner.optimizer=cmaes")


def test_a_yaml_whose_module_is_missing(command, tmp_path):
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "mine.yaml").write_text("_target_: no_such_module.make\n")
    line = complaint(command, "--config-dir", str(tmp_path), "task=mine")
    assert "no_such_module" in line
    line = complaint(command, "--config-dir", str(tmp_path), "task=mime")
    assert "nearest: mine" in line  # one's own tasks are among the near ones


def test_a_file_in_the_way(command, tmp_path):
    (tmp_path / "file").write_text("")
    line = complaint(command, f"runs_dir={tmp_path}/file/runs")
    assert f"can't write {tmp_path}/file" in line
    assert "runs_dir=" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(command, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    line = complaint(command, f"runs_dir={tmp_path}/closed")
    assert "Permission denied" in line


def test_a_disk_that_fills_up(command, tmp_path, monkeypatch):
    """The second episode finds no room; the first one stays, and the run goes on from there."""
    words = ("task=pendulum", "agent=random", "evaluation.episodes=2")
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if "episode1" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(records.os, "fsync", fsync)
    code, _, err = command(*words)
    assert code == 2
    last = err.splitlines()[-1]
    assert "error: can't write" in last
    assert "episode1.json: No space left on device" in last
    assert len(list(tmp_path.glob("**/episode0.json"))) == 1
    monkeypatch.undo()
    code, _, err = command(*words)
    assert code == 0
    assert "continuing: 1 of 2" in err


def test_nearest_names():
    assert registry.nearest("chetah")[0] == "cheetah"
    assert registry.nearest("humanoid_cmu-run")[0] == "humanoid_CMU-run"
    assert "walker-run" in registry.nearest("run-walker")
    assert registry.nearest("zzz") == []


def test_a_stored_config_that_lacks_an_option(tmp_path):
    """A run of another version, opened by a command that knows nothing of its task's words."""
    words = ("agent=muzero", "task=toy-chain", "budget.env_steps=0", f"runs_dir={tmp_path}")
    subprocess.run([sys.executable, "-m", "suites.run", *words], check=True, capture_output=True)
    (path,) = (config.parent for config in tmp_path.glob("**/config.yaml"))
    config = path / "config.yaml"
    kept = [line for line in config.read_text().splitlines(True) if "outcome_weight" not in line]
    config.write_text("".join(kept))
    done = subprocess.run(
        [sys.executable, "-m", "suites.look", str(path), "decision=1"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    told = "add it; a stored run was made by another version, so make it again"
    assert f"world_model: its config has no 'outcome_weight': {told}" in done.stderr
