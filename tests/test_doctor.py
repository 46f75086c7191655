"""The doctor: what it says of versions that don't fit, and of a machine that lacks something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suites import doctor
from suites.errors import UserError

TESTED = {"mujoco": "3.17.0", "dm-control": "1.0.50"}


def install(monkeypatch, versions: dict[str, str | None]) -> None:
    """Let it seem that these versions are installed, and of all else the real ones."""
    real = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: versions.get(name, real(name)))


def test_what_is_installed_here_fits():
    doctor.check_versions()
    assert doctor.check_packages().well


def test_the_pins_are_those_of_pyproject():
    needed = doctor.requirements()
    assert {name: needed[name] for name in TESTED} == {n: f"=={v}" for n, v in TESTED.items()}
    assert "torch" not in needed
    assert "pytest" not in needed


def test_the_known_broken_pair_is_one_clear_line(monkeypatch):
    install(monkeypatch, {**TESTED, "mujoco": "4.0.0"})
    with pytest.raises(UserError) as caught:
        doctor.check_versions()
    line = str(caught.value)
    assert "\n" not in line
    assert "mujoco is 4.0.0 where ==3.17.0 is needed" in line
    assert "pip install 'mujoco==3.17.0'" in line
    assert "dm-control" not in line
    finding = doctor.check_packages()
    assert not finding.well
    assert finding.line == line


def test_an_absent_package(monkeypatch):
    install(monkeypatch, {"dm-control": None})
    with pytest.raises(UserError, match=r"dm-control is not installed: .* 'dm-control==1\.0\.50'"):
        doctor.check_versions()


def test_ranges_matter_to_the_doctor_alone(monkeypatch):
    install(monkeypatch, {"gymnasium": "0.29.0"})
    doctor.check_versions()
    finding = doctor.check_packages()
    assert not finding.well
    assert "gymnasium is 0.29.0" in finding.line


def test_the_check_before_a_run_imports_nothing_heavy():
    code = (
        "import sys; from suites.doctor import check_versions; check_versions();"
        "print({'numpy', 'numba', 'mujoco', 'dm_control', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_python(monkeypatch):
    assert doctor.check_python().well
    monkeypatch.setattr(doctor.sys, "version_info", (3, 13, 0, "final", 0))
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.13.0")
    assert doctor.check_python() == doctor.Finding(
        False, "3.13.0: make the environment with 3.11 or 3.12"
    )


def test_physics():
    assert doctor.check_physics().well


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert doctor.check_runs().well
    assert list(tmp_path.iterdir()) == []  # a check leaves nothing behind

    def refuse(**options: Path) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    finding = doctor.check_runs()
    assert not finding.well
    assert "Permission denied" in finding.line
    assert "runs_dir=" in finding.line


def test_a_full_disk(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    usage = doctor.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=2**20))
    finding = doctor.check_runs()
    assert not finding.well
    assert "make room" in finding.line


def test_energy(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "RAPL", tmp_path)
    assert "joules of the CPU will be null" in doctor.check_energy().line
    counter = tmp_path / "intel-rapl:0" / "energy_uj"
    counter.parent.mkdir()
    counter.write_text("1")
    assert doctor.check_energy() == doctor.Finding(True, "RAPL, 1 zones")
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    assert "sudo chmod a+r" in doctor.check_energy().line


def test_status_says_whether_the_main_command_can_run(monkeypatch, capsys):
    def well() -> doctor.Finding:
        return doctor.Finding(True, "found")

    def ill() -> doctor.Finding:
        return doctor.Finding(False, "mend it so")

    def broken() -> doctor.Finding:
        raise AttributeError("no such thing\nat all")

    monkeypatch.setattr(doctor.sys, "argv", ["doctor"])
    monkeypatch.setattr(doctor, "CHECKS", (("one", well, True), ("two", ill, False)))
    assert doctor.main() == 0
    assert capsys.readouterr().out == "OK    one         found\nNOTE  two         mend it so\n"
    monkeypatch.setattr(doctor, "CHECKS", (("one", broken, True), ("two", well, True)))
    assert doctor.main() == 1
    assert capsys.readouterr().out == (
        "FIX   one         AttributeError: no such thing\nOK    two         found\n"
    )
