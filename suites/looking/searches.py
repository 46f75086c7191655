"""What a search held, in three forms that can be drawn: a tree, a fan of plans, rows of actions."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from planners import iw
from planners.fmc import FMC
from planners.iw import IW
from planners.mcts import MCTS
from planners.tree import ABSENT
from suites.evaluate import Agent
from suites.looking.replay import Decision

SIGNS = "-0+"
NOTATION = ". An action: each actuator low (-), in the middle (0) or high (+)"
FEW = 2  # numbers of an action that are written out


@dataclass
class SearchTree:
    """A tree of n nodes; 0 is the root, and a child comes after its parent.

    Attributes:
      parent: [n], -1 for the root.
      action: The action that leads to each node, in words.
      visits: [n] simulations through it; of IW, which has none, simulated nodes from it on.
      value: [n] return of the action that leads to it; of the root, of the best or of the mean.
      executed: The node that the executed action leads to; -1 if there is none.
      follow: [n] what the search would do most of all: visits, or of IW values.
      counted: What `visits` are, in words.
      said: A line about the search.
      notation: How an action is to be read, if it is not in plain words.
    """

    parent: np.ndarray
    action: list[str]
    visits: np.ndarray
    value: np.ndarray
    executed: int
    follow: np.ndarray
    counted: str
    said: str
    notation: str = ""

    def path(self) -> list[int]:
        """Nodes from the executed action's on, along what the search would do next."""
        found, node = [], self.executed
        while node >= 0:
            found.append(node)
            children = np.flatnonzero(self.parent == node)
            node = int(children[np.argmax(self.follow[children])]) if children.size else -1
        return found


@dataclass
class Fan:
    """Continuous plans that were rolled out, and the one that was chosen.

    Attributes:
      plans: [K, H, A] of each call of the model, in which H is the same.
      rewards: [K, H] of each call, discounted.
      chosen: [1, H, A], the plan that is executed, with its rewards [1, H].
      dt: Seconds between two actions.
      said: A line about the search.
    """

    plans: list[np.ndarray]
    rewards: list[np.ndarray]
    chosen: np.ndarray
    chosen_rewards: np.ndarray
    dt: float
    said: str

    def returns(self) -> np.ndarray:
        """Of all plans; not finite where the physics diverges."""
        return np.concatenate([rewards.sum(axis=1) for rewards in self.rewards])


@dataclass
class Rows:
    """Discrete plans or walkers' ways, best first.

    Attributes:
      actions: [N, T] from 0; -1 for none.
      returns: [N], not finite where the model diverges.
      counts: [n] of those whose first action it is.
      names: Of the n actions.
      chosen: The action that is executed.
      kind: `candidates` or `walkers`.
      said: A line about the search.
    """

    actions: np.ndarray
    returns: np.ndarray
    counts: np.ndarray
    names: list[str]
    chosen: int
    kind: str
    said: str


Search = SearchTree | Fan | Rows


def search_of(decision: Decision, agent: Agent, facts: Any, names: list[str]) -> Search:
    """What the planner's search held at a decision.

    Arguments:
      agent: Its model rolls out what was executed, where no candidate needs to be just that.
      facts: Of the task.
      names: Of its actions, where these are discrete; else empty.
    """
    planner = agent.planner
    if isinstance(planner, MCTS):
        discount = planner.discount_of(agent.prior)
        return _mcts_tree(decision, planner, discount, facts.action_space, names)
    if isinstance(planner, IW):
        return _iw_tree(decision, planner, names)
    if isinstance(planner, FMC):
        return _walkers(decision, facts.action_space, names)
    if names:
        return _candidates(decision, planner, facts.action_space, names)
    return _fan(decision, planner, agent.model, facts.control_dt)


def action_names(task: Any) -> list[str]:
    """Of a task with discrete actions, in their order; empty for continuous ones."""
    space = task.facts.action_space
    if not hasattr(space, "n"):
        return []
    return list(getattr(task, "action_names", None) or [f"action {a}" for a in range(space.n)])


def describe(action: np.ndarray, space: Any) -> str:
    """A continuous action [A]: numbers, or for each actuator a third of its range, -, 0 or +."""
    if len(action) <= FEW:
        return ", ".join(f"{x:.2f}" for x in action)
    low = np.where(np.isfinite(space.low), space.low, -1.0)
    high = np.where(np.isfinite(space.high), space.high, 1.0)
    thirds = np.clip(3 * (action - low) / (high - low), 0, 2).astype(int)
    return "".join(SIGNS[third] for third in thirds)


