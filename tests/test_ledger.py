"""Costs: every column, what the meter reads, and how parts add up."""

import subprocess
import sys
import time

import numba
import pytest

from suites import ledger
from suites.ledger import Costs, Energy, Meter, columns


def test_sum_of_parts():
    first = Costs(env_steps=3, cpu_seconds=1.5, peak_bytes=10, joules=2.0)
    second = Costs(env_steps=4, cpu_seconds=0.5, peak_bytes=7, joules=1.0)
    both = first + second
    assert (both.env_steps, both.cpu_seconds, both.peak_bytes, both.joules) == (7, 2.0, 10, 3.0)
    unknown = both + Costs(joules=None, joules_reason="no counter")
    assert unknown.joules is None
    assert unknown.joules_reason == "no counter"
    assert (unknown + both).joules is None


def test_every_column_of_the_design_is_there_twice():
    row = columns(Costs(env_steps=1), Costs(env_steps=2))
    for name in (
        *("env_steps", "env_frames", "decisions", "sim_steps", "sim_frames", "model_steps"),
        *("updates", "flops", "cpu_seconds", "wall_seconds", "gpu_seconds", "peak_bytes"),
        *("joules", "act_seconds", "update_seconds", "collect_seconds", "compile_seconds"),
    ):
        assert name in row
        assert f"evaluation_{name}" in row
    assert (row["env_steps"], row["evaluation_env_steps"]) == (1, 2)


def burn(seconds: float) -> None:
    begin = time.process_time()
    while time.process_time() - begin < seconds:
        pass


def test_laps_divide_the_time():
    meter = Meter()
    first = meter.lap()
    assert first.wall_seconds > 0.05  # since the process began: more than this test took
    burn(0.1)
    second = meter.lap()
    assert 0.1 <= second.cpu_seconds < 1.0
    assert second.cpu_seconds <= ledger.cpu_seconds()
    assert second.wall_seconds >= 0.09
    assert second.peak_bytes > 10e6


def test_cpu_of_children_counts_while_they_live_and_after():
    code = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"
    before = ledger.cpu_seconds()
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    alive = ledger.cpu_seconds()
    child.communicate(b"\n")
    ended = ledger.cpu_seconds()
    assert alive - before >= 0.45
    assert 0 <= ended - alive < 0.3  # moved over, not counted twice


def test_compilation_is_seen():
    meter = Meter()

    @numba.njit
    def twice(x):
        return x + x

    before = meter.compile_seconds()
    twice(1.0)
    compiled = meter.compile_seconds()
    twice(2.0)
    assert compiled > before
    assert meter.compile_seconds() == compiled


def package(root, joules, wrap=1000.0, name="intel-rapl:0", zone="package-0"):
    folder = root / name
    folder.mkdir(exist_ok=True)
    (folder / "name").write_text(f"{zone}\n")
    (folder / "energy_uj").write_text(f"{int(joules * 1e6)}\n")
    (folder / "max_energy_range_uj").write_text(f"{int(wrap * 1e6)}\n")


def test_energy_over_packages_and_around_the_wrap(tmp_path):
    package(tmp_path, 990.0)
    package(tmp_path, 10.0, name="intel-rapl:1")
    package(tmp_path, 5.0, name="intel-rapl:0:0")  # a part of package 0
    energy = Energy(tmp_path)
    package(tmp_path, 5.0)
    package(tmp_path, 12.0, name="intel-rapl:1")
    package(tmp_path, 500.0, name="intel-rapl:0:0")
    assert energy.lap() == (pytest.approx(15.0 + 2.0), None)
    assert energy.lap() == (0.0, None)


def test_energy_of_the_whole_platform_is_not_added_to_its_packages(tmp_path):
    package(tmp_path, 0.0)
    package(tmp_path, 0.0, name="intel-rapl:1", zone="psys")
    energy = Energy(tmp_path)
    package(tmp_path, 10.0)
    package(tmp_path, 25.0, name="intel-rapl:1", zone="psys")
    assert energy.lap() == (pytest.approx(10.0), None)


def test_seconds_of_a_gpu_are_those_of_who_holds_one():
    meter = Meter()
    assert meter.lap().gpu_seconds == 0.0
    meter.gpu = True
    told = meter.lap()
    assert told.gpu_seconds == told.wall_seconds > 0


def test_energy_unknown_has_a_reason(tmp_path, monkeypatch):
    joules, reason = Energy(tmp_path).lap()
    assert joules is None
    assert str(tmp_path) in str(reason)
    package(tmp_path, 1.0)
    energy = Energy(tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    monkeypatch.setattr(ledger, "_POLL_SECONDS", -1.0)
    energy.poll()  # in the midst of an episode, which goes on
    joules, reason = energy.lap()
    assert joules is None
    assert "energy_uj" in str(reason)


def test_threads_and_runs_are_counted():
    assert ledger.allowed_threads() >= 1
    runs = ledger.concurrent_runs()
    assert runs is None or runs >= 1


def test_a_sweep_is_no_run_beside_its_own(monkeypatch, tmp_path):
    lines = {
        1: "python3\0-m\0suites.run\0-m\0seed=0,1\0",
        2: "/usr/bin/python3\0-m\0suites.run\0seed=0\0",
        3: "python3\0suites/run.py\0seed=1\0",
        4: "bash\0-c\0python -m suites.run\0",
    }
    files = {f"/proc/{process}/cmdline": line.encode() for process, line in lines.items()}
    monkeypatch.setattr(ledger.os, "listdir", lambda path: [*map(str, lines), "self"])
    monkeypatch.setattr(ledger.Path, "read_bytes", lambda path: files[str(path)])
    assert ledger.concurrent_runs() == 2
