"""What the tests of learners share: small settings, and small worlds with known values."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from hydra.utils import instantiate
from omegaconf import OmegaConf

from learners.interface import Transitions

CONF = Path(__file__).resolve().parents[1] / "conf" / "learner"


def make_spec(observation: int = 2, action: int = 1, low: float = -1, high: float = 1) -> Any:
    """Facts of a task with boxes."""
    bound = np.full(observation, np.inf)
    return SimpleNamespace(
        name="small",
        observation_space=Box(-bound, bound, dtype=np.float64),
        action_space=Box(np.full(action, low), np.full(action, high), dtype=np.float64),
    )


def options(name: str, **changes: Any) -> dict[str, Any]:
    """The keys of a learner's yaml, with some changed."""
    yaml: Any = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    return {**yaml, "seed": 0, "device": "cpu", **changes}


def make(name: str, spec: Any = None, **changes: Any) -> Any:
    """A learner as its yaml says, but for some keys."""
    chosen = options(name, **changes)
    return instantiate(chosen, _partial_=True)(spec=spec or make_spec())


def transitions(
    observation: np.ndarray,
    action: np.ndarray,
    reward: np.ndarray,
    following: np.ndarray,
    terminated: np.ndarray | None = None,
    truncated: np.ndarray | None = None,
) -> Transitions:
    """Transitions, of which none ends an episode unless told."""
    none = np.zeros(len(reward), bool)
    return Transitions(
        observation,
        action,
        reward,
        none if terminated is None else terminated,
        none if truncated is None else truncated,
        following,
        none,
    )


def random_transitions(rng: np.random.Generator, n: int, observation: int = 2, action: int = 1):
    """n transitions of noise, of which some end their episode."""
    return transitions(
        rng.normal(size=(n, observation)),
        rng.uniform(-1, 1, (n, action)),
        rng.normal(size=n),
        rng.normal(size=(n, observation)),
        rng.random(n) < 0.1,
        rng.random(n) < 0.1,
    )


def parameters(learner: Any) -> torch.Tensor:
    """All numbers of a learner's networks in a row."""
    flat = [value.double().flatten() for value in learner.networks.state_dict().values()]
    return torch.cat(flat)
