"""Distributions over actions whose parameters a network gives: what PPO's policies are made of.

Both have the same face: `outputs` of the network there must be, `sample` and `mode` that give the
task's actions, `encode` those again as tensors, and `log_probability` and `entropy` of tensors.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from learners.squashed import ActionBox


class Gaussian(nn.Module):
    """Normal actions in a box, each dimension for itself; what is outside, the task clips.

    Huang et al. (2022), "The 37 implementation details of proximal policy optimization", continuous
    details 1 to 3: the network gives the means, the deviations do not depend on the observation.
    """

    def __init__(self, space: Any):
        super().__init__()
        self.box = ActionBox(space)
        self.outputs = self.box.size
        self.log_std = nn.Parameter(torch.zeros(self.box.size))

    def sample(self, means: torch.Tensor, noise: Any) -> np.ndarray:
        """Actions [B, A] for means [B, A]."""
        deviations = self.log_std.detach().exp().cpu().numpy()
        drawn = means.cpu().numpy() + deviations * noise.normal(self.box.size)
        return self.box.to_task(drawn)

    def mode(self, means: torch.Tensor) -> np.ndarray:
        """The most probable actions [B, A]."""
        return self.box.to_task(means.cpu().numpy())

    def encode(self, actions: np.ndarray) -> torch.Tensor:
        """Actions [N, A] of the task, in units of the box and unclipped (continuous detail 5)."""
        return torch.from_numpy(self.box.to_unit(actions)).float()

    def log_probability(self, means: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Of encoded actions [N, A]: [N]."""
        deviates = (actions - means) * torch.exp(-self.log_std)
        constant = self.log_std.sum() + self.outputs * math.log(2 * math.pi) / 2
        return -0.5 * deviates.square().sum(dim=1) - constant

    def entropy(self, means: torch.Tensor) -> torch.Tensor:
        """Its mean over the observations: a number."""
        return self.log_std.sum() + self.outputs * (1 + math.log(2 * math.pi)) / 2


class Categorical(nn.Module):
    """Discrete actions, by logits."""

    def __init__(self, space: Any):
        super().__init__()
        self.start, self.outputs = int(space.start), int(space.n)

    def sample(self, logits: torch.Tensor, noise: Any) -> np.ndarray:
        """Actions [B] for logits [B, n]: the maximum after Gumbel noise."""
        return self.start + (logits.cpu().numpy() + noise.gumbel(self.outputs)).argmax(axis=1)

    def mode(self, logits: torch.Tensor) -> np.ndarray:
        """The most probable actions [B]."""
        return self.start + logits.argmax(dim=1).cpu().numpy()

    def encode(self, actions: np.ndarray) -> torch.Tensor:
        """Actions [N] of the task, counted from 0."""
        return torch.from_numpy(actions - self.start)

    def log_probability(self, logits: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Of encoded actions [N]: [N]."""
        return logits.log_softmax(dim=1).gather(1, actions[:, None])[:, 0]

    def entropy(self, logits: torch.Tensor) -> torch.Tensor:
        """Its mean over the observations: a number."""
        logarithms = logits.log_softmax(dim=1)
        return -(logarithms.exp() * logarithms).sum(dim=1).mean()
