"""What a world model must keep to.

Each check takes an agent, its task with two environments, and the configuration.
"""

import copy
from typing import Any

import numpy as np

from suites.audit import draw
from suites.checks.broken import demand, difference
from suites.evaluate import Agent
from world_models.observed import Observed

CANDIDATES, HORIZON = 3, 4


def begun(agent: Agent, task: Any) -> tuple[Any, np.ndarray]:
    """A state of two environments some steps into their episodes, and plans [2, K, H] for it."""
    random = np.random.default_rng(0)
    seen, _ = task.reset(seed=3)
    for _ in range(5):
        seen, *_ = task.step(draw(task, random, 2))
    return agent.model.begin(seen, task), draw(task, random, 2, CANDIDATES, HORIZON)


def predicts_in_shape(agent: Agent, task: Any, config: Any) -> None:
    """What `rollout` gives."""
    state, plans = begun(agent, task)
    rewards, continuation, last = agent.model.rollout(state, plans)
    for name, found in (("rewards", rewards), ("continuation", continuation)):
        shape = plans.shape[:3]
        demand(found.shape == shape, f"{name} of plans {plans.shape} are {found.shape}")
    # NaN rewards say that a plan diverges.
    demand(not np.isinf(rewards).any() and not np.isnan(rewards).all(), "rewards are not finite")
    within = (continuation >= 0) & (continuation <= 1)
    demand(within.all(), "continuation is a probability, and outside of [0, 1]")
    falls = np.diff(continuation, axis=-1) <= 1e-6
    demand(falls.all(), "continuation is that of the episode so far, and grows along a plan")
    features, following = agent.model.features(state), agent.model.features(last)
    good = following.shape == (*plans.shape[:2], *features.shape[1:])
    demand(good, f"features of last states are {following.shape}, of states {features.shape}")


def changes_nothing(agent: Agent, task: Any, config: Any) -> None:
    """Twice the same, though there was something else between, and the state stays."""
    state, plans = begun(agent, task)
    before = copy.deepcopy(state)
    one = agent.model.rollout(state, plans)
    demand(difference(before, state) is None, "a rollout changes the state that it begins in")
    agent.model.rollout(state, draw(task, np.random.default_rng(1), *plans.shape[:3]))
    told = difference(one, agent.model.rollout(state, plans), "rollout")
    demand(told is None, f"the same plans in the same state give something else: {told}")


def selects(agent: Agent, task: Any, config: Any) -> None:
    """`select` is some of the rows."""
    state, _ = begun(agent, task)
    features = agent.model.features(state)
    chosen = agent.model.features(agent.model.select(state, np.array([1])))
    same = features[1:].shape == chosen.shape and np.allclose(features[1:], chosen, 1e-5, 1e-6)
    demand(same, "features of select(state, [1]) are not those of the second environment")


def steps_as_it_rolls_out(agent: Agent, task: Any, config: Any) -> None:
    """`step` is a rollout of one step."""
    state, plans = begun(agent, task)
    last, rewards, continuation = agent.model.step(state, plans[:, 0, 0])
    of_plans = agent.model.rollout(state, plans[:, :1, :1])
    wanted = (of_plans[0][:, 0, 0], of_plans[1][:, 0, 0], agent.model.features(of_plans[2])[:, 0])
    found = (rewards, continuation, agent.model.features(last))
    for name, one, two in zip(("reward", "continuation", "features"), found, wanted, strict=True):
        same = np.shape(one) == np.shape(two) and np.allclose(one, two, rtol=1e-4, atol=1e-5)
        demand(same, f"{name} of a step differs from that of a rollout of one step")


def counts(agent: Agent, task: Any, config: Any) -> None:
    """Each transition that is predicted."""
    state, plans = begun(agent, task)
    name = "model_steps" if agent.model.trains else "sim_steps"
    before = getattr(agent.model, name)
    agent.model.rollout(state, plans)
    grown, least = getattr(agent.model, name) - before, int(np.prod(plans.shape[:3]))
    demand(grown >= least, f"a rollout of {least} transitions raises {name} by {grown}")


def _predicts(agent: Agent, config: Any) -> bool:
    return not isinstance(agent.model, Observed)


def _steps(agent: Agent, config: Any) -> bool:
    return _predicts(agent, config) and hasattr(agent.model, "step")


CHECKS = {
    "rewards, continuation and last states are what was asked for": (_predicts, predicts_in_shape),
    "the same plans give the same, and nothing is changed": (_predicts, changes_nothing),
    "selected states are those that were selected": (_predicts, selects),
    "a step is a rollout of one step": (_steps, steps_as_it_rolls_out),
    "what it predicts is counted": (_predicts, counts),
}
