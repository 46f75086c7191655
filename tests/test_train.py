"""Training from end to end: checkpoints, resuming, errors, and scoring a stored agent again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_run import only, read, rows

from suites import evaluate, rescore
from suites.assembly import assemble, build
from suites.checkpoints import load_state, trainings
from suites.command import composing, from_words
from suites.train import Trainer

SMALL = (
    *("learner=td3", "task=pendulum", "learner.width=16", "learner.batch=16", "learner.warmup=20"),
    *("budget.env_steps=2100", "evaluation.every=1000", "evaluation.episodes=2", "threads=1"),
)
# What two runs of the same configuration may differ in.
CLOCKS = ("seconds", "bytes", "joules", "concurrent", "_ms_")


def comparable(found: list[dict]) -> list[dict]:
    """Rows without what the clock and the machine decide."""
    return [{k: v for k, v in row.items() if not any(c in k for c in CLOCKS)} for row in found]


def test_what_a_training_leaves(command, tmp_path):
    code, out, err = command(*SMALL)
    assert code == 0
    path = only(tmp_path)
    assert path.relative_to(tmp_path).parts[:2] == ("pendulum-swingup", "td3")
    evaluations = rows(path / "evaluations.jsonl")
    assert [row["env_steps"] for row in evaluations] == [0, 1000, 2000, 2100]
    assert [row["updates"] for row in evaluations] == [0, 480, 980, 1030]
    assert [row["evaluation_env_steps"] for row in evaluations] == [2000, 4000, 6000, 8000]
    assert evaluations[-1]["decisions"] == 1050
    assert evaluations[-1]["env_frames"] == 2100
    assert evaluations[1]["flops"] > 0
    per_step = (evaluations[2]["flops"] - evaluations[1]["flops"]) / 500
    assert evaluations[2]["flops"] + 50 * per_step == pytest.approx(evaluations[3]["flops"])
    assert evaluations[1]["evaluation_flops"] == 2 * evaluations[0]["evaluation_flops"] > 0
    for name in ("act_seconds", "update_seconds", "collect_seconds", "cpu_seconds"):
        assert 0 < evaluations[1][name] < evaluations[2][name]
    log = [row for row in rows(path / "metrics.jsonl") if "critic_loss" in row]
    assert len(log) > 90
    assert any("training_return" in row for row in log)
    summary = read(path / "summary.json")
    assert summary["score"] == evaluations[-1]["score"]
    assert "2,100 steps, 1,030 updates" in out
    assert "step 1,000: score" in err
    assert not trainings(path)
    assert (path / "checkpoint" / "agent.pt").exists()


def test_a_killed_training_ends_as_if_it_had_not_been(command, tmp_path):
    whole = tmp_path / "whole"
    assert command(*SMALL, f"runs_dir={whole}")[0] == 0
    torn, finished = tmp_path / "torn", only(whole)
    words = (*SMALL, f"runs_dir={torn}", "checkpoint.seconds=0")
    kills = 0
    while not list(torn.glob("**/summary.json")):
        process = subprocess.Popen(
            [sys.executable, "-m", "suites.run", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parents[1],
        )
        before = checkpoints(torn)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            now = checkpoints(torn)
            if kills < 3 and now and now[-1] > (before[-1] if before else 0) + 300:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.02)
        process.wait()
    assert kills == 3
    path = only(torn)
    for name in ("evaluations.jsonl", "metrics.jsonl"):
        assert comparable(rows(path / name)) == comparable(rows(finished / name))
    agents = [load_state(p / "checkpoint" / "agent.pt") for p in (path, finished)]
    for mine, theirs in zip(*(flat(agent) for agent in agents), strict=True):
        assert np.array_equal(mine, theirs)


def checkpoints(folder: Path) -> list[int]:
    found = [name for path in folder.glob("*/*/*/*/checkpoint") for name in os.listdir(path)]
    return sorted(int(name.removeprefix("training-")) for name in found if name[:9] == "training-")


def flat(state) -> list[np.ndarray]:
    """All numbers of a nested state in order."""
    if isinstance(state, dict):
        return [x for key in sorted(state, key=str) for x in flat(state[key])]
    if isinstance(state, list | tuple):
        return [x for value in state for x in flat(value)]
    return [state.numpy() if isinstance(state, torch.Tensor) else np.asarray(state)]


def interrupt(monkeypatch, at: int) -> None:
    """Let training stop, as by ctrl-c, after so many control steps."""
    from suites.train import Trainer

    decide = Trainer._decide

    def stop(self):
        if self.env_steps >= at:
            raise KeyboardInterrupt
        decide(self)

    monkeypatch.setattr(Trainer, "_decide", stop)


def test_compilation_is_no_time_of_acting(tmp_path, monkeypatch):
    spent = [0.0]
    meter = SimpleNamespace(compile_seconds=lambda: spent[0])
    monkeypatch.setattr("suites.train.time.perf_counter", lambda: spent[0])
    with composing():
        config = from_words([*SMALL[:4], "learner.warmup=0"]).config
    _, agent = assemble(config, 1)
    trainer = Trainer(agent, build("task", config, num_envs=1, threads=1), 0, tmp_path, meter)  # pyright: ignore
    sample = agent.prior.sample

    def compiling(features, noise):
        spent[0] += 5.0
        return sample(features, noise)

    monkeypatch.setattr(agent.prior, "sample", compiling)
    trainer._decide()
    assert spent == [5.0]
    assert trainer.costs.act_seconds == trainer.costs.collect_seconds == 0.0


def test_without_the_replay_it_says_what_that_costs(command, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, 1500)
        assert command(*SMALL, "checkpoint.replay=false")[0] == 130
    (checkpoint,) = trainings(only(tmp_path, "**/config.yaml"))
    assert not list(checkpoint.glob("memory*"))
    code, _, err = command(*SMALL, "checkpoint.replay=false")
    assert code == 0
    assert "continuing from control step 1000 without what was remembered" in err
    assert rows(only(tmp_path) / "evaluations.jsonl")[-1]["updates"] == 1030 - 19  # it filled again


def test_a_broken_checkpoint_is_one_line(command, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, 1500)
        assert command(*SMALL)[0] == 130
    (checkpoint,) = trainings(only(tmp_path, "**/config.yaml"))
    state = checkpoint / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    code, _, err = command(*SMALL)
    assert code == 2
    assert err.count("\n") == 1
    assert f"can't read the checkpoint {state}" in err


@pytest.mark.parametrize("what", ["a part", "a shape", "a count"])
def test_a_checkpoint_of_another_version_is_one_line(what, command, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, 1500)
        assert command(*SMALL)[0] == 130
    (checkpoint,) = trainings(only(tmp_path, "**/config.yaml"))
    held = load_state(checkpoint / "state.pt")
    weights = held["agent"]["learner"]["networks"]
    named = {"a part": "pace", "a shape": next(iter(weights)), "a count": "has_memory"}[what]
    kind = "RuntimeError" if what == "a shape" else "KeyError"
    if what == "a part":
        del held["agent"]["learner"][named]
    elif what == "a shape":
        weights[named] = weights[named][1:]
    else:
        del held[named]
    torch.save(held, checkpoint / "state.pt")
    code, _, err = command(*SMALL)
    assert code == 2
    assert err.count("\n") == 1
    assert f"the checkpoint {checkpoint} does not fit this version ({kind}: " in err
    assert named in err


@pytest.mark.parametrize("what", ["critic_loss", "an observation", "a reward"])
def test_what_is_not_finite_stops_the_run(what, command, tmp_path, monkeypatch):
    from learners.td3 import TD3
    from suites.train import Trainer

    if what == "critic_loss":
        update = TD3.update

        def spoiled(self, source):
            said = update(self, source)
            return {**said, "critic_loss": float("nan")} if source.added == 700 else said

        monkeypatch.setattr(TD3, "update", spoiled)
        expected = "critic_loss is nan at control step 1400 of training, gradient step 680"
    else:
        check = Trainer._check

        def blind(self, which, values):
            check(self, which, values * (np.nan if (which, self.env_steps) == (what, 1400) else 1))

        monkeypatch.setattr(Trainer, "_check", blind)
        expected = f"{what} is not finite at control step 1400 of training"
    code, _, err = command(*SMALL)
    assert code == 2
    path = only(tmp_path, "**/config.yaml")
    assert expected in err.splitlines()[-1]
    assert f"the last good checkpoint is {path / 'checkpoint' / 'training-1000'}" in err
    assert read(path / "status.json")["status"] == "failed"
    assert len(rows(path / "evaluations.jsonl")) == 2


def test_a_full_disk_at_a_checkpoint_is_one_line_and_leaves_nothing_half(tmp_path):
    """In a process of its own, whose files may not grow beyond 100 kB."""
    code = f"""
