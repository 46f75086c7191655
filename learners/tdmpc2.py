"""The policy and the value of TD-MPC2, on the latents of a world model.

Hansen, Su and Wang (2024), "TD-MPC2: Scalable, Robust World Models for Continuous Control": an
ensemble of critics by discrete regression, and a stochastic policy that guides the planner.
"""

import copy
from typing import Annotated, Any

import numpy as np
import torch
from torch import nn

from learners import squashed
from learners.actor import GreedyActor
from learners.flops import Flops
from learners.normed import NormedMLP
from learners.optimisation import descend, frozen
from learners.stored import Stored
from learners.two_hot import SYMLOG, Bins
from suites.parameters import Count, Limit, NonNegative, Positive, Range, Share, checked

LOG_STD_MIN = -10.0
PAIR = 2  # critics, of which a target is the minimum and a value the mean


class TDMPC2(Stored):
    """Critics and policy of TD-MPC2, a `LatentLearner`. Actions are in units of the box.

    Arguments:
      spec: Facts of the task: `action_space`, a box, and `horizon` in control steps.
      seed: Of weights and the noise of updates.
      device: Where the networks are: cpu, cuda.
      num_envs: Environments of training.
      repeat: Control steps of a decision.
      size: Numbers of a latent.
      width: Units of each of two hidden layers.
      half: Whether matrices are multiplied in bfloat16.
      bins, bound: See `Bins`; of values.
      critics: In the ensemble, of which a random pair makes each target.
      dropout: Share of the units in a critic's first layer that rest in a gradient step.
      gradient_norm: Longer gradients of the policy are shortened to it.
      horizon: Transitions that the world model unrolls.
      rho: Weight of each transition relative to the one before.
      value_weight: Of the value's loss in the joint one.
      entropy_weight: Of the policy's entropy per action dimension, beside scaled values.
      discount: Per decision; None: by the episode's length of T decisions, 1 - 5 / T within
        [0.95, 0.995].
      tau: Of the moving averages: target critics, and the values' range.

    Attributes:
      joint: Parameters that the joint backward pass of the world model gives gradients to.
      updates: None of its own: the world model counts its gradient steps.
      The rest as in `Learner`.

    Raises:
      ValueError: for bad parameters.
    """

    STORED = ("networks", "critic_optimiser", "actor_optimiser", "generator", "counter")
    trains, has_value, on_policy, latent = True, True, False, True
    updates = 0

    @checked("learner")
    def __init__(
        self,
        spec: Any,
        seed: int,
        device: str,
        num_envs: Count,
        repeat: Count,
        size: Count,
        width: Count,
        half: bool,
        bins: Annotated[int, Range(2)],
        bound: Positive,
        critics: Annotated[int, Range(PAIR)],
        dropout: Annotated[float, Range(0.0, 1.0, below=True)],
        learning_rate: Positive,
        gradient_norm: Limit,
        horizon: Count,
        rho: Share,
        value_weight: NonNegative,
        entropy_weight: NonNegative,
        discount: Share | None,
        tau: Share,
    ):
        squashed.check_box(spec, "tdmpc2")
        self.box = squashed.ActionBox(spec.action_space)
        self.device, self.num_envs = torch.device(device), num_envs
        self.bins = Bins(
            bins, bound, SYMLOG, self.device, ("world_model.bins", "world_model.bound")
        )
        self.critics, self.gradient_norm, self.tau = critics, gradient_norm, tau
        self.rho = rho ** torch.arange(horizon + 1, device=self.device)
        self.value_weight = value_weight
        self.entropy_weight = entropy_weight * self.box.size
        self.discount = default_discount(spec.horizon / repeat) if discount is None else discount
        parts = self.networks = _Networks(
            size, self.box.size, width, bins, critics, dropout, half, seed
        ).to(self.device)
        self.joint = list(parts.critics.parameters())
        self._averaged = list(zip(parts.targets.parameters(), self.joint, strict=True))
        self.critic_optimiser = torch.optim.Adam(self.joint, learning_rate, fused=True)
        self.actor_optimiser = torch.optim.Adam(
            parts.actor.parameters(), learning_rate, eps=1e-5, fused=True
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.counter = Flops()

    @property
    def greedy(self) -> GreedyActor:
        """The policy's means, as a prior."""
        return GreedyActor(self)

    def mode(self, features: np.ndarray) -> np.ndarray:
        """Actions [B, A] at the policy's mean, before it is squashed, for latents [B, F]."""
        with torch.inference_mode(), self.counter.count("act", len(features)):
            mean, _ = self._policy(self._latents(features))
            return self.box.to_task(torch.tanh(mean).cpu().numpy())

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions [B, A] of the policy for latents [B, F]."""
        normal = torch.from_numpy(noise.normal(self.box.size)).float().to(self.device)
        with torch.inference_mode(), self.counter.count("act", len(features)):
            mean, log_std = self._policy(self._latents(features))
            return self.box.to_task(torch.tanh(mean + log_std.exp() * normal).cpu().numpy())

    def value(self, features: np.ndarray) -> np.ndarray:
        """The mean [N] of two critics' values of the policy's mean action, for latents [N, F].

        Always of the first two: a prior's value depends on nothing but the latents.
        """
        with torch.inference_mode(), self.counter.count("value", len(features)):
            latents = self._latents(features)
            action = torch.tanh(self._policy(latents)[0])
            values = self._values(self.networks.critics, latents, action, range(PAIR)).mean(dim=0)
        return values.cpu().numpy().astype(np.float64)

    def update(self, source: Any) -> dict[str, float]:
        """Nothing: the world model calls `shaping` and `follow`."""
        return {}

    def shaping(
        self, latents: torch.Tensor, encoded: torch.Tensor, batch: Any
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The value's loss, and its named terms.

        Arguments:
          latents: [T + 1, N, F], unrolled. encoded: [T, N, F], of the later observations.
          batch: `Sequences`, with actions in [-1, 1].
        """
        target = self.target(encoded, batch.reward, 1 - batch.terminated)
        pairs = torch.cat([latents[:-1], batch.action], dim=2)
        logits = [critic(pairs, self.generator) for critic in self.networks.critics]
        errors = self.bins.divergence(torch.stack(logits), target)  # [critics, T, N]
        loss = errors.mean(dim=(0, 2)) @ self.rho[:-1] / len(target)
        return self.value_weight * loss, {"value_loss": loss, "value": target.mean()}

    @torch.no_grad()
    def target(
        self, encoded: torch.Tensor, reward: torch.Tensor, continuation: torch.Tensor
    ) -> torch.Tensor:
        """One-step targets [T, N]: the lower of two random target critics."""
        mean, log_std = self._policy(encoded)
        action, _ = squashed.sample(mean, log_std, self._normal(mean))
        values = self._values(self.networks.targets, encoded, action, self._pair())
        return reward + self.discount * continuation * values.amin(dim=0)

    def follow(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """The critics' step, then the policy's, then the averages'; named terms."""
        self.critic_optimiser.step()
        self.critic_optimiser.zero_grad()
        loss, entropy = self.policy_loss(latents)
        descend(self.actor_optimiser, loss, self.gradient_norm)
        with torch.no_grad():
            for target, parameter in self._averaged:
                target.lerp_(parameter, self.tau)
        return {"policy_loss": loss, "entropy": entropy, "value_range": self.networks.range}

    def policy_loss(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The policy's loss on latents [T + 1, N, F], and its entropy.

        Values count relative to a moving average of their range, from the 5th to the 95th
        percentile, where that is more than 1.
        """
        parts = self.networks
        mean, log_std = self._policy(latents)
        action, log_probability = squashed.sample(mean, log_std, self._normal(mean))
        with frozen(parts.critics):
            values = self._values(parts.critics, latents, action, self._pair()).mean(dim=0)
        low, high = values[0].detach().quantile(parts.percentiles)
        parts.range.lerp_((high - low).clamp(min=1), self.tau)
        entropy = -log_probability
        gain = (values / parts.range + self.entropy_weight * entropy).mean(dim=1)
        return -(gain @ self.rho) / len(self.rho), entropy.detach().mean()

    def _policy(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return squashed.parameters(self.networks.actor(latents), LOG_STD_MIN)

    def _values(
        self, critics: nn.ModuleList, latents: torch.Tensor, actions: torch.Tensor, which: Any
    ) -> torch.Tensor:
        """[critics, ...] of latents [..., F] and actions [..., A]."""
        pairs = torch.cat([latents, actions], dim=-1)
        return self.bins.decode(torch.stack([critics[k](pairs) for k in which]))

    def _pair(self) -> list[int]:
        return torch.randperm(self.critics, generator=self.generator)[:PAIR].tolist()

    def _normal(self, like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=self.generator).to(self.device)

    def _latents(self, features: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(features, dtype=torch.float32).to(self.device)


def default_discount(decisions: float) -> float:
    """By the length of an episode: its value reaches over a fifth of it."""
    fifth = decisions / 5
    return min(max((fifth - 1) / fifth, 0.95), 0.995)


class _Networks(nn.Module):
    """All that is learned, and what goes with it into a checkpoint."""

    range: torch.Tensor
    percentiles: torch.Tensor

    def __init__(
        self,
        size: int,
        action: int,
        width: int,
        bins: int,
        critics: int,
        dropout: float,
        half: bool,
        seed: int,
    ):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.actor = NormedMLP(size, width, width, 2 * action, half=half)
            hidden = size + action, width, width
            self.critics = nn.ModuleList(
                NormedMLP(*hidden, bins, zero=True, dropout=dropout, half=half)
                for _ in range(critics)
            )
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        self.register_buffer("range", torch.ones(()))
        self.register_buffer("percentiles", torch.tensor([0.05, 0.95]), persistent=False)
