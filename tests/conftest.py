"""Shared by all tests."""

import os

import pytest

os.environ.setdefault("MUJOCO_GL", "disable")  # no test of physics needs a screen


@pytest.fixture
def call(monkeypatch, capsys):
    """Calls the `main` of a command."""
    from commandline import Commands

    return Commands(monkeypatch, capsys)


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Calls `suites.run`."""
    from commandline import CommandLine

    return CommandLine(monkeypatch, capsys, tmp_path)