import resource, signal, sys
import torch
from suites.checkpoints import save_training
from suites.errors import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from pathlib import Path
run = Path({str(tmp_path)!r})
save_training(run, 1, {{"small": torch.zeros(100)}}, None)
large = torch.zeros(100_000)
for state, memory in (({{"state": large}}, None), ({{}}, {{"x": large.numpy()}})):
    try:
        save_training(run, 2, state, memory)
    except UserError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert len(said) == 2
    assert all(f"can't write {tmp_path / 'checkpoint' / 'training-2'}: " in line for line in said)
    assert os.listdir(tmp_path / "checkpoint") == ["training-1"]


def test_what_a_kill_left_of_a_checkpoint_goes(command, tmp_path):
    begun = [*SMALL, "budget.env_steps=100", "evaluation.every=100"]
    assert command(*begun)[0] == 0
    half = only(tmp_path) / "checkpoint" / ".training-7"
    half.mkdir()
    (half / "state.pt").write_text("a part")
    assert command(*begun, "force=true")[0] == 0
    half.mkdir()
    (half / "state.pt").write_text("a part")
    (only(tmp_path) / "summary.json").unlink()
    assert command(*begun)[0] == 0
    assert not half.exists()


def test_a_stored_agent_scores_the_same(command, tmp_path, capsys, monkeypatch):
    assert command(*SMALL)[0] == 0
    path = only(tmp_path)
    assert rescore.rescore(path, None)
    assert "what is recorded agrees" in capsys.readouterr().out
    assert rescore.rescore(path, 3)  # one more
    summary = read(path / "summary.json")
    summary["returns"][1] += 0.01
    (path / "summary.json").write_text(json.dumps(summary))
    assert not rescore.rescore(path, None)
    monkeypatch.setattr(sys, "argv", ["suites.evaluate", str(path), "episodes=0"])
    with pytest.raises(SystemExit) as stopped:
        rescore.main()
    assert stopped.value.code == 2


