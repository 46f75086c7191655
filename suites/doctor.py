"""Does this machine have what a run needs? One line per check: OK, or what to do.

    python -m suites.doctor

Exits with 0 if all that `python -m suites.run planner=mpc task=cheetah` needs is there, else with
1. A NOTE concerns one feature only.
"""

import argparse
import ctypes.util
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from suites.environment import complain, drawing_environment, say  # before NumPy and MuJoCo
from suites.errors import UserError
from suites.ledger import allowed_threads
from suites.tasks.atari_names import GAMES

RAPL = Path("/sys/class/powercap")
GIGABYTE = 2**30
SPARE = 1  # GB of free disk below which there is a note


@dataclass(frozen=True)
class Finding:
    """The outcome of a check: whether it is well, and one line on what was found or what to do."""

    well: bool
    line: str


def requirements(extra: str = "") -> dict[str, str]:
    """What a run needs, name to version specifier (`==3.17.0`), from the one place that says so.

    With `extra`, what that optional part needs on top.
    """
    from packaging.requirements import Requirement

    pyproject = Path(__file__).resolve().parent.parent / "pyproject.toml"
    if pyproject.exists():
        project = tomllib.loads(pyproject.read_text())["project"]
        lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
        return {r.name: str(r.specifier) for r in map(Requirement, lines)}
    parsed = map(Requirement, importlib.metadata.requires("plan-or-learn") or [])
    marked = {r: str(r.marker or "") for r in parsed}
    return {
        r.name: str(r.specifier)
        for r, marker in marked.items()
        if (f'extra == "{extra}"' in marker if extra else "extra" not in marker)
    }


def version(package: str) -> str | None:
    """The installed version of a package, or None; nothing is imported."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def misfits(needed: dict[str, str]) -> dict[str, str]:
    """The packages that are absent or of another version than `needed`: name to what is wrong."""
    from packaging.specifiers import SpecifierSet

    wrong = {}
    for name, specifier in needed.items():
        found = version(name)
        if found is None:
            wrong[name] = f"{name} is not installed"
        elif not SpecifierSet(specifier).contains(found, prereleases=True):
            wrong[name] = f"{name} is {found} where {specifier} is needed"
    return wrong


def check_versions() -> None:
    """Stop before packages that are known not to fit together fail somewhere deep down.

    Looks at the exact pins alone (mujoco 4.0 and dm-control 1.0.50 install together, and then
    `suite.load` raises an AttributeError). Costs a few milliseconds and imports none of them.

    Raises:
      UserError: naming the packages and the command that mends it.
    """
    exact = {
        name: specifier
        for name, specifier in requirements().items()
        if specifier.startswith("==") and "*" not in specifier
    }
    if wrong := misfits(exact):
        raise UserError(_versions_line(wrong, exact))


def _versions_line(wrong: dict[str, str], needed: dict[str, str]) -> str:
    """One line: what does not fit, and the command that mends it."""
    packages = " ".join(f"'{name}{needed[name]}'" for name in wrong)
    return f"{'; '.join(wrong.values())}: {sys.executable} -m pip install {packages}"


def check_python() -> Finding:
    """Python 3.11 or 3.12."""
    well = (3, 11) <= sys.version_info[:2] <= (3, 12)
    found = platform.python_version()
    return Finding(well, found if well else f"{found}: make the environment with 3.11 or 3.12")


def check_packages() -> Finding:
    """All packages of a run, in versions that fit together."""
    needed = requirements()
    if wrong := misfits(needed):
        return Finding(False, _versions_line(wrong, needed))
    return Finding(True, ", ".join(f"{name} {version(name)}" for name in needed))


def check_physics() -> Finding:
    """Compiled cheetah against dm_control's Python, on the same actions, to the bit."""
    import numpy as np

    from suites.tasks.control import suite_task
    from suites.tasks.control.source import load_suite

    plan = np.random.default_rng(0).uniform(-1, 1, (10, 6))
    task = suite_task("cheetah-run")
    task.reset(seed=0)
    theirs = load_suite("cheetah", "run", np.random.RandomState(0))
    theirs.reset()
    for action in plan:
        task.step(action[None])
        theirs.step(action)
    ours = task.simulation.read()[0]
    state = theirs.physics.get_state()
    if not np.array_equal(ours[1 : 1 + state.size], state):
        return Finding(False, "compiled cheetah is not dm_control's: reinstall mujoco and numba")
    return Finding(True, "compiled cheetah equals dm_control to the bit")


def check_cache() -> Finding:
    """Compiled code can be kept, else every run compiles anew."""
    import numba

    import suites.tasks.compile_cache  # noqa: F401  (says where)

    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or numba.config.CACHE_DIR)  # type: ignore
    return _writable(folder, "set NUMBA_CACHE_DIR to a folder that can be written")


def check_runs() -> Finding:
    """Run directories can be written here."""
    return _writable(Path("runs").resolve(), "start elsewhere or set runs_dir=")


