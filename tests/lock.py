"""What tests of learning in latents share: agents as their presets make them, and a small task."""

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from hydra import compose, initialize_config_dir

from suites import usage
from suites.assembly import build
from suites.evaluate import Agent
from suites.ledger import Meter
from suites.tasks import registry
from suites.tasks.arrays import ArrayTask, Rules
from suites.tasks.spec import TaskSpec
from suites.train import Trainer

CONF = Path(__file__).resolve().parents[1] / "conf"


DIGITS = (2, 0, 1)


def enter(places: np.ndarray, digits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rules of the lock: places [N, 1], digits [N]."""
    place = places[:, 0]
    right = np.append(DIGITS, -1)[place.astype(int)] == digits
    done = place + right == len(DIGITS)
    return (place + right)[:, None], done.astype(float), done | ~right


def turn(places: np.ndarray, turned: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for a dial: turned [N, 1]."""
    return enter(places, np.minimum(np.floor(turned[:, 0]), 2))


class LockTask(ArrayTask):
    """A lock of so many digits: the right one goes on, a wrong one ends the episode.

    The last digit pays 1. What is observed is one-hot: how many digits are in place.
    """

    digits = DIGITS
    actions: Any = Discrete(3)
    advance = staticmethod(enter)

    def __init__(self, num_envs: int = 1):
        size = len(DIGITS) + 1
        seen = Box(0.0, 1.0, (size,), np.float64)
        facts = TaskSpec("lock", seen, self.actions, 1.0, 1, len(DIGITS), {}, True)
        rules = Rules(
            lambda random: (0.0,), self.advance, lambda rows: np.eye(size)[rows[:, 0].astype(int)]
        )
        super().__init__(facts, rules, num_envs)


class DialTask(LockTask):
    """The same lock; a digit is a third of what a dial can be turned to."""

    actions = Box(0.0, 3.0, (1,), np.float64)
    advance = staticmethod(turn)


def make_agent(task: Any, *words: str) -> Agent:
    """The agent that words of the command line name, for a task that is there."""
    registry.register()
    usage.register(CONF)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", list(words))
    facts = {"spec": task.facts, "task": task, "threads": 1}
    parts = [build(part, config, **facts) for part in ("planner", "world_model", "learner")]
    return Agent(*parts)


def make_trainer(folder: Path, *words: str, task: Any = LockTask) -> Trainer:
    """An agent in training."""
    agent = make_agent(task(), *words)
    return Trainer(agent, task(agent.num_envs), 0, folder, Meter())


def go_on(trainer: Trainer, decisions: int) -> Trainer:
    """So many more decisions of every environment."""
    trainer.run(trainer.env_steps + decisions * trainer.task.num_envs, lambda _: None)
    return trainer
