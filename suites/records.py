"""The run directory: what a run leaves, safe against a kill at any moment.

    config.yaml         resolved
    manifest.json       the same for programs; command, machine, versions, git state of each start
    evaluations.jsonl   a row per evaluation: every ledger column, every episode's return
    metrics.jsonl       a row per episode of evaluation, and per hundredth of a training
    checkpoint/         what a continued run needs: finished episodes with their costs, training
    video/
    look/               pictures of decisions, if some were asked for (`suites.look`)
    status.json         running, done, or failed with the reason
    summary.json        written last: a run that has one is done

Files that are rewritten are replaced atomically; rows are appended and synced one by one.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from suites.errors import InUseError, UserError

# Of manifests and rows. 1 had no `task`, `agent`, `seed` and `config` in the manifest, and no
# `reference` in the rows: `suites.results` reads both.
FORMAT = 2
# What can't change a run's result, and so is no part of its identity. The seed has its own folder.
NOT_IN_HASH = (
    *("seed", "threads", "runs_dir", "experiment", "label", "video", "force", "checkpoint"),
)
_CLEARING = "clearing.json"  # there while all else is being forgotten
INTERRUPTED = "interrupted"  # the reason of a run that its user stopped: it can go on
_PROGRESS_SECONDS = 5.0
_CODE = ("conf", "learners", "planners", "suites", "world_models")
_PACKAGES = (
    "ale-py",
    "dm-control",
    "gymnasium",
    "hydra-core",
    "llvmlite",
    "mujoco",
    "numba",
    "numpy",
    "torch",
)


def config_hash(config: dict[str, Any]) -> str:
    """Twelve digits for a configuration, whose interpolations (`${seed}`) are not resolved."""
    kept = {key: value for key, value in config.items() if key not in NOT_IN_HASH}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def run_path(
    runs_dir: str, experiment: str | None, task: str, agent: str, digest: str, seed: int
) -> Path:
    """`runs_dir/[experiment/]task/agent/digest/seed<k>`."""
    return Path(runs_dir, experiment or "", task, agent, digest, f"seed{seed}")


def hold(path: Path, what: str, other: str) -> TextIO:
    """Make a folder, and keep all other processes out of it until the file is closed.

    Arguments:
      what: What another process does, which holds it.
      other: What to choose otherwise then.

    Raises:
      UserError: where it can't be written.
      InUseError: where another process holds it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = open(path / "lock", "a+")  # noqa: SIM115  (held until the process ends)
    except OSError as error:
        raise UserError(
            f"can't write {error.filename or path}: {error.strerror}; choose another place with"
            " runs_dir="
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        raise InUseError(
            f"{path} is in use by process {holder}, which {what}: wait for it, or choose another"
            f" {other}"
        ) from None
    except OSError as error:
        raise UserError(
            f"can't lock {path}: {error.strerror}; choose with runs_dir= a place on a file system"
            " with locks"
        ) from error
    with writing(path):
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
    return lock


class Run:
    """One run directory, held by this process alone.

    Raises:
      UserError: where it can't be written, or another process holds it.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock = hold(path, "makes the same run", "seed, experiment or runs_dir")
        with writing(path):
            (path / "checkpoint").mkdir(exist_ok=True)
        if (path / _CLEARING).exists():
            self.clear()
        self._said = time.monotonic()

    @property
    def done(self) -> bool:
        """Whether it ended; its summary is the last file that a run writes."""
        return (self.path / "summary.json").exists()

    def clear(self) -> None:
        """Forget all that was recorded. What a kill leaves of it, the next holder forgets."""
        self.write(_CLEARING, {})
        with writing(self.path):
            (self.path / "summary.json").unlink(missing_ok=True)  # first: it says that all is there
            for entry in self.path.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
                elif entry.name not in ("lock", _CLEARING):
                    entry.unlink()
            (self.path / "checkpoint").mkdir()
            (self.path / _CLEARING).unlink()

    def release(self) -> None:
        """Let other processes hold it."""
        self._lock.close()

    def write(self, name: str, content: str | dict[str, Any]) -> None:
        """Replace a file: after a crash there is the old or the new one, never a part."""
        text = content if isinstance(content, str) else _json(content, indent=2) + "\n"
        write_atomic(self.path / name, text.encode())

    def read(self, name: str) -> Any:
        """What a JSON file holds; None where there is no such file.

        Raises:
          UserError: for a file that is damaged.
        """
        path = self.path / name
        try:
            found = json.loads(path.read_text())
            if not isinstance(found, dict):
                raise ValueError
        except FileNotFoundError:
            return None
        except ValueError:
            raise UserError(
                f"{path} is damaged: delete it, and the same command writes it anew"
            ) from None
        return found

    def append(self, name: str, row: dict[str, Any]) -> None:
        """Add a row to a `.jsonl` file, and see to it that it is on the disk."""
        path = self.path / name
        with writing(path), open(path, "ab") as file:
            file.write(_json(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def keep(self, name: str, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Drop the rows of a `.jsonl` file that are not wanted."""
        rows = self.rows(name)
        kept = [row for row in rows if wanted(row)]
        if len(kept) < len(rows):
            write_atomic(self.path / name, b"".join(_json(row).encode() + b"\n" for row in kept))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All rows of a `.jsonl` file. A torn last line is cut off, with a warning."""
        path = self.path / name
        if not path.exists():
            return []
        rows, whole = parse_rows(path)
        if whole < path.stat().st_size:
            with writing(path), open(path, "r+b") as file:
                file.truncate(whole)
        return rows

    def status(self, state: str, reason: str | None = None, share: float | None = None) -> None:
        """Say how the run stands: `running`, `done` or `failed`, and which share of it is done."""
        told = {"status": state, "reason": reason, "share": share, "time": _now()}
        self.write("status.json", told)

    def progress(self, done: float, total: float) -> None:
        """Say how much is done of the steps of a running run; written every few seconds."""
        if time.monotonic() - self._said >= _PROGRESS_SECONDS:
            self.status("running", share=round(done / total, 4))
            self._said = time.monotonic()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Status `running` inside, and `failed` with the reason if it is left by an exception."""
        self.status("running")
        try:
            yield
        except BaseException as error:
            reason = INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error)
            with suppress(UserError):  # the disk that failed can't take the status either
                self.status("failed", reason or type(error).__name__)
            raise

    def manifest(self, identity: dict[str, Any], threads: int, concurrent: int | None) -> None:
        """Record what the run is, and where and with what it was started, or started again.

        Arguments:
          identity: What is the same at each start: `config_hash`, `task`, `agent`, `seed`, and
            `config`, resolved.
        """
        start = {"time": _now(), "command": sys.argv, "threads": threads}
        start |= {"concurrent_runs": concurrent, "machine": machine(), **code()}
        known = self.read("manifest.json") or {"starts": []}
        begun = known["starts"] and any((self.path / "checkpoint").iterdir())
        if begun and (changed := changes(known["starts"][-1])):
            warnings.warn(
                f"{self.path}: {changed} changed since this run began; the episodes are from"
                " different code (force=true starts over)",
                stacklevel=2,
            )
        starts = [*known["starts"], start]
        self.write("manifest.json", {"format": FORMAT, **identity, "starts": starts})


