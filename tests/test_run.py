"""The command from end to end, and what it leaves behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from suites import usage
from suites.assembly import CONF
from suites.command import from_command_line
from suites.ledger import Costs, columns
from suites.sweeps import command as sweeps
from suites.sweeps.grid import expand
from suites.tasks import registry

# Two plans of 20 steps at each decision.
CHEAP = (
    *("task=cheetah", "planner.optimizer=predictive_sampling"),
    *("planner.horizon=0.2", "planner.iterations=1", "planner.budget=40"),
)


@pytest.fixture
def own_task(tmp_path):
    """Words that choose the task of `tests/pole.py`."""
    (tmp_path / "conf" / "task").mkdir(parents=True)
    yaml = "_target_: pole.make\nreward: upright\n"
    (tmp_path / "conf" / "task" / "pole.yaml").write_text(yaml)
    return "--config-dir", str(tmp_path / "conf"), "task=pole"


def only(tmp_path: Path, pattern: str = "**/summary.json") -> Path:
    """The only run directory there is."""
    (found,) = tmp_path.glob(pattern)
    return found.parent


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("row", ["{", "[]", "{}"])
def test_a_damaged_episode_is_named(command, tmp_path, row):
    words = ("task=toy-chain", "agent=random", "evaluation.episodes=2")
    command(*words)
    run = only(tmp_path)
    (run / "summary.json").unlink()
    (run / "evaluations.jsonl").unlink()
    episode = run / "checkpoint" / "evaluation-0" / "episode1.json"
    whole = episode.read_text()
    episode.write_text(row)
    code, _, err = command(*words)
    assert code == 2
    assert f"error: {episode} is damaged: delete it, and give the same command again" in err
    episode.unlink()
    assert command(*words)[0] == 0
    assert read(episode)["episode"]["score"] == json.loads(whole)["episode"]["score"]


def test_a_run_that_was_killed_after_its_last_record_is_told_as_done(command, tmp_path):
    words = ("task=toy-chain", "agent=random")
    command(*words)
    status = only(tmp_path) / "status.json"
    status.write_text(json.dumps(read(status) | {"status": "running"}))
    command(*words)
    assert read(status)["status"] == "done"


def test_a_task_may_have_a_number_for_a_name(command, tmp_path):
    assert command("task=toy-chain", "agent=random", "task.name=3")[0] == 0
    assert only(tmp_path).relative_to(tmp_path).parts[0] == "3"


def test_a_run_that_is_done_is_told_without_its_episodes(command, tmp_path):
    """As of records that were copied without what only a continuation needs."""
    words = ("task=toy-chain", "agent=random")
    assert "plan time" in command(*words)[1]
    shutil.rmtree(only(tmp_path) / "checkpoint")
    code, out, _ = command(*words)
    assert code == 0
    assert "score" in out
    assert "plan time" not in out


def test_what_a_run_leaves(command, tmp_path):
    code, out, _ = command(*CHEAP, "evaluation.episodes=2", "seed=3", "experiment=first")
    assert code == 0
    path = only(tmp_path)
    task, agent, digest, seed = path.relative_to(tmp_path / "first").parts
    assert (task, agent, seed) == ("cheetah-run", "mpc-predictive_sampling", "seed3")
    assert {p.name for p in path.iterdir()} == {
        *("config.yaml", "manifest.json", "evaluations.jsonl", "metrics.jsonl", "checkpoint"),
        *("status.json", "summary.json", "lock"),
    }
    assert read(path / "status.json")["status"] == "done"
    manifest = read(path / "manifest.json")
    said = {"config_hash": digest, "task": task, "agent": agent, "seed": 3}
    assert said.items() <= manifest.items()
    assert manifest["config"] == yaml.safe_load((path / "config.yaml").read_text())
    assert "name: cheetah-run" in (path / "config.yaml").read_text()

    summary = read(path / "summary.json")
    assert list(summary) == ["task", "agent", "seed", "score", "returns", "ledger"]
    assert summary["score"] == sum(summary["returns"]) / 2
    assert len(set(summary["returns"])) == 2  # the episodes begin differently
    (row,) = rows(path / "evaluations.jsonl")
    assert row["returns"] == summary["returns"]
    assert row["config_hash"] == digest
    assert row["threads"] >= 1
    assert row["reference"] == {"random": 0.0, "best": 1000.0}
    ledger = summary["ledger"]
    assert set(ledger) == set(columns(Costs(), Costs()))
    assert ledger.items() <= row.items()
    assert ledger["env_steps"] == ledger["sim_steps"] == 0  # nothing was trained
    assert ledger["evaluation_env_steps"] == ledger["evaluation_decisions"] == 2000
    assert ledger["evaluation_env_frames"] == 2000  # one physics step per control step here
    assert 0 < ledger["evaluation_sim_steps"] <= 40 * 2000
    assert ledger["evaluation_sim_frames"] == ledger["evaluation_sim_steps"]
    assert ledger["evaluation_act_seconds"] > 0
    assert ledger["evaluation_collect_seconds"] > 0
    spent = ledger["evaluation_act_seconds"] + ledger["evaluation_collect_seconds"]
    assert spent + ledger["evaluation_compile_seconds"] <= ledger["evaluation_wall_seconds"]
    assert ledger["cpu_seconds"] > 0
    assert ledger["evaluation_cpu_seconds"] > 0
    assert (ledger["evaluation_joules"] is None) == bool(ledger["evaluation_joules_reason"])

    metrics = rows(path / "metrics.jsonl")
    assert [row["return"] for row in metrics] == summary["returns"]
    assert 0 < metrics[0]["plan_ms_median"] <= metrics[0]["plan_ms_p95"]
    for said in ("score", "sim steps per decision", "CPU", str(path)):
        assert said in out


def test_done_is_skipped_and_force_starts_over(command, tmp_path):
    words = ("task=pendulum", "agent=random")
    command(*words)
    path = only(tmp_path)
    first = (path / "summary.json").read_text()
    code, out, err = command(*words, "threads=1")  # threads can't change the result
    assert code == 0
    assert "already done" in err
    assert f"{read(path / 'summary.json')['score']:.1f}" in out
    assert (path / "summary.json").read_text() == first
    assert len(read(path / "manifest.json")["starts"]) == 1
    command(*words, "force=true")
    assert (path / "summary.json").read_text() != first  # the times differ
    assert read(path / "summary.json")["returns"] == json.loads(first)["returns"]
    assert len(rows(path / "metrics.jsonl")) == 1


def test_seeds_and_presets(command, tmp_path):
    for words in (("seed=0",), ("seed=1",), ("seed=1", "evaluation.seed=0")):
        command("task=cheetah", "agent=random", *words)
    found = {path.parent.name: path for path in tmp_path.glob("*/random/*/seed*/summary.json")}
    assert len(list(tmp_path.glob("*/random/*"))) == 2  # a fixed evaluation.seed is a choice
    assert read(found["seed0"])["returns"] != read(found["seed1"])["returns"]


def start(tmp_path: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "suites.run", f"runs_dir={tmp_path}", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def test_kill_loses_no_finished_episode(command, tmp_path):
    words = (*CHEAP, "evaluation.episodes=4")
    whole = tmp_path / "whole"
    command(*words, f"runs_dir={whole}", "threads=1")
    expected = read(only(whole) / "summary.json")

    killed, finished = tmp_path / "killed", "**/checkpoint/*/episode*.json"
    process = start(killed, *words)
    wait_for(lambda: len(list(killed.glob(finished))) >= 2, process)
    process.send_signal(signal.SIGSTOP)  # it stays, while another one tries
    second = start(killed, *words)
    _, complaint = second.communicate()
    assert second.returncode == 3
    assert complaint.count("\n") == 1
    assert f"in use by process {process.pid}" in complaint
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = {path: path.read_text() for path in killed.glob(finished)}
    assert 2 <= len(before) < 4
    path = only(killed, "**/status.json")
    assert read(path / "status.json")["status"] == "running"
    (path / "metrics.jsonl").write_text((path / "metrics.jsonl").read_text()[:-9])  # torn

    with pytest.warns(UserWarning, match="torn"):
        code, _, err = command(*words, f"runs_dir={killed}", "threads=2")
    assert code == 0
    assert f"continuing: {len(before)} of 4" in err
    assert all(path.read_text() == text for path, text in before.items())
    summary = read(path / "summary.json")
    assert summary["returns"] == expected["returns"]  # and at other threads
    counts = [name for name in summary["ledger"] if name.endswith(("_steps", "_frames"))]
    assert [summary["ledger"][n] for n in counts] == [expected["ledger"][n] for n in counts]
    episodes = [read(p)["episode"]["costs"] for p in killed.glob(finished)]
    total = sum(costs["cpu_seconds"] for costs in episodes)
    assert summary["ledger"]["evaluation_cpu_seconds"] == pytest.approx(total)
    metrics = rows(path / "metrics.jsonl")
    assert sorted(row["episode"] for row in metrics) == [0, 1, 2, 3]
    assert len(read(path / "manifest.json")["starts"]) == 2


def test_a_kill_before_the_summary(command, tmp_path):
    words = ("task=pendulum", "agent=random")
    command(*words)
    path = only(tmp_path)
    summary = read(path / "summary.json")
    (path / "summary.json").unlink()
    command(*words)
    assert read(path / "summary.json") == summary
    (path / "summary.json").unlink()
    (path / "evaluations.jsonl").unlink()
    command(*words)
    assert read(path / "summary.json")["returns"] == summary["returns"]


def test_no_torch_and_no_matplotlib(tmp_path):
    code = (
        "import sys; sys.argv[1:] = ['task=pendulum', 'agent=random', f'runs_dir={sys.argv[1]}'];"
        "from suites import run; run.main();"
        "print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("word", ["task=cheetah", "-m", "+sweep=planners"])
def test_help_is_help_beside_any_words(command, word):
    code, out, err = command("--help", word)
    assert (code, err) == (0, "")
    assert "Sweeps: lists of values" in out


def test_help_lists_what_there_is(command):
    code, out, _ = command("--help")
    assert code == 0
    for name in (*registry.names(), "balancer", "mpc", "simulator", "random", "icem", "evaluation"):
        assert name in out
    for line in out.splitlines():
        if line.startswith("  python -m suites.run"):
            assert "task=" in line or "=" in line or "default" in line


def test_examples_of_the_help_compose(monkeypatch, tmp_path):
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "my_task.yaml").write_text("_target_: my_module.make\n")
    text = usage.help_text(CONF)
    examples = [line for line in text.splitlines() if line.startswith("  python -m suites.run")]
    assert len(examples) > 5
    for line in examples:
        words = line.split("  ")[1].split()[3:]
        words = [str(tmp_path) if word == "my_conf" else word for word in words]
        if "-m" in words:
            _, _, overrides = sweeps.split(words)
            assert len(sweeps.make_jobs(expand(overrides, [CONF]), None)) > 1
            continue
        monkeypatch.setattr(sys, "argv", ["suites.run", *words])
        (composed,) = from_command_line()
        assert composed.config.task["_target_"]


def test_without_a_terminal_progress_is_a_few_lines(command):
    _, _, err = command("task=pendulum", "agent=random", "evaluation.episodes=2")
    lines = [line for line in err.splitlines() if line.startswith("episode")]
    assert 5 <= len(lines) <= 12
    assert lines[0].startswith("episode 1/2, step ")
    assert "left" in lines[-1]


def test_a_task_in_python_says_that_it_is_slow(command, monkeypatch):
    monkeypatch.setattr("suites.tasks.control.find_twin", lambda *_: None)
    _, _, err = command("task=pendulum", "agent=random")
    assert "slow" in err.splitlines()[0]


def test_discrete_actions(command, tmp_path):
    code, _, _ = command("task=toy-chain", "agent=random", "evaluation.episodes=3")
    assert code == 0
    returns = read(only(tmp_path) / "summary.json")["returns"]
    assert len(set(returns)) > 1
    assert all(0 <= score <= 2 for score in returns)


def test_a_task_of_ones_own(command, tmp_path, own_task):
    code, out, _ = command(*own_task, "planner.budget=400", "planner.single=0.4")
    assert code == 0
    path = only(tmp_path)
    assert path.relative_to(tmp_path).parts[0] == "pole"
    assert read(path / "summary.json")["score"] > 30  # of 50: it stands up
    assert "pole" in out


def test_a_reward_that_is_nan(command, tmp_path, own_task):
    code, _, err = command(*own_task, "task.reward=broken", "agent=random")
    assert code == 2
    assert "pole: reward is nan at control step 1" in err
    assert err.count("\n") == 1
    path = only(tmp_path, "**/status.json")
    assert read(path / "status.json")["status"] == "failed"
    assert "reward is nan" in read(path / "status.json")["reason"]


def test_video_or_what_to_install(command, tmp_path, own_task):
    code, _, err = command(*own_task, "agent=random", "video=true")
    assert code == 0
    videos = list(tmp_path.glob("**/video/episode0.mp4"))
    if not videos:
        assert "install" in err
        return
    assert videos[0].read_bytes()[4:8] == b"ftyp"
    import imageio_ffmpeg

    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(videos[0]))
    assert frames == 50  # one each 20 ms
    assert seconds == pytest.approx(1.0, abs=0.05)
    shown = os.stat(videos[0]).st_mtime_ns
    _, _, err = command(*own_task, "agent=random", "video=true")
    assert "1 videos in" in err
    assert os.stat(videos[0]).st_mtime_ns == shown
