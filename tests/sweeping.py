"""What tests of sweeps share: a sweep in a process of its own, and what it leaves."""

import json
import subprocess
import sys
import time
from pathlib import Path

TOY = ("task=toy-chain", "agent=random")


def folders(tmp_path: Path) -> list[Path]:
    """Run directories that are done."""
    return sorted(path.parent for path in tmp_path.glob("**/summary.json"))


def starts(path: Path) -> int:
    return len(json.loads((path / "manifest.json").read_text())["starts"])


def start(tmp_path: Path, *words: str, **options) -> subprocess.Popen:
    """A sweep in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "suites.run", "-m", f"runs_dir={tmp_path}", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def holder(tmp_path: Path, seed: int) -> int:
    """The process that makes a run, once it is there."""
    while True:
        for config in tmp_path.glob(f"*/*/*/seed{seed}/config.yaml"):
            return int((config.parent / "lock").read_text())
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process has ended, be it as a zombie that nobody waits for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
