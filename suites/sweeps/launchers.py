"""Where the runs of a sweep are made: on this machine, on a Ray cluster, through a Slurm queue.

A launcher starts an order and tells when it has ended, no more: what is to be done again, and
whether, is the sweep's to decide, for all launchers alike.
"""

import logging
import math
import os
import socket
import subprocess
from pathlib import Path
from typing import Any, Protocol

from suites.errors import RefusedError, UserError
from suites.ledger import allowed_threads
from suites.sweeps.work import Order, Outcome, Process, Requeued, perform

# Of a queue: submitit's signal comes 90 seconds before the end, and Slurm sends it up to 60 early.
_LEAST_MINUTES = 5


class Handle(Protocol):
    """An order that was started."""

    def poll(self) -> Outcome | None:
        """What came of it; None while it is at work."""
        ...

    def stop(self) -> None:
        """Ask it to end."""
        ...


class Launcher(Protocol):
    """Starts orders."""

    def slots(self, threads: int) -> int:
        """How many runs with so many threads each it has room for."""
        ...

    def start(self, order: Order) -> Handle:
        """Start an order."""
        ...


class Local:
    """Processes of this machine."""

    def __init__(self, folder: Path):
        del folder  # of the sweep; processes need none

    def slots(self, threads: int) -> int:
        """The cores that this process may use, shared out."""
        return max(allowed_threads() // threads, 1)

    def start(self, order: Order) -> Handle:
        """Start its process."""
        return Process(order)


class Ray:
    """A running Ray cluster. Its own retries are off.

    Raises:
      UserError: without Ray, or where there is no cluster.
    """

    def __init__(self, folder: Path, address: str, gpus: float):
        del folder
        try:
            import ray
        except ImportError:
            raise UserError(
                "launcher=ray needs Ray, which is not installed: pip install 'plan-or-learn[ray]'"
            ) from None
        self._ray, self._gpus = ray, gpus
        _knock(address)
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        try:
            ray.init(
                address,
                runtime_env={"env_vars": {"PYTHONPATH": path}},
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            told = str(error).splitlines()[0]
            raise UserError(f"launcher.address={address}: no Ray cluster there: {told}") from error

    def slots(self, threads: int) -> int:
        """The cores of the cluster as it is now, shared out."""
        return max(int(self._ray.cluster_resources().get("CPU", 0)) // threads, 1)

    def start(self, order: Order) -> Handle:
        """Give it to the cluster."""
        ray = self._ray
        needs = {"num_cpus": order.threads, "num_gpus": self._gpus}
        return _RayHandle(ray, ray.remote(**needs, max_retries=0)(perform).remote(order))


def _knock(address: str) -> None:
    """See at once what Ray would find out after minutes."""
    host, _, port = str(address).rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise UserError(f"launcher.address is '{address}': give auto or ip:port")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError):
        raise UserError(f"launcher.address={address}: nothing answers there") from None


class _RayHandle:
    def __init__(self, ray: Any, task: Any):
        self._ray, self._task = ray, task

    def poll(self) -> Outcome | None:
        ready, _ = self._ray.wait([self._task], timeout=0)
        if not ready:
            return None
        try:
            return self._ray.get(self._task)
        except self._ray.exceptions.RayError as error:
            return Outcome(None, f"its worker was lost ({type(error).__name__})")

    def stop(self) -> None:
        self._ray.cancel(self._task, force=True)


class Slurm:
    """A Slurm queue.

    Raises:
      UserError: without submitit, without Slurm or its accounting, and for bad settings.
    """

    def __init__(
        self,
        folder: Path,
        partition: str | None,
        minutes: int,
        memory_gb: float,
        gpus: int,
        queued: int,
        requeues: int,
        cluster: str,
    ):
        _check("minutes", minutes, _LEAST_MINUTES, "; a run is told to stop 150 seconds before")
        _check("memory_gb", memory_gb, 0)
        if cluster not in ("slurm", "local"):
            raise UserError(f"launcher.cluster is {cluster}: choose slurm or local")
        for name, value in {"gpus": gpus, "queued": queued, "requeues": requeues}.items():
            _check(name, value, int(name == "queued"), kind=int)
        try:
            import submitit
            from submitit.core.utils import FailedJobError
        except ImportError:
            raise UserError(
                "launcher=slurm needs submitit, which is not installed: pip install"
                " 'plan-or-learn[slurm]'"
            ) from None
        self._queued, self._failed = queued, FailedJobError
        limits: dict[str, Any] = {f"{cluster}_max_num_timeout": requeues}
        try:
            self._executor = submitit.AutoExecutor(folder / "slurm", cluster=cluster, **limits)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"launcher=slurm: {error}") from error
        if cluster == "slurm":
            _ask_accounting()
        self._executor.update_parameters(
            name="plan-or-learn", timeout_min=math.ceil(minutes), mem_gb=memory_gb
        )
        if gpus:
            self._executor.update_parameters(gpus_per_node=gpus)
        if partition is not None:
            self._executor.update_parameters(slurm_partition=partition)

    def slots(self, threads: int) -> int:
        """As many as may be in the queue."""
        del threads
        return self._queued

    def start(self, order: Order) -> Handle:
        """Queue it.

        Raises:
          RefusedError: where Slurm does not take it.
        """
        self._executor.update_parameters(cpus_per_task=order.threads)
        try:
            return _SlurmHandle(self._executor.submit(Requeued(), order))
        except self._failed as error:
            raise RefusedError(f"launcher=slurm: {_last_line(error)}") from error


def _check(name: str, value: Any, least: float, why: str = "", kind: Any = int | float) -> None:
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= value < math.inf:
        number = "a whole number" if kind is int else "a number"
        raise UserError(f"launcher.{name} is {value}: give {number} of at least {least}{why}")


def _last_line(error: Any) -> str:
    return (str(error).strip().splitlines() or ["it failed"])[-1].strip()


def _ask_accounting() -> None:
    """See that Slurm can say what became of a job: of one that was lost nobody else does."""
    command = ["sacct", "--noheader", "--jobs=1"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    except OSError as error:
        said = error.strerror
    except subprocess.TimeoutExpired:
        said = "nothing, for a minute"
    except subprocess.CalledProcessError as error:
        said = _last_line(error.stderr)
    else:
        return
    raise UserError(f"launcher=slurm needs Slurm's accounting, and sacct says: {said}")


class _SlurmHandle:
    def __init__(self, job: Any):
        self._job = job

    def poll(self) -> Outcome | None:
        if not self._job.done():
            return None
        if error := self._job.exception():
            if "timed-out too many times" in str(error):
                told = "its launcher.minutes were over more often than launcher.requeues"
                return Outcome(None, told, final=True)
            state, log = self._job.state, self._job.paths.stderr
            return Outcome(None, f"its worker was lost (state {state}); see {log}")
        return self._job.result()

    def stop(self) -> None:
        self._job.cancel(check=False)
