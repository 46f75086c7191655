"""Readers who have seen enough, and places that take no more: work goes on, and one line tells."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FULL = Path("/dev/full")
RUN = ("suites.run", "task=toy-chain", "agent=random", "evaluation.episodes=3")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


def end_of(place: int, stream: str, *words: str) -> tuple[int, str]:
    """The exit code of a command with a stream that ends there, and what the other says."""
    other = {"stdout": "stderr", "stderr": "stdout"}[stream]
    streams: dict[str, Any] = {stream: place, other: subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-m", *words], text=True, **streams)
    os.close(place)
    said = process.communicate()
    return process.returncode, said[other == "stderr"]


def nobody() -> int:
    """What is written here has no reader."""
    there, here = os.pipe()
    os.close(there)
    return here


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("suites.run", "--help"), 0),
        (("suites.run", "task=toy-chain", "--cfg", "job"), 0),
        (("suites.compare", "--help"), 0),
        (("suites.claim",), 2),
        (("suites.audit", "--help"), 0),
        (("suites.doctor",), 0),
    ],
)
def test_who_reads_has_seen_enough(words, code):
    assert end_of(nobody(), "stdout", *words) == (code, "")


def test_a_run_whose_progress_nobody_reads(tmp_path):
    code, out = end_of(nobody(), "stderr", *RUN, f"runs_dir={tmp_path}")
    assert code == 0
    assert "plan time" in out
    assert list(tmp_path.glob("**/summary.json"))


def test_a_training_whose_progress_nobody_reads(tmp_path):
    words = ("learner=dqn", "task=toy-chain", "budget.env_steps=300", f"runs_dir={tmp_path}")
    assert end_of(nobody(), "stderr", "suites.run", *words)[0] == 0


@needs_full
@pytest.mark.parametrize("module", ["suites.compare", "suites.doctor"])
def test_a_table_that_can_not_be_written(module):
    words = (module, "--help") if module == "suites.compare" else (module,)
    code, err = end_of(os.open(FULL, os.O_WRONLY), "stdout", *words)
    assert code == 2
    assert err == "error: can't write to the standard output: No space left on device\n"


@needs_full
def test_a_run_whose_log_is_full(tmp_path):
    words = (*RUN, f"runs_dir={tmp_path}")
    assert end_of(os.open(FULL, os.O_WRONLY), "stderr", *words)[0] == 0
    code, err = end_of(os.open(FULL, os.O_WRONLY), "stdout", *words, "seed=1")
    assert code == 2
    assert "error: can't write to the standard output: No space left on device" in err
    assert len(list(tmp_path.glob("**/summary.json"))) == 2  # nothing is lost
