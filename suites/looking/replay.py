"""An episode played again, with an eye on what the planner asks of its world model."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from planners.interface import Plan
from planners.noise import Noise
from suites.errors import UserError
from suites.evaluate import Agent, Episode, Pilot, Stopwatch, steps
from suites.ledger import Meter
from suites.progress import Progress


@dataclass
class Rollout:
    """A call of the model: plans [K, H, A] (or [K, H]) as executed in it, and rewards [K, H]."""

    plans: np.ndarray
    rewards: np.ndarray


@dataclass
class Decision:
    """What the planner did at a decision.

    Attributes:
      number: Counted from 0.
      state: The model's, of one environment, [1, S].
      plan: What it decided.
      carry: What it handed on: a tree search its tree.
      rollouts: What it asked of the model, call by call.
      step: Control steps that were made before.
      score: The return until then.
    """

    number: int
    state: Any
    plan: Plan
    carry: Any
    rollouts: list[Rollout]
    step: int = 0
    score: float = 0.0


class Recorder:
    """A world model that notes the rollouts of the first environment."""

    def __init__(self, model: Any):
        self.model = model
        self.rollouts: list[Rollout] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def rollout(self, state: Any, plans: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any]:
        """As the model's."""
        found = self.model.rollout(state, plans)
        self.rollouts.append(Rollout(plans[0].copy(), found[0][0].copy()))
        return found

    def trace(self, state: Any, plans: np.ndarray, every: int) -> tuple[np.ndarray, ...]:
        """As the model's."""
        found = self.model.trace(state, plans, every)
        self.rollouts.append(Rollout(plans[0].copy(), found[0][0].copy()))
        return found

    def feedback_rollout(self, *arguments: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
        """As the model's. What is noted are the actions after the feedback."""
        found = self.model.feedback_rollout(*arguments)
        self.rollouts.append(Rollout(found[2][0].copy(), found[0][0].copy()))
        return found


class Watched:
    """A planner that does the same, and keeps its last decision, if it is one of interest.

    Attributes:
      first, last: These are, of the episode's decisions; None: up to its end.
      made: Decisions so far.
      seen: The last one; None if it is of no interest, or was taken.
    """

    def __init__(self, planner: Any, first: int, last: int | None):
        self.planner, self.first, self.last = planner, first, last
        self.plan_every, self.late = planner.plan_every, planner.late
        self.made = 0
        self.seen: Decision | None = None

    def init(self, batch: int) -> Any:
        """As the planner's."""
        return self.planner.init(batch)

    def plan(
        self, model: Any, prior: Any, state: Any, carry: Any, noise: Noise
    ) -> tuple[Plan, Any]:
        """As the planner's."""
        number, self.made = self.made, self.made + 1
        if number < self.first or (self.last is not None and number > self.last):
            return self.planner.plan(model, prior, state, carry, noise)
        recorder = Recorder(model)
        plan, carry = self.planner.plan(recorder, prior, state, carry, noise)
        self.seen = Decision(number, state, plan, carry, recorder.rollouts)
        return plan, carry

    def take(self) -> Decision | None:
        """The decision that was seen since this was asked last."""
        seen, self.seen = self.seen, None
        return seen


def replay(
    agent: Agent,
    task: Any,
    seeds: tuple[int, int],
    episode: int,
    first: int,
    last: int | None,
    recorded: Episode | None,
) -> Iterator[Decision]:
    """Play an episode again, and yield its decisions from `first` to `last` (None: to its end).

    Arguments:
      seeds: The agent's, and that of the episodes' first states.
      recorded: The episode as the run recorded it, if it did; its states, if there are any.

    Raises:
      UserError: where this is another episode than the recorded one, or ends too early.
    """
    watched = Watched(agent.planner, first, last)
    pilot = Pilot(
        Agent(watched, agent.model, agent.prior), task, seeds[0], episode, Stopwatch(Meter())
    )
    length = recorded.length if recorded else task.facts.horizon
    # The last decision of an episode is played out, and the whole compared.
    until = length if last is None else min(length, (last + 1) * watched.plan_every)
    states = recorded.states if recorded else None
    progress = Progress(episode, episode + 1, until)
    score, number = 0.0, 0
    try:
        for step in steps(pilot, seeds[1], states is not None):
            number = step.number
            if step.state is not None and not _same(states, number - 1, step.state):
                raise UserError(_differs(f"its states differ from step {number - 1} on"))
            progress.step(episode, min(number, until), step.score, pilot.plan_seconds[-1])
            if seen := watched.take():
                seen.step, seen.score = number - 1, score
                yield seen
            score = step.score
            if number == until < length:
                return
    finally:
        progress.close()
    if watched.made <= (last or first):
        raise beyond(last or first, episode, watched.made)
    if recorded and (recorded.score, recorded.length) != (score, number):
        raise UserError(
            _differs(
                f"it returned {score} in {number} steps, and then {recorded.score} in"
                f" {recorded.length}"
            )
        )


def _same(states: np.ndarray | None, number: int, state: np.ndarray) -> bool:
    return states is not None and number < len(states) and np.array_equal(states[number], state)


def _differs(how: str) -> str:
    return f"this is not the episode that was recorded: {how}; look at it with the code of the run"


def beyond(decision: int, episode: int, made: int) -> UserError:
    """For a decision that the episode does not have."""
    return UserError(
        f"there is no decision {decision}: episode {episode} ended after {made}; give one from 0"
        f" to {made - 1}"
    )
