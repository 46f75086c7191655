"""Stochastic policies and their values: the networks of PPO. "Detail" as in `learners.ppo`.

A policy is a distribution whose parameters a network gives. The two kinds have the same face: how
many `outputs` of the network there must be, `sample` and `mode` that give the task's actions,
`encode` those again as tensors, and `log_probability` and `entropy` of tensors.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from learners.convolutions import torso
from learners.networks import Linear, RunningNorm
from learners.squashed import ActionBox

BOUND = 10.0  # of normalised observations, continuous detail 7


class Gaussian(nn.Module):
    """Normal actions in a box, each dimension for itself; samples outside are clipped by training.

    The network gives the means, the deviations do not depend on the observation (continuous details
    1 to 3).
    """

    def __init__(self, space: Any):
        super().__init__()
        self.space, self.box = space, ActionBox(space)
        self.outputs = self.box.size
        self.log_std = nn.Parameter(torch.zeros(self.box.size))

    def sample(self, means: torch.Tensor, noise: Any) -> np.ndarray:
        """Actions [B, A] for means [B, A]."""
        deviations = self.log_std.detach().exp().cpu().numpy()
        drawn = means.cpu().numpy() + deviations * noise.normal(self.box.size)
        return self.box.to_task(drawn)

    def mode(self, means: torch.Tensor) -> np.ndarray:
        """The most probable actions [B, A] within the box."""
        return np.clip(self.box.to_task(means.cpu().numpy()), self.space.low, self.space.high)

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


class ActorCritic(nn.Module):
    """All that is learned, and what goes with it into a checkpoint.

    Policy and value share what sees (Atari detail 8), and nothing else (detail 13, continuous
    detail 4): with vectors, nothing at all.
    """

    def __init__(self, observation_space: Any, action_space: Any, settings: Any):
        super().__init__()
        discrete = hasattr(action_space, "n")
        self.policy = Categorical(action_space) if discrete else Gaussian(action_space)
        self.returns = RunningNorm(1)
        width, depth = settings.width, settings.depth
        if settings.torso is None:
            size = int(np.prod(observation_space.shape))
            self.norm, self.torso = RunningNorm(size), nn.Identity()
        else:
            seen, size = torso(settings.torso, observation_space.shape[0])
            self.norm, self.torso = None, nn.Sequential(seen, Linear(size, width), nn.ReLU())
            _orthogonal(self.torso, np.sqrt(2))
            size = width
        self.actor = _perceptron(size, width, depth, self.policy.outputs, 0.01)
        self.critic = _perceptron(size, width, depth, 1, 1.0)

    def observe(self, observations: torch.Tensor) -> torch.Tensor:
        """Observations [N, *O] as `forward` and `act` take them: vectors [N, O], bytes of pixels.

        Continuous details 6 and 7; pixels are scaled in the torso (Atari detail 9).
        """
        if self.norm is None:
            return observations
        return self.norm(observations.float().flatten(1)).clamp(-BOUND, BOUND)

    def take_in(self, observations: np.ndarray) -> None:
        """Normalise from now on with these observations [T, B, *O] as well."""
        if self.norm is not None:
            self.norm.observe(torch.from_numpy(observations).flatten(0, 1).flatten(1))

    def act(self, observations: torch.Tensor) -> torch.Tensor:
        """The policy's parameters [N, outputs]."""
        return self.actor(self.torso(observations))

    def forward(self, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The policy's parameters [N, outputs], and values [N]."""
        seen = self.torso(observations)
        return self.actor(seen), self.critic(seen)[:, 0]


def _perceptron(size: int, width: int, depth: int, out: int, gain: float) -> nn.Sequential:
    """`depth` hidden layers of `width` hyperbolic tangents, weights of this gain in the last."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [Linear(size, width), nn.Tanh()]
        size = width
    hidden = _orthogonal(nn.Sequential(*layers), np.sqrt(2))
    return hidden.append(_orthogonal(nn.Sequential(Linear(size, out)), gain))


def _orthogonal(layers: nn.Sequential, gain: float) -> nn.Sequential:
    """The same with orthogonal weights and biases 0 (detail 2)."""
    for layer in layers.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            assert layer.bias is not None
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)
    return layers
