"""The command lines, called in the process of the tests."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from suites import run

Called = tuple[int, str, str]


class Commands:
    """Calls the `main` of a command with some words; gives the exit code, stdout and stderr."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, main: Callable[[], None], *words: object) -> Called:
        self._monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
        self._monkeypatch.setattr(sys, "argv", [main.__module__, *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as error:
            code = int(error.code or 0)
        out = self._capsys.readouterr()
        return code, out.out, out.err


class CommandLine:
    """Calls `suites.run`; its runs lie in `runs_dir`."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, runs_dir: Path
    ):
        self._call, self._runs_dir = Commands(monkeypatch, capsys), runs_dir

    def __call__(self, *words: str) -> Called:
        return self._call(run.main, f"runs_dir={self._runs_dir}", *words)
