"""MuZero's policy, which learns from what searches found, and its value, which learns returns.

Schrittwieser et al. (2020), appendix G; the policy learns from the improved policy of a Gumbel
search (Danihelka et al. 2022, section 4), which with continuous actions is one over a sample of
them (Hubert et al. 2021, "Learning and Planning in Complex Action Spaces").
"""

from typing import Annotated, Any

import numpy as np
import torch
from torch import nn

from learners.actor import GreedyActor
from learners.coded import ActionCode
from learners.discrete import Greedy
from learners.flops import Flops
from learners.residual import head, latent_shape
from learners.sequences import Sequences
from learners.stored import Stored
from learners.two_hot import ROOT, Bins, divergence
from suites.parameters import Count, Discount, Limit, NonNegative, Positive, Range, Share, checked


class MuZeroHeads(Stored):
    """A policy and a value of latents; a `learners.interface.LatentLearner`.

    Arguments:
      spec: Facts of the task: `name`, `observation_space` and `action_space`.
      seed: Of weights.
      device: Where the networks are: cpu, cuda.
      num_envs: Environments of training.
      channels, width: Of the world model's latents of pictures, and of vectors.
      hidden: Units of the hidden layers.
      bins, limit: Of the distributions of values, see `Bins`.
      n_step: Rewards of a return, before a value.
      value_weight: Of the value's loss beside the policy's.
      reanalysis: Stored decisions that are planned again, per decision, see `suites.reanalysis`.
      grid: Points of each dimension of continuous actions, see `ActionCode`.
      exploration: With which probability a search's actions are drawn from the whole grid.

    Attributes:
      ahead: Decisions after the unrolled ones that targets look at.
      joint: Parameters that the joint backward pass of the world model gives gradients to.
      updates: None of its own: joint gradient steps are the world model's.

    Raises:
      ValueError: for bad parameters.
    """

    STORED = ("networks", "optimiser", "counter")
    trains, has_value, on_policy, latent = True, True, False, True
    needs_policy = True
    updates = 0

    @checked("learner")
    def __init__(
        self,
        spec: Any,
        seed: int,
        device: str,
        num_envs: Count,
        channels: Count | None,
        width: Count | None,
        hidden: Count,
        bins: Annotated[int, Range(2)],
        limit: Positive,
        discount: Discount,
        n_step: Count,
        value_weight: NonNegative,
        reanalysis: NonNegative,
        learning_rate: Positive,
        weight_decay: NonNegative,
        gradient_norm: Limit,
        grid: Annotated[int, Range(2)] | None,
        exploration: Share,
    ):
        if channels is None or width is None or grid is None:
            raise ValueError("learner=muzero reads latents: choose world_model=muzero with it")
        self.code, self.exploration = ActionCode(spec.action_space, grid), exploration
        self.num_envs, self.device = num_envs, torch.device(device)
        self.discount, self.n_step, self.ahead = discount, n_step, n_step
        self.value_weight, self.reanalysis = value_weight, reanalysis
        self.gradient_norm = gradient_norm
        self.values = Bins(bins, limit, ROOT, self.device, ("learner.bins", "learner.limit"))
        shape = latent_shape(spec.observation_space, channels, width)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.networks = nn.ModuleDict(
                {"policy": head(shape, hidden, self.code.size), "value": head(shape, hidden, bins)}
            )
        self.networks.to(self.device).to(memory_format=torch.channels_last)  # pyright: ignore
        self.joint = list(self.networks.parameters())
        self.optimiser = torch.optim.AdamW(
            self.joint, learning_rate, weight_decay=weight_decay, fused=True
        )
        self.counter = Flops()

    @property
    def greedy(self) -> "Greedy | GreedyProposer":
        """The likeliest action, as a prior."""
        return Greedy(self, self.code.start) if self.code.discrete else GreedyProposer(self)

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions [B] or [B, A] of the policy for latents [B, S]."""
        noisy = self.code.grouped(self.logits(features) + noise.gumbel(self.code.size))
        return self.code.decode(noisy.argmax(axis=-1))

    def mode(self, features: np.ndarray) -> np.ndarray:
        """Its likeliest actions [B] or [B, A]."""
        return self.code.decode(self.code.grouped(self.logits(features)).argmax(axis=-1))

    def propose(
        self, features: np.ndarray, number: int, noise: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Actions [N, K, A] and log(pi / beta) [N, K]: a `planners.interface.ProposingPrior`."""
        drawn = noise.uniform(number, self.code.groups)
        return self.code.propose(self.logits(features), self.exploration, drawn)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Of the policy, [N, n] for latents [N, S]; continuous actions: of all grids in a row."""
        return self._ask("policy", features).cpu().numpy().astype(np.float64)

    def value(self, features: np.ndarray) -> np.ndarray:
        """Values [N] of latents [N, S]."""
        told = self.values.decode(self._ask("value", features))
        return told.cpu().numpy().astype(np.float64)

    def _ask(self, name: str, features: np.ndarray) -> torch.Tensor:
        with torch.no_grad(), self.counter.count(name, len(features)):
            return self.networks[name](torch.from_numpy(features).to(self.device))

    def shaping(
        self, latents: torch.Tensor, encoded: torch.Tensor, batch: Sequences
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The losses of policy and value in unrolled latents [K + 1, N, S].

        The first of the K + 1 counts as much as all that follow, as in MuZero.

        Arguments:
          encoded: [T, N, S] of all later observations, which values of today are of.
          batch: T = K + `ahead` decisions, of which those without a policy teach none.
        """
        steps, rows = len(latents), latents.flatten(0, 1)
        weight = torch.full((steps, 1), 1 / max(steps - 1, 1), device=self.device)
        weight[0] = 1.0
        weight = (weight * batch.valid[:steps]).flatten()
        policy = self.code.grouped(batch.policy[:steps].flatten(0, 1))
        with torch.no_grad():
            seen = torch.cat([latents[:1], encoded])
            worth = self.values.decode(self.networks["value"](seen.flatten(0, 1)))
            value = worth.unflatten(0, seen.shape[:2])
        aim = returns(batch, value, self.n_step, self.discount).flatten()
        told = self.code.grouped(self.networks["policy"](rows))
        policy_loss = divergence(told, policy).sum(dim=-1)
        value_loss = self.values.divergence(self.networks["value"](rows), aim)
        named = {
            "policy_loss": (weight * policy_loss).sum() / latents.shape[1],
            "value_loss": (weight * value_loss).sum() / latents.shape[1],
        }
        return named["policy_loss"] + self.value_weight * named["value_loss"], named

    def follow(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Its step along the gradient of the joint loss."""
        nn.utils.clip_grad_norm_(self.joint, self.gradient_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return {}

    def update(self, source: Any) -> dict[str, float]:
        """Nothing: it learns in the world model's gradient steps."""
        return {}


class GreedyProposer(GreedyActor):
    """The likeliest actions; to a search it proposes others too."""

    def propose(
        self, features: np.ndarray, number: int, noise: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """As the learner does."""
        return self._learner.propose(features, number, noise)


def returns(batch: Sequences, value: torch.Tensor, n: int, discount: float) -> torch.Tensor:
    """The return [T + 1 - n, N] of n rewards, and then the value of what was observed there.

    Nothing follows a termination; where an episode was cut off, the value of its last observation.

    Arguments:
      value: [T + 1, N], of the observations.
    """
    made, goes_on = batch.valid > 0, 1 - batch.terminated
    found = value
    for _ in range(n):
        longer = batch.reward + discount * goes_on * found[1:]
        found = torch.cat([torch.where(made, longer, value[:-1]), value[-1:]])
    return found[: len(found) - n]
