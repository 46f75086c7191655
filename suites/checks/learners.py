"""What a learner, and a training, must keep to."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from planners.noise import Noise
from planners.none import NoPlanner
from suites.checkpoints import load_training, save_training
from suites.checks.broken import BrokenError, NotSeenError, demand, difference
from suites.checks.models import begun
from suites.checks.planners import possible
from suites.evaluate import Agent
from suites.ledger import Meter
from suites.train import Trainer

MOST = 50_000  # control steps in which a gradient step is waited for
ON = 20  # decisions after a gradient step, before trainings are compared


class Training:
    """An agent in training.

    Arguments:
      make_agent: Makes one like it.
      task: To be trained on.
      place: A folder to be thrown away.
    """

    def __init__(self, make_agent: Callable[[], Agent], task: Any, seed: int, place: Path):
        self.make_agent, self.task, self.seed, self.place = make_agent, task, seed, place
        self.agent = make_agent()
        self.trainer = self.begin(self.agent, "one")

    def begin(self, agent: Agent, name: str) -> Trainer:
        """A training from the beginning, on the same task."""
        return Trainer(agent, self.task, self.seed, self.place / name, Meter())

    def learn(self) -> None:
        """Until the first gradient step, and some decisions more."""
        (self.place / "one").mkdir()
        self.go_on(self.trainer)  # what learns more slowly is to have begun, too
        said = [name for name in self.trainer.said if name.endswith("_loss")]
        demand(said, "an update said no loss: names of losses end in _loss")

    def go_on(self, trainer: Trainer) -> None:
        """Until the next gradient step of each part, and some decisions more.

        Raises:
          NotSeenError: where that takes too long.
        """
        before, end = _updates(trainer), trainer.env_steps + MOST
        while any(now == then for now, then in zip(_updates(trainer), before, strict=True)):
            if trainer.env_steps >= end:
                raise NotSeenError(
                    f"no gradient step within {MOST:,} control steps: for this check, give options"
                    " with which it learns sooner and more often, as learner.warmup=100"
                )
            trainer.run(trainer.env_steps + 1, _ignore)
        for _ in range(ON):
            trainer.run(trainer.env_steps + 1, _ignore)


def _updates(trainer: Trainer) -> list[int]:
    """Gradient steps of each part that counts its own: joint ones are the world model's."""
    trained = trainer.agent.trained
    return [
        part.updates
        for name, part in trained.items()
        if name == "world_model" or not getattr(part, "latent", False)
    ]


def _ignore(trainer: Trainer) -> None:
    pass


def acts(agent: Agent, task: Any, config: Any) -> None:
    """Its policy, with exploration and without, and its value."""
    state, _ = begun(agent, task)
    features, space = agent.model.features(state), task.facts.action_space
    for name, prior in (("sample", agent.prior), ("greedy.sample", agent.prior.greedy)):
        action = prior.sample(features, Noise(0, [0, 1], 0))
        demand(action.shape == (2, *space.shape), f"actions of {name} are {action.shape}")
        if not isinstance(space, Box):  # the bounds of a box clip what is executed
            good = possible(action, space)
            demand(good, f"an action of {name} is not one of the task's {space}")
        demand(np.isfinite(action).all(), f"an action of {name} is not finite")
    value = agent.prior.value(features)
    demand(value.shape == (2,), f"values of features {features.shape} are {value.shape}, not (2,)")
    demand(np.isfinite(value).all(), "a value is not finite")


def exploits(agent: Agent, task: Any, config: Any) -> None:
    """What is evaluated, and that it leaves the learner as it is."""
    state, _ = begun(agent, task)
    features, before = agent.model.features(state), _learned(agent.prior)
    one, two = (agent.prior.greedy.sample(features, Noise(s, [0, 1], 0)) for s in (0, 1))
    demand(difference(one, two) is None, "greedy explores: other noise gives another action")
    told = difference(before, _learned(agent.prior))
    demand(told is None, f"acting without exploration changes the learner: {told}")


def goes_on_after_an_interruption(training: Training) -> None:
    """To the bit, from a checkpoint in files."""
    trainer = training.trainer
    save_training(training.place, trainer.env_steps, trainer.state(), trainer.memory())
    training.go_on(trainer)
    whole = _compared(trainer)
    stored = load_training(training.place)
    assert stored is not None
    (training.place / "two").mkdir()
    again = training.begin(training.make_agent(), "two")
    again.load(*stored)
    training.go_on(again)
    told = difference(whole, _compared(again))
    if told:
        raise BrokenError(
            f"a training that went on from a checkpoint is another one: {told} differs. Is it in"
            " state() and load()?"
        )


def _compared(trainer: Trainer) -> Any:
    """What came of it, but costs, which have clocks, and the warm start, with its unused room."""
    state = trainer.state()
    del state["costs"], state["carry"]
    return copy.deepcopy({**state, "memory": trainer.memory()})


def _learned(learner: Any) -> dict[str, Any]:
    """A copy of its state, without what counts operations."""
    state = copy.deepcopy(learner.state())
    return {name: value for name, value in state.items() if name != "counter"}


def _learns(agent: Agent, config: Any) -> bool:
    return bool(agent.prior.trains)


def _exploits(agent: Agent, config: Any) -> bool:
    """Whether its policy is what is evaluated, without random actions that were asked for."""
    acts = isinstance(agent.greedy.planner, NoPlanner)
    return _learns(agent, config) and acts and not config.learner.get("evaluation_epsilon")


CHECKS = {
    "its policy gives actions in the form of the task's, and its value numbers": (_learns, acts),
    "without exploration, noise changes nothing, and nor does acting": (_exploits, exploits),
}
OF_TRAINING = {
    "interrupted and continued, it is the same to the bit": goes_on_after_an_interruption,
}