def parse_rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The rows of a `.jsonl` file, and the bytes that they take; a torn last line is left out.

    Raises:
      UserError: if a line before the last is damaged.
    """
    rows, whole = [], 0
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            if not line.endswith(b"\n"):
                raise ValueError
            rows.append(json.loads(line))
        except ValueError:
            if number == len(lines):
                warnings.warn(f"{path}: dropped a torn last line", stacklevel=2)
                break
            raise UserError(f"{path}: line {number} is damaged; mend or delete it") from None
        whole += len(line)
    return rows, whole


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where there is none, or it is just being written."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file such that a crash leaves the old one or the whole new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failing disk into one clear line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"can't write {error.filename or path}: {error.strerror or error}; what was recorded"
            " so far stays, and the same command continues once there is room and permission"
        ) from error


def _json(content: Any, indent: int | None = None) -> str:
    """JSON without NaN or infinity, which other readers refuse."""
    return json.dumps(content, indent=indent, allow_nan=False)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def machine() -> dict[str, Any]:
    """The computer: name, system, processor, cores, memory in bytes."""
    system = os.uname()
    processor = system.machine
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {
        "name": system.nodename,
        "system": f"{system.sysname} {system.release}",
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def versions() -> dict[str, str]:
    """Python, and the packages that decide a result."""
    found = {"python": sys.version.split()[0]}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def code() -> dict[str, Any]:
    """What decides a result beside the configuration: `versions` and `git`."""
    return {"versions": versions(), "git": git_state()}


def changes(start: dict[str, Any]) -> str:
    """Which of these are others than at a start of a run's manifest; empty if none is."""
    return " and ".join(name for name, now in code().items() if start[name] != now)


def git_state() -> dict[str, Any] | None:
    """Commit, and a digest of what was changed in the code since; None outside of git."""
    root = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> bytes:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, check=True, timeout=10
        ).stdout

    try:
        commit = git("rev-parse", "HEAD").decode().strip()
        status = git("status", "--porcelain", "--", *_CODE)
        changes = status + git("diff", "HEAD", "--", *_CODE) if status else b""
    except (OSError, subprocess.SubprocessError):
        return None
    digest = hashlib.sha256(changes).hexdigest()[:12] if changes else None
    return {"commit": commit, "changes": digest}
