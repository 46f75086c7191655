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