def test_training_and_evaluation_have_other_episodes():
    from suites.train import training_seed

    assert max(training_seed(seed) for seed in range(200)) < 2**30
    assert min(evaluate.episode_seed(s, k) for s in range(20) for k in range(20)) >= 2**31


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("learner=td3", "task=toy-chain"), "needs continuous actions"),
        (("learner=sac", "device=tpu"), "device=tpu can't be used"),
        (("learner=sac", "learner.network=deep"), "learner.network is 'deep'"),
        (("learner=sac", "evaluation.every=0"), "evaluation.every is 0"),
        (("learner=sac", "checkpoint.replay=3"), "checkpoint.replay is 3"),
        (("learner=sac", "planner.repeat=0"), "planner.repeat is 0"),
        (("learner=dreamer",), "unknown learner 'dreamer'"),
        (("learner=sac", "planner=mpc", "planner.latency=0.1"), "come late can't be learned from"),
        (("learner=ppo", "planner=mpc"), "learns only from what its own policy did"),
        (("planner=mpc", "budget.env_steps=10"), "nothing in this agent learns"),
    ],
)
def test_one_line_for_bad_input(words, said, command):
    code, _, err = command("task=pendulum", *words)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_torch_that_is_missing_is_one_line(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, err = command("learner=sac", "task=pendulum")
    assert code == 2
    assert "pip install 'plan-or-learn[learn]'" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("learner", ["sac", "simba", "ppo"])
def test_threads_make_no_difference(learner, command, tmp_path):
    words = (f"learner={learner}", "task=cheetah", "budget.env_steps=5100", "evaluation.every=9999")
    words = (*words, "evaluation.episodes=1")
    agents = []
    for threads in (1, 2):
        folder = tmp_path / str(threads)
        assert command(*words, f"threads={threads}", f"runs_dir={folder}")[0] == 0
        agents.append(load_state(only(folder) / "checkpoint" / "agent.pt"))
    for mine, theirs in zip(*(flat(agent) for agent in agents), strict=True):
        assert np.array_equal(mine, theirs)