def _mcts_tree(
    decision: Decision, planner: MCTS, discount: float, space: Any, names: list[str]
) -> SearchTree:
    tree, edges = decision.carry.tree, decision.carry.tree.edges[0]
    nodes = tree.nodes[0, : tree.summaries["size"][0]]
    used = nodes["parent"] != ABSENT  # a node on which the model diverged hangs nowhere
    used[0] = True
    place = np.where(used, np.cumsum(used) - 1, ABSENT)
    nodes = nodes[used]
    value = nodes["reward"] + discount**planner.repeat * nodes["continuation"] * nodes["value"]
    value[0] = nodes["value"][0]
    words = [""]
    for above, action in zip(nodes["parent"][1:], nodes["action"][1:], strict=True):
        words.append(names[action] if names else describe(tree.actions[0, above, action], space))
    child = int(edges["child"][0, decision.carry.edges[0]])
    visits, kept = nodes["visits"].astype(int), int(edges["before"][0].sum())
    simulations = int(edges["visits"][0].sum()) - kept
    return SearchTree(
        parent=np.r_[ABSENT, place[nodes["parent"][1:]]],
        action=words,
        visits=visits,
        value=value,
        executed=int(place[child]) if child >= 0 else ABSENT,
        follow=visits.astype(float),
        counted="visits",
        said=f"{type(planner.search).__name__}: {simulations} simulations" + _kept(kept),
        notation="" if names or space.shape[0] <= FEW else NOTATION,
    )


def _iw_tree(decision: Decision, planner: IW, names: list[str]) -> SearchTree:
    tree, action = decision.carry.trees[0], int(decision.carry.actions[0])
    executed = int(tree.child[0, action])
    count = int(tree.numbers[iw.COUNT])
    values, _ = iw.back_up(tree, planner.discount)
    parent = tree.parent[:count].copy()
    below = np.ones(count, int)
    for node in range(count - 1, 0, -1):
        below[parent[node]] += below[node]
    value = tree.reward[:count] + planner.discount * values
    value[0] = values[0]
    words = ["", *(names[action] for action in tree.action[1:count])]
    kept = int(decision.plan.statistics["kept"]) - 1
    follow = np.where(tree.pruned[:count], -np.inf, value)
    if executed < 0:  # an action that was not simulated counts as 0, which can be the best
        executed = count
        words.append(names[action])
        parent, below = np.r_[parent, 0], np.r_[below, 0]
        value, follow = np.r_[value, 0.0], np.r_[follow, 0.0]
    return SearchTree(
        parent=parent,
        action=words,
        visits=below,
        value=value,
        executed=executed,
        follow=follow,
        counted="nodes from there on",
        said=f"Rollout IW(1): {count - 1 - kept} simulated steps" + _kept(kept),
    )


def _kept(count: int) -> str:
    return f", {count} kept from before" if count else ""


def _walkers(decision: Decision, space: Any, names: list[str]) -> Rows:
    actions, rewards = (part[0] for part in decision.carry)
    return _rows(decision, space, actions, rewards, names, "walkers", "Fractal Monte Carlo")


def _candidates(decision: Decision, planner: Any, space: Any, names: list[str]) -> Rows:
    actions = np.concatenate([rollout.plans for rollout in decision.rollouts])
    returns = np.concatenate([_discounted(r.rewards, planner).sum(1) for r in decision.rollouts])
    said = f"{len(decision.rollouts)} iterations"
    return _rows(decision, space, actions, returns, names, "candidates", said)


def _rows(
    decision: Decision,
    space: Any,
    actions: np.ndarray,
    returns: np.ndarray,
    names: list[str],
    kind: str,
    said: str,
) -> Rows:
    actions = np.maximum(actions - int(space.start), -1)
    order = np.argsort(np.where(np.isfinite(returns), -returns, np.inf), kind="stable")
    counts = np.bincount(actions[:, 0], minlength=len(names))
    steps = f"{len(actions)} {kind}, {actions.shape[1]} steps ahead"
    chosen = int(decision.plan.action[0] - space.start)
    return Rows(actions[order], returns[order], counts, names, chosen, kind, f"{said}: {steps}")


def _fan(decision: Decision, planner: Any, model: Any, dt: float) -> Fan:
    chosen = decision.plan.actions
    rewards, _, _ = model.rollout(decision.state, chosen[:, None])
    plans = [rollout.plans for rollout in decision.rollouts]
    count, calls = sum(map(len, plans)), f"{len(plans)} call" + "s" * (len(plans) > 1)
    ahead = max(rollout.shape[1] for rollout in plans) * dt
    return Fan(
        plans,
        [_discounted(rollout.rewards, planner) for rollout in decision.rollouts],
        chosen,
        _discounted(rewards[0], planner),
        dt,
        f"{count} candidates in {calls} of the model, {ahead:.2g} s ahead",
    )


def _discounted(rewards: np.ndarray, planner: Any) -> np.ndarray:
    return rewards * getattr(planner, "discount", 1.0) ** np.arange(rewards.shape[-1])
