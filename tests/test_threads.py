"""The number of threads changes the speed and nothing else."""

import os
import subprocess
import sys

import numpy as np
import pytest

from suites.tasks.control import suite_task

THREADS = (1, 2, 3)


@pytest.mark.parametrize(("name", "num_envs"), [("reacher-easy", 5), ("lqr-lqr_2_1", 2)])
def test_steps_and_resets(name, num_envs):
    """Over the end of an episode, with more environments than threads and fewer."""
    tasks = [suite_task(name, num_envs=num_envs, threads=threads) for threads in THREADS]
    first = [task.reset(seed=1)[0] for task in tasks]
    assert all(np.array_equal(first[0], other) for other in first)
    ended = 0
    for t in range(tasks[0].facts.horizon + 20):
        action = np.random.default_rng(t).uniform(-1, 1, tasks[0].action_space.shape)
        steps = [task.step(action) for task in tasks]
        ended += int((steps[0][2] | steps[0][3]).sum())
        for step in steps[1:]:
            for one, other in zip(steps[0][:4], step[:4], strict=True):
                assert np.array_equal(one, other)
    assert ended >= num_envs


def test_rollouts():
    task = suite_task("cheetah-run", num_envs=3)
    task.reset(seed=0)
    roots = task.simulation.read()
    plans = np.random.default_rng(0).uniform(-1, 1, (17, 9, task.simulation.action_size))
    root_of = np.arange(17) % 3
    results = [task.planning_simulation(n).rollout(roots, root_of, plans) for n in THREADS]
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            assert np.array_equal(one, other)


def test_products_of_matrices_are_the_same_whatever_the_environment_says():
    """OpenBLAS sums this product in another order where it has more threads."""
    source = (
        "import suites.environment, hashlib; import numpy as np\n"
        "random = np.random.default_rng(0)\n"
        "a, b = random.normal(size=(257, 1001)), random.normal(size=(1001, 33))\n"
        "print(hashlib.sha256((a @ b).tobytes()).hexdigest())"
    )
    products = {
        subprocess.run(
            [sys.executable, "-c", source],
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(products) == 1
