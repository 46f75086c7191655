"""Training of agents with learned world models from end to end."""

import numpy as np
import pytest
from test_run import only, read, rows
from test_train import comparable, flat, interrupt

from suites import rescore
from suites.checkpoints import load_state
from suites.points import points
from suites.results import load

RUN = ("task=pendulum", "budget.env_steps=400", "evaluation.every=400", "threads=1")
SMALL = (
    "world_model.repeat=2",
    "world_model.width=16",
    "world_model.warmup=60",
    "world_model.every=60",
)
SMALL = (*SMALL, "world_model.epochs=2", "evaluation.episodes=1")
PLAN = ("planner.budget=64", "planner.min_steps=4", "planner.max_steps=4", "planner.iterations=1")
LEARN = ("learner.actor_width=16", "learner.critic_width=16", "learner.batch=16")
LEARN = (*LEARN, "learner.warmup=60", "learner.ratio=2")
AGENTS = {
    "pets": (*RUN, *SMALL, *PLAN, "agent=pets"),
    "mbpo": (*RUN, *SMALL, *LEARN, "agent=mbpo"),
    "both": (
        *(*RUN, *SMALL, *PLAN, *LEARN, "planner=mpc", "world_model=ensemble"),
        "learner=sac",  # its critic values the last states of plans
    ),
}


@pytest.mark.parametrize("agent", AGENTS)
def test_an_interrupted_training_ends_as_if_it_had_not_been(agent, command, tmp_path, monkeypatch):
    words = AGENTS[agent]
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert command(*words, f"runs_dir={whole}")[0] == 0
    with monkeypatch.context() as patch:
        interrupt(patch, 300)
        code, *_ = command(*words, f"runs_dir={torn}", "checkpoint.seconds=0")
        assert code == 130
    code, _, err = command(*words, f"runs_dir={torn}", "checkpoint.seconds=0")
    assert code == 0
    assert "continuing from control step 300" in err
    one, two = only(whole), only(torn)
    for name in ("evaluations.jsonl", "metrics.jsonl"):
        assert comparable(rows(one / name)) == comparable(rows(two / name))
    agents = [load_state(path / "checkpoint" / "agent.pt") for path in (one, two)]
    assert ("world_model" in agents[0], "learner" in agents[0]) == (True, agent != "pets")
    for mine, theirs in zip(*(flat(agent) for agent in agents), strict=True):
        assert np.array_equal(mine, theirs)
    assert rescore.rescore(two, None)


def test_what_planning_in_a_model_costs(command, tmp_path):
    assert command(*AGENTS["pets"])[0] == 0
    path = only(tmp_path)
    first, last = rows(path / "evaluations.jsonl")
    assert (last["env_steps"], last["decisions"], last["sim_steps"]) == (400, 200, 0)
    # Decisions after the first fit, which comes with the 60th; 16 candidates of 4 steps, 5 times.
    assert last["model_steps"] == (200 - 60) * 64 * 5
    assert first["evaluation_model_steps"] == 500 * 64 * 5
    assert last["evaluation_model_steps"] == 2 * first["evaluation_model_steps"]
    assert last["updates"] > 0
    assert last["flops"] > first["evaluation_flops"] / 500 * 140
    told = [row for row in rows(path / "metrics.jsonl") if "model_loss" in row]
    assert {"model_error", "model_epochs", "model_calibration"} <= told[-1].keys()
    assert read(path / "summary.json")["agent"] == "pets"


def test_practice_counts_model_steps(command, tmp_path):
    assert command(*AGENTS["mbpo"])[0] == 0
    last = rows(only(tmp_path) / "evaluations.jsonl")[-1]
    assert last["model_steps"] == 200 * (180 // 60 * 60)  # rollouts of one step, per decision
    assert last["evaluation_model_steps"] == 0


def test_a_reward_that_is_given_is_marked(command, tmp_path):
    assert command(*AGENTS["mbpo"], "world_model.reward=task", "task=cheetah")[0] == 0
    (point, *_) = points(load([tmp_path]))
    assert point.privileges == ("reward",)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("learner=ppo", "world_model=ensemble"), "only from what its own policy did"),
        (("learner=dqn", "world_model=ensemble", "task=toy-chain"), "can't practise"),
        (("world_model=ensemble", "world_model.sampling=x"), "world_model.sampling is 'x'"),
        (("world_model=ensemble", "task=pong", "planner=mcts"), "observations that are vectors"),
        (("world_model=ensemble", "planner.optimizer=ilqg"), "planner.optimizer=ilqg needs"),
        (("agent=pets", "world_model.reward=task", "task=hopper"), "does not tell the reward of"),
        (("world_model=dream",), "unknown world_model 'dream'"),
        (("agent=pets", "planner.latency=0.1"), "come late can't be learned from"),
    ],
)
def test_one_line_for_what_does_not_fit(words, said, command):
    code, _, err = command("task=pendulum", *words)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
