"""Where compiled code is kept. Imported before anything is compiled: by `planners`, and by physics.

Numba looks only at the file that defines a function to decide whether its cached machine code is
stale, so a change to a helper in another file would go unnoticed. Here the cache lies in a folder
named after the sources and the versions of everything that is compiled in.
"""

import hashlib
import os
import sys
from importlib import metadata
from pathlib import Path

_SOURCES = Path(__file__).resolve().parents[2]


def _digest() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for package in ("numba", "llvmlite", "mujoco"):
        digest.update(metadata.version(package).encode())
    for folder in ("suites/tasks", "planners"):
        for path in sorted((_SOURCES / folder).rglob("*.py")):
            digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


# Numba need not be imported for it: it looks there when it is. A process inherits its parent's
# choice, which is only the user's own if it is not what the parent chose here.
_CHOSEN = "PLAN_OR_LEARN_CACHE_DIR"
if os.environ.get("NUMBA_CACHE_DIR") in (None, os.environ.get(_CHOSEN)):
    _home = os.environ.get("XDG_CACHE_HOME", os.path.join(os.path.expanduser("~"), ".cache"))
    _folder = os.path.join(_home, "plan-or-learn", _digest())
    os.environ["NUMBA_CACHE_DIR"] = os.environ[_CHOSEN] = _folder
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = _folder
