"""Compiled code is kept where a change to any source is noticed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHOWN = "import {module}, numba; print({module}.{kernel}._cache.cache_path)"


def cache_path(module: str, kernel: str, root: Path, home: Path) -> Path:
    """Where a process that imports this module alone keeps the code of a kernel."""
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": "/parents",
        "PLAN_OR_LEARN_CACHE_DIR": "/parents",
    }
    environment |= {"PYTHONPATH": str(root), "XDG_CACHE_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", SHOWN.format(module=module, kernel=kernel)],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())


@pytest.mark.parametrize(
    ("module", "kernel"),
    [("planners.selection", "advance"), ("suites.tasks.control.kernels", "end_step")],
)
def test_a_change_in_another_file_is_noticed(module, kernel, tmp_path):
    root = tmp_path / "copy"
    for folder in ("planners", "suites"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    before = cache_path(module, kernel, root, tmp_path)
    assert before.is_relative_to(tmp_path / "plan-or-learn")
    assert cache_path(module, kernel, root, tmp_path) == before
    with open(root / "planners" / "tree.py", "a") as file:
        file.write("# another line\n")
    assert cache_path(module, kernel, root, tmp_path) != before