def _writable(folder: Path, remedy: str) -> Finding:
    """Whether a folder (or the nearest above it that exists) takes a file, and its free space."""
    place = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        return Finding(False, f"{folder} can't be written ({error.strerror}): {remedy}")
    free = shutil.disk_usage(place).free / GIGABYTE
    if free < SPARE:
        return Finding(False, f"{folder} has {free:.1f} GB left: make room, or {remedy}")
    return Finding(True, f"{folder}, {free:.0f} GB free")


def check_threads() -> Finding:
    """How many cores a run may use."""
    return Finding(
        True, f"{allowed_threads()} of {os.cpu_count()} cores; threads= says how many to use"
    )


def check_rendering() -> Finding:
    """One frame drawn in a process of its own, since a broken MUJOCO_GL breaks `import mujoco`."""
    code = (
        "import mujoco; m = mujoco.MjModel.from_xml_string('<mujoco/>');"
        "r = mujoco.Renderer(m, 16, 16); d = mujoco.MjData(m); mujoco.mj_forward(m, d);"
        "r.update_scene(d); r.render()"
    )
    drawn = subprocess.run(
        [sys.executable, "-c", code],
        env=drawing_environment(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    if drawn.returncode:
        missing = [name for name in ("EGL", "OpenGL") if not ctypes.util.find_library(name)]
        said = drawn.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        found = f"no lib{' and no lib'.join(missing)}" if missing else f"can't draw ({said})"
        return Finding(False, f"{found}: apt install libegl1 libopengl0 libgl1-mesa-dri")
    if not importlib.util.find_spec("imageio_ffmpeg"):
        return Finding(False, "frames are drawn, but not written: pip install imageio-ffmpeg")
    return Finding(True, "frames are drawn and written")


def check_atari() -> Finding:
    """The emulator of the Atari games, in the version that the suite was made with."""
    wanted = requirements("atari")
    if wrong := misfits(wanted):
        return Finding(False, f"{_versions_line(wrong, wanted)} (for Atari games alone)")
    return Finding(True, f"ale-py {version('ale-py')}, {len(GAMES)} games")


def check_energy() -> Finding:
    """Counters of joules. Without one, `joules` in the records is null, never a guess."""
    zones = sorted(RAPL.glob("intel-rapl:*/energy_uj")) if RAPL.is_dir() else []
    if not zones:
        return Finding(False, f"no RAPL counter in {RAPL}: joules of the CPU will be null")
    if not os.access(zones[0], os.R_OK):
        return Finding(False, f"{zones[0]} can't be read: sudo chmod a+r {RAPL}/*/energy_uj")
    return Finding(True, f"RAPL, {len(zones)} zones")


def check_gpu() -> Finding:
    """An NVIDIA GPU, and a torch that can use it. Planning on the true simulator needs neither."""
    command = shutil.which("nvidia-smi")
    names = []
    if command:
        listed = subprocess.run([command, "-L"], capture_output=True, text=True, check=False)
        names = listed.stdout.splitlines() if listed.returncode == 0 else []
    torch = version("torch")
    if not names:
        return Finding(False, f"none; torch {torch or 'is not installed'}; planning needs neither")
    gpu = names[0].split(" (UUID")[0]
    if torch is None:
        return Finding(False, f"{gpu}; torch is not installed: pip install 'plan-or-learn[learn]'")
    if not importlib.import_module("torch").cuda.is_available():
        return Finding(False, f"{gpu}, but torch {torch} can't use it: install its CUDA build")
    return Finding(True, f"{gpu}, torch {torch}")


# name, check, whether the main command needs it
CHECKS: tuple[tuple[str, Callable[[], Finding], bool], ...] = (
    ("python", check_python, True),
    ("packages", check_packages, True),
    ("physics", check_physics, True),
    ("run folder", check_runs, True),
    ("code cache", check_cache, False),
    ("threads", check_threads, True),
    ("video", check_rendering, False),
    ("atari", check_atari, False),
    ("energy", check_energy, False),
    ("gpu", check_gpu, False),
)


def main() -> int:
    """Print a line per check; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m suites.doctor",
        description="Does this machine have what a run needs? A line per check: OK, or what to do.",
    )
    parser.parse_args()
    try:
        return report()
    except UserError as error:
        complain(f"error: {error}")
        return 2


def report() -> int:
    """A line per check; 1 where something is missing that every run needs.

    Raises:
      UserError: where they can't be written.
    """
    status = 0
    for name, check, needed in CHECKS:
        try:
            finding = check()
        except Exception as error:  # whatever is broken here, the other lines still count
            cause = str(error).partition("\n")[0]
            finding = Finding(False, f"{type(error).__name__}: {cause}")
        word = "OK  " if finding.well else "FIX " if needed else "NOTE"
        say(f"{word}  {name:<10}  {finding.line}")
        if needed and not finding.well:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
