"""What learners with discrete actions share."""

from typing import Any

import numpy as np
import torch
from torch import nn

from learners.actor import GreedyActor
from learners.convolutions import check_size, pictures, torso

CONTINUOUS = ("sac", "simba", "td3", "ppo")  # learners for other actions


def actions_of(spec: Any) -> tuple[int, int]:
    """How many actions a task has, and the first of them.

    Raises:
      ValueError: if they are not discrete.
    """
    space = spec.action_space
    if not hasattr(space, "n"):
        raise ValueError(
            f"this learner needs discrete actions, and task {spec.name} has {space}: choose"
            f" learner={', '.join(CONTINUOUS)}"
        )
    return int(space.n), int(space.start)


class Flat(nn.Module):
    """Observations [N, *O] to vectors [N, F] of floats; bytes to numbers from 0 to 1."""

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        flat = observations.flatten(1)
        return flat / 255 if flat.dtype == torch.uint8 else flat.float()


def encoder(space: Any, kind: str, batch_norm: bool = False) -> tuple[nn.Module, nn.Module, int]:
    """What makes numbers of observations, what makes features of these, and how many.

    Apart, so that a batch is converted once for several networks. Pictures pass through the
    convolutions of that kind, and anything else stays as it is.

    Raises:
      ValueError: for pictures of another size than 84 x 84, and an unknown kind.
    """
    if not pictures(space):
        return Flat(), nn.Identity(), int(np.prod(space.shape))
    check_size(space)
    stack, size = torso(kind, space.shape[0], batch_norm)
    return stack[0], stack[1:], size


class Greedy(GreedyActor):
    """The best action of a learner, as a `planners.interface.DiscretePrior`: what is evaluated.

    Arguments:
      learner: With `logits`, of which the greatest is the best action's.
      start: The first of the task's actions.
      epsilon: How often the action is random after all.
    """

    def __init__(self, learner: Any, start: int, epsilon: float = 0.0):
        super().__init__(learner)
        self._start, self._epsilon = start, epsilon

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions [B] for features [B, *O]."""
        logits = self.logits(features)
        return self._start + explore(logits.argmax(axis=1), self._epsilon, logits.shape[1], noise)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """The learner's logits [N, n] of features [N, *O]."""
        return self._learner.logits(features)


def explore(best: np.ndarray | int, epsilon: float, actions: int, noise: Any) -> np.ndarray:
    """Actions [B] from 0: the best ones, and with probability `epsilon` any at all."""
    uniform = noise.uniform(2)
    anything = (actions * uniform[:, 1]).astype(np.int64)
    return np.where(uniform[:, 0] < epsilon, anything, best)
