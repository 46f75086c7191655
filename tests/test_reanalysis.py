"""Planning again: what is written to memory, when, and what it costs."""

import numpy as np
import pytest
from lock import go_on, make_trainer

from planners.noise import Noise
from planners.none import NoPlanner
from suites.errors import UserError
from suites.reanalysis import BATCH, reanalyse

SMALL = (
    *("agent=muzero", "world_model.width=32", "world_model.hidden=32", "learner.hidden=32"),
    *("world_model.warmup=80", "world_model.projection=16"),
)


def test_targets_are_those_of_a_fresh_plan(tmp_path):
    trainer = go_on(make_trainer(tmp_path, *SMALL, "learner.reanalysis=0"), 60)
    agent, source = trainer.agent, trainer.sources["world_model"]
    arrays = source._arrays
    kept = {name: array.copy() for name, array in arrays.items()}
    agent.prior.reanalysis = 3 * BATCH / 8  # three batches for the last decision of 8 environments
    assert reanalyse(agent, source, seed=0) == 3 * BATCH
    changed = (arrays["policy"] != kept["policy"]).any(axis=1)
    assert kept["decided"][changed].all()
    assert changed.sum() > BATCH
    assert not changed[: len(source)].all()  # but not everything
    filled = kept["episode"] >= 0  # elsewhere memory is as it was found
    for name in kept.keys() - {"policy"}:
        assert np.array_equal(arrays[name][filled], kept[name][filled])
    planner = agent.greedy.planner
    seen = arrays["observation"][changed]
    state = agent.model.begin(seen, None)
    noise = Noise(7, range(len(seen)), 0)
    plan, _ = planner.plan(agent.model, agent.prior, state, planner.init(len(seen)), noise)
    np.testing.assert_allclose(arrays["policy"][changed], plan.policy, atol=1e-3)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 3.0])
def test_so_many_per_decision_and_all_are_counted(ratio, tmp_path):
    trainer = make_trainer(tmp_path, *SMALL, f"learner.reanalysis={ratio}", "planner.budget=5")
    go_on(trainer, 10)
    trainer.take_costs()
    assert trainer.agent.model.warming is False
    go_on(trainer, 40)
    costs = trainer.take_costs()
    again = costs.model_steps / 5 - costs.decisions
    assert again % BATCH == 0
    assert abs(again - ratio * 8 * 40) <= BATCH
    assert (again > 0) == (ratio > 0)


def test_the_same_decisions_again(tmp_path):
    """What is planned again depends on the seed and on how much was added, on nothing else."""
    trainer = go_on(make_trainer(tmp_path, *SMALL, "learner.reanalysis=8"), 40)
    agent, source = trainer.agent, trainer.sources["world_model"]
    marks = []
    for seed in (3, 3, 4):
        source._arrays["policy"][:] = -1
        reanalyse(agent, source, seed)
        marks.append(source._arrays["policy"].copy())
    assert np.array_equal(marks[0], marks[1])
    assert not np.array_equal(marks[0], marks[2])


def test_a_planner_without_policies(tmp_path):
    trainer = make_trainer(tmp_path, *SMALL)
    trainer.agent.planner = NoPlanner(trainer.task.facts)
    with pytest.raises(UserError, match=r"learner\.reanalysis"):
        go_on(trainer, 40)
