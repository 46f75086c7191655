"""The command line of `suites.run`, called in the process of the tests."""

import sys
import warnings

import pytest

from suites import run


class CommandLine:
    """Calls with some words; gives the exit code, stdout and stderr. Runs lie in `runs_dir`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, runs_dir):
        self._monkeypatch, self._capsys, self._runs_dir = monkeypatch, capsys, runs_dir

    def __call__(self, *words: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
        self._monkeypatch.setattr(sys, "argv", ["suites.run", f"runs_dir={self._runs_dir}", *words])
        code = 0
        try:
            run.main()
        except SystemExit as error:
            code = int(error.code or 0)
        out = self._capsys.readouterr()
        return code, out.out, out.err
