"""Every composition of the three axes on a toy: it runs, or it is refused in one line."""

from itertools import product

import pytest
from test_run import only, read

PLANNERS = {
    "none": (),
    "mpc": ("planner.budget=32", "planner.max_steps=4", "planner.min_steps=1"),
    "mcts": ("planner.budget=24", "planner.depth=4"),
}
MODELS = {
    "simulator": (),
    "ensemble": ("world_model.width=8", "world_model.warmup=24", "world_model.epochs=1"),
    "latent": ("world_model.size=16", "world_model.width=16", "world_model.encoder_width=16"),
    "muzero": ("world_model.width=16", "world_model.hidden=16", "world_model.projection=8"),
}
MODELS["ensemble"] += ("world_model.every=24", "world_model.imagine.rollouts=2")
MODELS["latent"] += ("world_model.warmup=24", "world_model.pretraining=2", "world_model.batch=8")
MODELS["muzero"] += ("world_model.warmup=24", "world_model.batch=4", "world_model.unroll=2")
SOFT = ("learner.actor_width=8", "learner.critic_width=8", "learner.batch=8", "learner.warmup=24")
LEARNERS = {
    "none": (),
    "sac": SOFT,
    "simba": SOFT,
    "td3": ("learner.width=8", "learner.batch=8", "learner.warmup=24"),
    "ppo": ("learner.num_envs=2", "learner.length=8", "learner.minibatch=8"),
    "dqn": ("learner.warmup=24", "learner.batch=8"),
    "distill": ("learner.width=8", "learner.warmup=24", "learner.length=4", "learner.batch=4"),
    "tdmpc2": (),
    "muzero": ("learner.hidden=16", "learner.n_step=2"),
}
CONTINUOUS, DISCRETE = {"simba", "td3", "tdmpc2", "latent"}, {"dqn"}
LATENT = {"latent": "tdmpc2", "muzero": "muzero"}
ALL = list(product(("toy-slide", "toy-chain"), PLANNERS, MODELS, LEARNERS))


def fits(task: str, planner: str, model: str, learner: str) -> bool:
    """Whether it makes sense."""
    if {model, learner} & (DISCRETE if task == "toy-slide" else CONTINUOUS):
        return False
    if learner == "ppo":  # learns from its own policy alone
        return (planner, model) == ("none", "simulator")
    if learner == "distill":  # needs a teacher that knows the truth
        return planner != "none" and model == "simulator"
    if learner == "muzero" and planner != "mcts":  # learns from what a search found
        return False
    if model in LATENT or learner in LATENT.values():  # learners of observations see no latents
        return learner in ("none", LATENT.get(model))
    if planner == "none" and model == "ensemble":  # who practises learns from single transitions
        return learner in ("none", "simba", "td3") or (learner, task) == ("sac", "toy-slide")
    return True


@pytest.mark.parametrize(("task", "planner", "model", "learner"), ALL)
def test_it_runs_or_is_refused(task, planner, model, learner, command, tmp_path):
    words = [f"task={task}", f"planner={planner}", f"world_model={model}", f"learner={learner}"]
    words += [*PLANNERS[planner], *MODELS[model], *LEARNERS[learner], "evaluation.episodes=1"]
    learns = (model, learner) != ("simulator", "none")
    if learns:
        words += ["budget.env_steps=60", "evaluation.every=60"]
    code, _, err = command(*words)
    if fits(task, planner, model, learner):
        assert code == 0, err
        summary = read(only(tmp_path) / "summary.json")
        assert (summary["ledger"]["env_steps"] > 0) == learns
        assert summary["ledger"]["evaluation_flops"] > 0 or learner == "none"
        model_steps = summary["ledger"]["model_steps"] + summary["ledger"]["evaluation_model_steps"]
        plans = planner != "none" and model != "simulator"
        assert model_steps > 0 if plans else learner != "none" or model_steps == 0
    else:
        assert code == 2
        assert err.count("\n") == 1
