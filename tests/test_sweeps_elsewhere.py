"""Sweeps on a Ray cluster of two workers, and through submitit."""

import os
import signal
from pathlib import Path

import pytest
from sweeping import TOY, folders, gone, holder, start, starts, wait_until

WORDS = (*TOY, "seed=range(3)")


def parent(pid: int) -> int:
    """The process that started a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def cluster():
    """The address of a Ray cluster, and two machines of one processor each."""
    pytest.importorskip("ray", reason="needs the extra `ray`")
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False}
    found = Cluster(initialize_head=True, head_node_args=head)
    machines = [found.add_node(num_cpus=1) for _ in range(2)]
    yield found, machines
    found.shutdown()


def test_lost_workers_and_machines_of_ray(cluster, tmp_path):
    found, machines = cluster
    process = start(tmp_path, *WORDS, "launcher=ray", f"launcher.address={found.address}")
    child = holder(tmp_path, 0)
    os.kill(parent(child), signal.SIGKILL)
    wait_until(lambda: gone(child))  # it does not outlive its worker
    child = holder(tmp_path, 1)
    found.remove_node(machines[1])
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "3 of 3 runs are done" in out
    assert "seed0: waiting: once more: its worker was lost" in err
    assert len(folders(tmp_path)) == 3
    assert starts(folders(tmp_path)[0]) == 2
    for path in folders(tmp_path):
        assert len((path / "evaluations.jsonl").read_text().splitlines()) == 1
    assert err.count(": done, ") == 3


def test_no_cluster(tmp_path):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    process = start(tmp_path, *TOY, "launcher=ray", "launcher.address=127.0.0.1:1")
    _, err = process.communicate()
    assert process.returncode == 2
    assert err == "error: launcher.address=127.0.0.1:1: nothing answers there\n"
    process = start(tmp_path, *TOY, "launcher=ray", "launcher.address=nonsense")
    _, err = process.communicate()
    assert process.returncode == 2
    assert "give auto or ip:port" in err


def test_a_queue(tmp_path):
    pytest.importorskip("submitit", reason="needs the extra `slurm`")
    words = ("launcher=slurm", "launcher.cluster=local", "launcher.queued=2")
    process = start(tmp_path, *TOY, "seed=0,1,2", *words)
    child = holder(tmp_path, 0)
    os.kill(child, signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "3 of 3 runs are done" in out
    assert "seed0: waiting: once more: killed by SIGKILL" in err
    assert [starts(path) for path in folders(tmp_path)] == [2, 1, 1]


@pytest.mark.parametrize("more", [(), ("force=true",)])
def test_a_queue_that_takes_the_machine_back(tmp_path, more):
    pytest.importorskip("submitit", reason="needs the extra `slurm`")
    words = ("launcher=slurm", "launcher.cluster=local", "sweep.retries=0", *more)
    process = start(tmp_path, *TOY, "seed=0", *words)
    child = holder(tmp_path, 0)
    os.kill(parent(child), signal.SIGUSR2)
    wait_until(lambda: gone(child))
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "1 of 1 runs are done" in out
    assert "once more" not in err  # no failure: the queue goes on by itself
    assert [starts(path) for path in folders(tmp_path)] == [2]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("minutes=1", "minutes is 1: give a number of at least 5; a run is told"),
        ("minutes=long", "minutes is long: give a number"),
        ("minutes=inf", "minutes is inf: give a number"),
        ("cluster=moon", "cluster is moon: choose slurm or local"),
        ("requeues=-1", "requeues is -1: give a whole number of at least 0"),
        ("memory_gb=lots", "memory_gb is lots: give a number"),
        ("gpus=many", "gpus is many: give a whole number of at least 0"),
        ("queued=0", "queued is 0: give a whole number of at least 1"),
        ("queued=null", "queued is None: give a whole number of at least 1"),
    ],
)
def test_a_queue_with_bad_settings(tmp_path, word, told):
    pytest.importorskip("submitit", reason="needs the extra `slurm`")
    process = start(tmp_path, *TOY, "launcher=slurm", f"launcher.{word}")
    _, err = process.communicate()
    assert process.returncode == 2
    assert err.startswith(f"error: launcher.{told}")
    assert len(err.splitlines()) == 1


def slurm(tmp_path, monkeypatch, **programs: str) -> None:
    """A Slurm of so many programs, each a line of shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, line in {"srun": "exit 0", **programs}.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_a_queue_that_refuses(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="needs the extra `slurm`")
    refusal = "echo sbatch: error: invalid partition specified: nonsense >&2; exit 1"
    slurm(tmp_path, monkeypatch, sacct="exit 0", sbatch=refusal)
    process = start(tmp_path, *TOY, "launcher=slurm", "launcher.partition=nonsense")
    _, err = process.communicate()
    assert process.returncode == 2
    told = "launcher=slurm: sbatch: error: invalid partition specified: nonsense"
    assert err.splitlines()[-1] == f"error: {told}"
    assert "Traceback" not in err


def test_a_queue_whose_requeues_are_used_up(tmp_path):
    pytest.importorskip("submitit", reason="needs the extra `slurm`")
    from submitit.core.utils import UncompletedJobError

    from suites.sweeps.launchers import _SlurmHandle

    class Job:
        def done(self) -> bool:
            return True

        def exception(self) -> Exception:
            return UncompletedJobError("Job not requeued because: timed-out too many times.")

    outcome = _SlurmHandle(Job()).poll()
    assert outcome is not None
    assert outcome.final
    assert "launcher.requeues" in outcome.reason


def test_a_queue_without_accounts(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="needs the extra `slurm`")
    disabled = "echo Slurm accounting storage is disabled >&2; exit 1"
    slurm(tmp_path, monkeypatch, sacct=disabled)
    process = start(tmp_path, *TOY, "launcher=slurm")
    _, err = process.communicate()
    assert process.returncode == 2
    told = "launcher=slurm needs Slurm's accounting, and sacct says: Slurm accounting storage is"
    assert err == f"error: {told} disabled\n"
