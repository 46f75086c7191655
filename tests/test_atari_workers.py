"""Rollouts on worker processes: the same as on one, also when workers die."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from suites.errors import UserError
from suites.ledger import cpu_seconds
from suites.tasks import registry
from suites.tasks.atari.simulation import AtariSimulation
from suites.tasks.atari.workers import Workers

N, H = 20, 12


@pytest.fixture(scope="module")
def problem():
    """Roots, root_of and plans of breakout, and what one process makes of them."""
    task = registry.make("breakout", 3)
    task.reset(seed=0)
    for _ in range(10):
        task.step(np.array([1, 2, 3]))
    random = np.random.default_rng(0)
    given = task.simulation.read(), random.integers(3, size=N), random.integers(4, size=(N, H))
    return task, given, task.planning_simulation(1).rollout(*given)


def workers_of(simulation: AtariSimulation) -> Workers:
    assert simulation._workers is not None
    return simulation._workers


def equal(a: tuple, b: tuple) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_any_number_of_workers(problem):
    task, given, expected = problem
    for threads in (2, 3):
        simulation = task.planning_simulation(threads)
        assert simulation._workers is None  # before they are needed
        assert equal(simulation.rollout(*given), expected)
        workers = workers_of(simulation)
        assert len(workers.processes) == threads
        roots, root_of, plans = given
        # Fewer and more plans, other horizons: what is shared grows, and is used again.
        assert equal(
            simulation.rollout(roots[:1], np.zeros(2, int), plans[:2, :3]),
            task.planning_simulation(1).rollout(roots[:1], np.zeros(2, int), plans[:2, :3]),
        )
        more = np.tile(root_of, 4), np.tile(plans, (4, 1))
        assert equal(
            simulation.rollout(roots, *more),
            tuple(np.concatenate([part] * 4) for part in expected),
        )
        assert equal(simulation.rollout(*given), expected)


def test_killed_workers_are_replaced_and_nothing_is_lost(problem):
    task, given, expected = problem
    simulation = task.planning_simulation(2)
    simulation.rollout(*given)
    workers = workers_of(simulation)
    first = [process.pid for process in workers.processes]

    os.kill(first[0], signal.SIGKILL)  # between two rollouts
    assert equal(simulation.rollout(*given), expected)
    second = [process.pid for process in workers.processes]
    assert second[0] != first[0]
    assert second[1] == first[1]

    os.kill(second[1], signal.SIGSTOP)  # in the midst of one: it holds a part, and does not do it
    timer = threading.Timer(0.5, os.kill, (second[1], signal.SIGKILL))
    timer.start()
    assert equal(simulation.rollout(*given), expected)
    timer.join()
    assert workers.processes[1].pid != second[1]

    for process in workers.processes:
        process.kill()
    assert equal(simulation.rollout(*given), expected)
    assert all(gone(pid) for pid in (*first, *second))


def test_workers_that_keep_dying(problem, monkeypatch):
    task, given, expected = problem
    simulation = task.planning_simulation(2)
    simulation.rollout(*given)
    workers = workers_of(simulation)
    start = workers._start

    def broken() -> subprocess.Popen:
        words = [sys.executable, "-c", "raise SystemExit(7)"]
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    monkeypatch.setattr(workers, "_start", broken)
    for process in workers.processes:
        process.kill()
    with pytest.raises(UserError, match=r"breakout died .* \(exit code 7\)"):
        simulation.rollout(*given)
    monkeypatch.setattr(workers, "_start", start)
    assert equal(simulation.rollout(*given), expected)


def test_workers_end_with_the_simulation(problem):
    task, given, _ = problem
    simulation = task.planning_simulation(2)
    before = cpu_seconds()
    simulation.rollout(*given)
    assert cpu_seconds() > before  # theirs is among the costs
    pids = [process.pid for process in workers_of(simulation).processes]
    del simulation
    assert all(gone(pid) for pid in pids)


def test_workers_end_with_the_process():
    code = (
        "import numpy as np, time; from suites.tasks import registry;"
        "t = registry.make('pong'); t.reset(seed=0); s = t.planning_simulation(2);"
        "s.rollout(t.simulation.read(), np.zeros(2, int), np.zeros((2, 2), int));"
        "print(*(p.pid for p in s._workers.processes), flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert not any(gone(pid) for pid in pids)
    parent.kill()
    parent.communicate()
    wait_for(lambda: all(gone(pid) for pid in pids))
