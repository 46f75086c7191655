"""What tests of learning in latents share: agents as their presets make them, and a small task."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from hydra import compose, initialize_config_dir

from suites import usage
from suites.assembly import build
from suites.evaluate import Agent
from suites.ledger import Meter
from suites.tasks import registry
from suites.train import Trainer

CONF = Path(__file__).resolve().parents[1] / "conf"


class LockTask:
    """A lock of so many digits: the right one goes on, a wrong one ends the episode.

    The last digit pays 1. What is observed is one-hot: how many digits are in place.
    """

    digits = (2, 0, 1)

    def __init__(self, num_envs: int = 1):
        self.num_envs = num_envs
        self.facts = SimpleNamespace(
            name="lock",
            observation_space=Box(0.0, 1.0, (len(self.digits) + 1,), np.float64),
            action_space=Discrete(3),
            control_dt=1.0,
            frames_per_step=1,
            budget_per_step=1,
            horizon=len(self.digits),
        )
        self.place = np.zeros(num_envs, int)

    def _seen(self) -> np.ndarray:
        return np.eye(len(self.digits) + 1)[self.place]

    def reset(self, *, seed: Any = None) -> tuple[np.ndarray, dict]:
        self.place[:] = 0
        return self._seen(), {}

    def step(self, actions: np.ndarray) -> tuple[Any, ...]:
        right = np.array(self.digits)[self.place] == actions
        self.place = self.place + right
        done = self.place == len(self.digits)
        ended, seen = done | ~right, self._seen()
        self.place[ended] = 0
        infos = {"final_obs": seen} if ended.any() else {}
        return self._seen(), done.astype(float), ended, np.zeros(self.num_envs, bool), infos

    def snapshot(self) -> Any:
        return SimpleNamespace(place=self.place.copy())

    def restore(self, snapshot: Any) -> np.ndarray:
        self.place = snapshot.place.copy()
        return self._seen()


class DialTask(LockTask):
    """The same lock; a digit is a third of what a dial can be turned to."""

    def __init__(self, num_envs: int = 1):
        super().__init__(num_envs)
        self.facts.action_space = Box(0.0, 3.0, (1,), np.float64)

    def step(self, actions: np.ndarray) -> tuple[Any, ...]:
        return super().step(np.minimum(np.floor(actions[:, 0]), 2))


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
