"""The run directory: safe against a crash, a full disk and a second process."""

import errno
import json
import os
import subprocess
import sys

import pytest

from suites import records
from suites.errors import InUseError, UserError
from suites.records import Run, config_hash, run_path


def test_hash_names_what_can_change_the_result():
    base = {"seed": 0, "threads": None, "task": {"name": "a"}, "planner": {"budget": 1}}
    assert config_hash({**base, "seed": 5, "threads": 2, "video": True, "runs_dir": "x"}) == (
        config_hash(base)
    )
    assert config_hash({**base, "planner": {"budget": 2}}) != config_hash(base)
    assert config_hash({**base, "evaluation": {"episodes": 2}}) != config_hash(base)


def test_path():
    path = run_path("runs", None, "cheetah-run", "mpc", "abc", 3)
    assert str(path) == "runs/cheetah-run/mpc/abc/seed3"
    path = run_path("runs", "first", "cheetah-run", "mpc", "abc", 3)
    assert str(path) == "runs/first/cheetah-run/mpc/abc/seed3"


def test_rows_survive_a_torn_last_line(tmp_path):
    run = Run(tmp_path)
    run.append("metrics.jsonl", {"episode": 0})
    run.append("metrics.jsonl", {"episode": 1})
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"episode": 2, "retu')
    with pytest.warns(UserWarning, match=r"metrics\.jsonl: dropped a torn last line"):
        assert run.rows("metrics.jsonl") == [{"episode": 0}, {"episode": 1}]
    run.append("metrics.jsonl", {"episode": 2})  # not glued to what was torn
    assert [row["episode"] for row in run.rows("metrics.jsonl")] == [0, 1, 2]


def test_a_line_that_lacks_only_its_end_is_torn_too(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"a": 1}\n{"a": 2}')
    run = Run(tmp_path)
    with pytest.warns(UserWarning, match="torn"):
        assert run.rows("metrics.jsonl") == [{"a": 1}]


def test_damage_elsewhere_is_an_error(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"a": \n{"a": 2}\n')
    with pytest.raises(UserError, match="line 1 is damaged"):
        Run(tmp_path).rows("metrics.jsonl")


def test_no_nan_in_a_record(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        Run(tmp_path).append("metrics.jsonl", {"return": float("nan")})


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    run = Run(tmp_path)
    run.write("summary.json", {"score": 1})
    monkeypatch.setattr(records.os, "fsync", full)
    with pytest.raises(UserError, match=r"can't write .*summary\.json: No space left on device"):
        run.write("summary.json", {"score": 2})
    assert run.read("summary.json") == {"score": 1}
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "lock", "summary.json"]


def test_status_tells_how_a_run_ended(tmp_path):
    run = Run(tmp_path)
    with run.running():
        assert run.read("status.json")["status"] == "running"
    with pytest.raises(UserError), run.running():
        raise UserError("the reward is nan")
    status = run.read("status.json")
    assert (status["status"], status["reason"]) == ("failed", "the reward is nan")
    with pytest.raises(KeyboardInterrupt), run.running():
        raise KeyboardInterrupt
    assert run.read("status.json")["reason"] == "interrupted"


def test_a_failing_disk_does_not_hide_the_failure(tmp_path, monkeypatch):
    run = Run(tmp_path)

    def work():
        with run.running():
            monkeypatch.setattr(records.os, "fsync", full)
            raise UserError("first")

    with pytest.raises(UserError, match="first"):
        work()


def test_one_process_at_a_time(tmp_path):
    code = "import pathlib, sys; from suites.records import Run; Run(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = Run(tmp_path)
    second = subprocess.run(command, check=False, capture_output=True, text=True)
    assert f"is in use by process {os.getpid()}" in second.stderr.splitlines()[-1]
    del run
    assert subprocess.run(command, check=False).returncode == 0


def test_a_file_system_without_locks_is_not_another_process(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(records.fcntl, "flock", refuse)
    with pytest.raises(UserError, match=r"can't lock .*: No locks available; choose") as told:
        Run(tmp_path)
    assert not isinstance(told.value, InUseError)


@pytest.mark.parametrize("content", ["{", "[]", "", "\0" * 9])
def test_a_damaged_file_is_named(tmp_path, content):
    run = Run(tmp_path)
    assert run.read("manifest.json") is None
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"manifest\.json is damaged: delete it, and"):
        run.read("manifest.json")


def test_clear_keeps_only_the_lock(tmp_path):
    run = Run(tmp_path)
    run.write("summary.json", {})
    run.write("checkpoint/evaluation-0/episode0.json", {})
    assert run.done
    run.clear()
    assert not run.done
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "lock"]
    assert os.listdir(tmp_path / "checkpoint") == []


IDENTITY = {"config_hash": "abc", "task": "a-b", "agent": "c", "seed": 3, "config": {"seed": 3}}


def test_manifest_of_each_start(tmp_path):
    run = Run(tmp_path)
    run.manifest(IDENTITY, 2, 1)
    run.manifest(IDENTITY, 1, None)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["format"] == records.FORMAT
    assert {name: manifest[name] for name in IDENTITY} == IDENTITY
    assert [start["threads"] for start in manifest["starts"]] == [2, 1]
    start = manifest["starts"][0]
    assert start["command"] == sys.argv
    assert start["versions"]["mujoco"]
    assert start["machine"]["cores"] == os.cpu_count()


def test_manifest_warns_of_other_code(tmp_path, monkeypatch):
    run = Run(tmp_path)
    run.manifest(IDENTITY, 2, 1)
    run.write("checkpoint/evaluation-0/episode0.json", {})
    monkeypatch.setattr(records, "git_state", lambda: {"commit": "other", "changes": None})
    with pytest.warns(UserWarning, match="git changed since this run began"):
        run.manifest(IDENTITY, 2, 1)


def test_git_state_follows_changes(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True
        )

    code = tmp_path / "suites" / "records.py"
    code.parent.mkdir()
    monkeypatch.setattr(records, "__file__", str(code))
    assert records.git_state() is None
    git("init", "-q")
    code.write_text("1")
    git("add", ".")
    git("commit", "-qm", "first")
    clean = records.git_state()
    assert clean is not None
    assert clean["changes"] is None
    code.write_text("2")
    dirty = records.git_state()
    assert dirty is not None
    assert dirty["commit"] == clean["commit"]
    code.write_text("3")
    assert records.git_state() not in (clean, dirty)
