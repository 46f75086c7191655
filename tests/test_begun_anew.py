"""`force=true` in a sweep: each run is begun anew once, whatever happens after that."""

import json
import time
from pathlib import Path

import pytest
from scripted import BAD, GOOD, LOST, leave_summary, scripted
from sweeping import TOY, folders, start, wait_until

from suites.errors import InUseError
from suites.records import Run, hold
from suites.sweeps.engine import Sweep
from suites.sweeps.work import Outcome


def recorded(path: Path) -> Path:
    """A done run with a checkpoint."""
    leave_summary(path)
    (path / "checkpoint").mkdir()
    (path / "checkpoint" / "training.pt").touch()
    return path


def test_a_run_to_be_made_anew_is_not_taken_for_done(tmp_path, monkeypatch):
    monkeypatch.setattr("suites.sweeps.engine._PATIENCE", 0.5)
    sweep, launcher = scripted(tmp_path, {0: [Outcome(InUseError.code, "in use"), GOOD]})
    sweep.jobs[0].force = True
    leave_summary(sweep.jobs[0].path)  # an old one, while another process makes it
    begin = time.monotonic()
    sweep.run()
    assert time.monotonic() - begin > 0.5
    assert launcher.started == [0, 0]


def test_it_goes_on_where_it_was_cut_off(tmp_path):
    sweep, launcher = scripted(tmp_path, {0: [BAD, BAD, GOOD]}, retries=2)
    (job,) = sweep.jobs
    job.force = True
    recorded(job.path)
    there = []

    def event(_: Sweep, job) -> None:
        if job.state == "running":
            there.append(bool(job.summary()) or len(list((job.path / "checkpoint").iterdir())))
            (job.path / "checkpoint" / f"of-attempt{job.attempts}").touch()

    sweep.on_event = event
    sweep.run()
    assert job.state == "done"
    assert there == [0, 1, 2]
    assert [order.command[-1] for order in launcher.orders] == ["force=false"] * 3


class CutOffError(Exception):
    """The end of a sweep's process."""


def test_a_sweep_that_was_cut_off_does_not_begin_anew_again(tmp_path):
    sweep, launcher = scripted(tmp_path, {0: [GOOD], 1: [LOST], 2: [GOOD]})
    launcher.most = 1
    for job in sweep.jobs:
        job.force = True
        recorded(job.path)

    def event(_: Sweep, job) -> None:
        if job.state == "running" and job.seed == 1:
            (job.path / "checkpoint" / "new").touch()
            raise CutOffError

    sweep.on_event = event
    with pytest.raises(CutOffError):
        sweep.run()
    again, launcher = scripted(tmp_path, {0: [], 1: [GOOD], 2: [GOOD]})
    for job in again.jobs:
        job.force = True
    again.run()
    assert launcher.started == [1, 2]  # the first is done, and this sweep did it
    assert (again.jobs[1].path / "checkpoint" / "new").exists()
    assert not (again.jobs[2].path / "checkpoint" / "training.pt").exists()
    whole, launcher = scripted(tmp_path, {0: [GOOD], 1: [GOOD], 2: [GOOD]})
    for job in whole.jobs:
        job.force = True
    whole.run()
    assert sorted(launcher.started) == [0, 1, 2]
    assert not (whole.jobs[1].path / "checkpoint" / "new").exists()


def test_one_that_another_process_makes_is_left_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr("suites.sweeps.engine._PATIENCE", 0.01)
    sweep, launcher = scripted(tmp_path, {0: [GOOD]})
    (job,) = sweep.jobs
    job.force = True
    other, met = hold(recorded(job.path), "makes it", "seed"), []

    def event(_: Sweep, job) -> None:
        if job.state == "waiting":
            met.append(job.reason)
            assert (job.path / "checkpoint" / "training.pt").exists()
            if len(met) == 2:
                other.close()

    sweep.on_event = event
    sweep.run()
    assert met == ["another process makes it"] * 2
    assert launcher.started == [0]
    assert job.attempts == 1


def test_what_a_kill_leaves_of_an_old_run_is_forgotten(tmp_path, monkeypatch):
    path = recorded(tmp_path / "seed0")
    run = Run(path)
    (path / "manifest.json").touch()

    def killed(place: Path, **_) -> None:
        raise CutOffError(place)

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(CutOffError):
            run.clear()
    run.release()
    assert not (path / "summary.json").exists()
    run = Run(path)
    assert {entry.name for entry in path.iterdir()} == {"lock", "checkpoint"}
    assert not list((path / "checkpoint").iterdir())


def test_a_killed_sweep_begins_nothing_anew_twice(tmp_path):
    words = (*TOY, "seed=0,1,2,3", "sweep.workers=1", "evaluation.episodes=50")
    assert start(tmp_path, *words).wait() == 0
    old = {path: began(path) for path in folders(tmp_path)}
    assert len(old) == 4

    def anew() -> dict:
        return {path: now for path in old if (now := began(path)) not in (None, old[path])}

    sweep = start(tmp_path, *words, "force=true")
    wait_until(anew)
    sweep.kill()
    sweep.wait()
    first = anew()
    assert len(first) < 4
    assert start(tmp_path, *words, "force=true").wait() == 0
    assert len(anew()) == 4
    assert {path: anew()[path] for path in first} == first


def began(path: Path) -> dict | None:
    """When and by what a run was begun; None before that."""
    try:
        return json.loads((path / "manifest.json").read_text())["starts"][0]
    except OSError:
        return None
