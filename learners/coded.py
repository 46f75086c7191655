"""Actions as rows of numbers, of which a policy is the mean.

Discrete ones are one-hot. Each dimension of a continuous one has a grid of points, at which a
policy has probabilities of its own (Tang and Agrawal 2020, "Discretizing Continuous Action Space
for On-Policy Optimization"). So a policy may have several modes, needs no bounds on a deviation,
and what a search found over any sample of actions is kept in few numbers, with nothing lost that
the policy could learn.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from learners.interface import Transitions
from learners.sequences import SequenceReplay
from learners.squashed import ActionBox


class ActionCode:
    """How actions of a space become numbers.

    Arguments:
      space: Discrete, or a box of vectors.
      grid: Points of each dimension of a box.

    Attributes:
      groups, points: Distributions that make a policy, and the points of each: the dimensions and
        their grids; or 1, and the actions.
      size: Of a code.

    Raises:
      ValueError: for fewer than two points.
    """

    def __init__(self, space: Any, grid: int):
        if grid < 2:
            raise ValueError(f"world_model.grid is {grid}: give a whole number from 2 on")
        self.discrete = hasattr(space, "n")
        if self.discrete:
            self.groups, self.points, self.start = 1, int(space.n), int(space.start)
        else:
            self.box = ActionBox(space)
            self.groups, self.points, self.start = self.box.size, grid, 0
        self.size = self.groups * self.points

    def __call__(self, actions: torch.Tensor) -> torch.Tensor:
        """Codes [..., size] of actions: [...] counted from 0, or the task's [..., A].

        A continuous one lies between two points of each grid: what it has of either is linear, so
        that an action on the grid is one-hot.
        """
        if self.discrete:
            return functional.one_hot(actions, self.points)
        unit = (actions - actions.new_tensor(self.box.middle)) / actions.new_tensor(self.box.half)
        place = (unit.clamp(-1, 1) + 1) * ((self.points - 1) / 2)
        points = torch.arange(self.points, device=actions.device)
        return (1 - (place.unsqueeze(-1) - points).abs()).clamp(min=0).flatten(-2)

    def mean(self, policy: np.ndarray, actions: np.ndarray | None) -> np.ndarray:
        """The mean code [M, size] of a policy [M, n] over actions [M, n, A]; None: over all."""
        if actions is None:
            return policy
        return np.einsum("mn,mns->ms", policy, self(torch.from_numpy(actions)).numpy())

    def grouped(self, codes: Any) -> Any:
        """Codes or logits [..., size] as [..., groups, points]."""
        return codes.reshape(*codes.shape[:-1], self.groups, self.points)

    def decode(self, chosen: np.ndarray) -> np.ndarray:
        """The task's actions [...] or [..., A], at points [..., groups] of each group."""
        if self.discrete:
            return self.start + chosen[..., 0]
        return self.box.to_task(2 * chosen / (self.points - 1) - 1)

    def propose(
        self, logits: np.ndarray, exploration: float, drawn: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions [N, K] or [N, K, A], and how much likelier a policy has each than it was drawn.

        Arguments:
          logits: Of the policy, [N, size].
          exploration: Each dimension of an action is drawn from the policy, and with this
            probability from its whole grid.
          drawn: Uniform numbers [N, K, groups].

        Returns:
          The actions, and log(pi / beta) [N, K] of each (Hubert et al. 2021).
        """
        grouped = self.grouped(logits)
        policy = np.exp(grouped - grouped.max(axis=-1, keepdims=True))
        policy /= policy.sum(axis=-1, keepdims=True)
        drawing = (1 - exploration) * policy + exploration / self.points
        steps = drawing.cumsum(axis=-1)[:, None, :, :-1]
        chosen = (steps <= drawn[..., None]).sum(axis=-1)  # [N, K, groups]
        both = np.maximum([policy, drawing], np.finfo(float).tiny)
        ratio = np.log(both[0] / both[1])[:, None]
        ratio = np.take_along_axis(ratio, chosen[..., None], axis=-1)
        return self.decode(chosen), ratio.sum(axis=(-2, -1))


class Searched(SequenceReplay):
    """Sequences with the policies that searches found, by their mean codes."""

    def __init__(self, capacity: int, spec: Any, num_envs: int, folder: Path, code: ActionCode):
        super().__init__(capacity, spec, num_envs, folder, code.size)
        self._code = code

    def add(self, transitions: Transitions) -> None:
        """Take in a decision of each environment."""
        if transitions.policy is not None:
            policy = self._code.mean(transitions.policy, transitions.candidates)
            transitions = replace(transitions, policy=policy)
        super().add(transitions)

    def overwrite(
        self, places: np.ndarray, policy: np.ndarray, candidates: np.ndarray | None = None
    ) -> None:
        """Keep other policies [M, n], over candidates [M, n, A], at places [M]."""
        super().overwrite(places, self._code.mean(policy, candidates))
