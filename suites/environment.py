"""Settings of the process. To be imported before NumPy, MuJoCo and what is compiled."""

import logging
import os
import sys
from pathlib import Path
from typing import TextIO

from suites.errors import UserError

# What MUJOCO_GL was when the process began: rendering has a process of its own. Here it is off, as
# the physics needs no screen, and without OpenGL libraries `import mujoco` can fail.
rendering = os.environ.get("MUJOCO_GL", "")
if rendering.lower() in ("disable", "disabled", "off", "false", "0"):
    rendering = ""
os.environ["MUJOCO_GL"] = "disable"

# We make our own threads. Those of BLAS would crowd them out, and their number changes rounding, so
# that it is not the user's to choose.
_LIBRARIES = ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "BLIS_NUM", "VECLIB_MAXIMUM")
BLAS_THREADS = [f"{name}_THREADS" for name in _LIBRARIES]
os.environ |= dict.fromkeys(BLAS_THREADS, "1")

os.environ["HYDRA_FULL_ERROR"] = "1"  # so that exceptions reach us, and we explain them

logging.getLogger("absl").setLevel(logging.ERROR)  # dm_control's import talks about its models


def debugging() -> bool:
    """Whether the user wants to see the traceback of an error."""
    return os.environ.get("PLAN_OR_LEARN_DEBUG", "0") not in ("", "0")


def drawing_environment() -> dict[str, str]:
    """The environment variables of a process that draws."""
    root = str(Path(__file__).resolve().parents[1])
    screen = rendering or ("egl" if sys.platform == "linux" else "")
    path = os.pathsep.join([root, *sys.path])
    return {**os.environ, "PYTHONPATH": path, "MUJOCO_GL": screen}


def complain(message: str) -> None:
    """One line to the user. Where nobody can read it, work goes on all the same."""
    try:
        print(message, file=sys.stderr, flush=True)
    except BrokenPipeError:
        hush(sys.stderr)
    except OSError:  # a log on a full disk, which may have room again
        pass


def say(text: object) -> None:
    """What was asked for, to the user. It may be that who reads has seen enough.

    Raises:
      UserError: where it can't be written.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        hush(sys.stdout)
    except OSError as error:
        hush(sys.stdout)
        raise UserError(f"can't write to the standard output: {error.strerror}") from error


def hush(stream: TextIO) -> None:
    """Let what goes to a stream be lost, also what it still holds."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
