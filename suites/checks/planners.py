"""What a planner must keep to.

Each check takes an agent, its task with two environments, and the configuration.
"""

import copy
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from planners.noise import Noise
from planners.none import NoPlanner
from suites.checks.broken import demand, difference
from suites.checks.models import begun
from suites.evaluate import Agent

DECISIONS = 3


def possible(actions: np.ndarray, space: Any) -> bool:
    """Whether actions [B, A], or whole numbers [B], are all of a space."""
    if isinstance(space, Box):
        return bool(((actions >= space.low - 1e-6) & (actions <= space.high + 1e-6)).all())
    whole = np.issubdtype(actions.dtype, np.integer)
    return bool(whole and ((actions >= space.start) & (actions < space.start + space.n)).all())


def _decide(agent: Agent, state: Any, carry: Any, decision: int, rows: Any = (0, 1)) -> Any:
    noise = Noise(5, [10, 11], decision).rows(np.array(rows))
    return agent.planner.plan(agent.model, agent.prior, state, carry, noise)


def decides_what_can_be_done(agent: Agent, task: Any, config: Any) -> None:
    """Actions of the task, with what belongs to them, in several decisions on end."""
    carry, space = agent.planner.init(2), task.facts.action_space
    for decision in range(DECISIONS):
        state, _ = begun(agent, task)
        plan, carry = _decide(agent, state, carry, decision)
        for name in ("action", "actions", "value"):
            kind = type(getattr(plan, name)).__name__
            demand(kind == "ndarray", f"`{name}` of a plan is a {kind}, and no NumPy array")
        demand(plan.action.shape == (2, *space.shape), f"actions are {plan.action.shape}")
        demand(possible(plan.action, space), f"an action is not one of the task's {space}")
        begins = difference(plan.actions[:, 0], plan.action)
        demand(begins is None, "`actions` do not begin with `action`")
        # What comes late goes on for as long again, until the next one is ready.
        length = plan.actions.shape[1]
        lasts = agent.planner.plan_every * (2 if agent.planner.late else 1)
        demand(length >= lasts, f"a plan of {length} steps is to last {lasts}")
        demand(np.shape(plan.value) == (2,), f"values are {np.shape(plan.value)}, not (2,)")
        if plan.policy is not None:
            good = np.allclose(plan.policy.sum(axis=-1), 1, atol=1e-4) and (plan.policy >= 0).all()
            demand(good, "`policy` does not consist of probabilities")


def repeats_with_its_noise(agent: Agent, task: Any, config: Any) -> None:
    """It keeps nothing but its carry, and draws from its noise alone."""
    state, _ = begun(agent, task)
    _, carry = _decide(agent, state, agent.planner.init(2), 0)
    kept, root = copy.deepcopy(carry), copy.deepcopy(state)
    one, _ = _decide(agent, state, carry, 1)
    demand(difference(root, state) is None, "a decision changes the state that it is made in")
    _decide(agent, state, agent.planner.init(2), 9)  # somebody else's
    two, _ = _decide(agent, state, kept, 1)
    plans = [{**vars(plan), "statistics": None} for plan in (one, two)]  # these may hold times
    told = difference(plans[0], plans[1])
    demand(told is None, f"with the same state, carry and noise, {told} of the plan differs")


def looks_at_each_alone(agent: Agent, task: Any, config: Any) -> None:
    """A batch is nothing but several decisions."""
    state, _ = begun(agent, task)
    both, _ = _decide(agent, state, agent.planner.init(2), 0)
    rest = agent.model.select(state, np.array([1]))
    alone, _ = _decide(agent, rest, agent.planner.init(1), 0, (1,))
    same = np.array_equal(both.action[1:], alone.action)
    demand(same, "an environment is decided for otherwise when it is alone")


def keeps_its_budget(agent: Agent, task: Any, config: Any) -> None:
    """What a decision simulates, in the unit of `planner.budget`."""
    carry = agent.planner.init(2)
    for decision in range(DECISIONS):
        state, _ = begun(agent, task)
        before = agent.model.sim_steps
        _, carry = _decide(agent, state, carry, decision)
        spent = (agent.model.sim_steps - before) * task.facts.budget_per_step / 2
        most = config.planner.budget
        demand(spent <= most, f"a decision took {spent:,.0f} of a planner.budget of {most:,}")
        demand(spent > 0, "a decision simulated nothing, or did not count it")


def _plans(agent: Agent, config: Any) -> bool:
    return not isinstance(agent.planner, NoPlanner)


def _reproducible(agent: Agent, config: Any) -> bool:
    return _plans(agent, config) and config.planner.get("seconds") is None


def _alone(agent: Agent, config: Any) -> bool:
    # In a learned model, products of other sizes are rounded otherwise.
    return _reproducible(agent, config) and not agent.model.trains


def _on_a_budget(agent: Agent, config: Any) -> bool:
    given = config.planner.get("budget") is not None
    return given and _plans(agent, config) and not agent.model.trains


CHECKS = {
    "a decision is an action of the task": (_plans, decides_what_can_be_done),
    "the same state, carry and noise give the same decision": (
        _reproducible,
        repeats_with_its_noise,
    ),
    "environments are decided for independently": (_alone, looks_at_each_alone),
    "a decision takes no more than planner.budget": (_on_a_budget, keeps_its_budget),
}
