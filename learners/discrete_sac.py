"""Soft actor-critic with discrete actions.

Christodoulou (2019), "Soft Actor-Critic for Discrete Action Settings": as there are few actions,
expectations over the policy are sums, and nothing is sampled in an update.
"""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from learners.discrete import Greedy, actions_of, encoder, explore
from learners.flops import Flops
from learners.frame_replay import Batch, FrameReplay
from learners.networks import mlp
from learners.optimisation import descend, soft_optimisers
from learners.pace import Pace
from learners.stored import STEPS, Stored
from suites.parameters import Count, Finite, Limit, Natural, NonNegative, Positive, Share, checked

LOSSES = ("critic_loss", "actor_loss", "temperature_loss")
METRICS = (*LOSSES, "value", "entropy", "temperature")


class DiscreteSAC(Stored):
    """Soft actor-critic with discrete actions.

    Of pictures, the critics' convolutions are the actor's too, and learn from the critics' loss
    alone.

    Arguments:
      spec: Facts of the task: `name`, `observation_space` and `action_space`.
      seed: Of weights and batches.
      device: Where the networks are: cpu, cuda.
      num_envs: Environments of training.
      torso: Of pictures: `nature` or `efficient`.
      actor_width, actor_depth, critic_width, critic_depth: Units of a layer, and hidden layers.
      capacity: Frames that the replay memory holds.
      ratio: Gradient steps per decision, after the first `warmup` decisions, which are uniformly
        random.
      target_entropy: Of the policy, as a share of the uniform policy's.
      twin: Two critics, of which the lower one counts; false: one.
      reward_clip: Rewards are clipped to [-clip, clip]; None: they are not. reward_scale: Then they
        are multiplied by it.

    Raises:
      ValueError: for bad parameters, and actions that are not discrete.
    """

    STORED = ("networks", "actor_optimiser", "critic_optimiser", *STEPS)
    trains, has_value, on_policy = True, True, False

    @checked("learner")
    def __init__(
        self,
        spec: Any,
        seed: int,
        device: str,
        num_envs: Count,
        torso: str,
        actor_width: Count,
        actor_depth: Natural,
        critic_width: Count,
        critic_depth: Natural,
        learning_rate: Positive,
        weight_decay: NonNegative,
        batch: Count,
        capacity: Count,
        warmup: Natural,
        ratio: NonNegative,
        discount: Share,
        tau: Share,
        temperature: Positive,
        target_entropy: Finite,
        twin: bool,
        reward_scale: Positive,
        reward_clip: Limit | None = None,
    ):
        self.actions, self.start = actions_of(spec)
        self.space = spec.observation_space
        self.device, self.num_envs = torch.device(device), num_envs
        self.batch, self.capacity, self.pace = batch, capacity, Pace(ratio, warmup)
        self.discount, self.tau = discount, tau
        self.reward_clip, self.reward_scale = reward_clip, reward_scale
        self.target_entropy = target_entropy * math.log(self.actions)
        self.networks = _Networks(
            self.space,
            self.actions,
            seed,
            torso,
            (actor_width, actor_depth),
            (critic_width, critic_depth),
            2 if twin else 1,
            temperature,
        ).to(self.device)
        # With channels last, convolutions take a fifth less time on a CPU.
        self.networks.to(memory_format=torch.channels_last)  # pyright: ignore
        self.generator = torch.Generator().manual_seed(seed)
        parts = self.networks
        self.actor_optimiser, self.critic_optimiser = soft_optimisers(
            parts, learning_rate, weight_decay
        )
        pairs = zip(parts.target.parameters(), parts.critic.parameters(), strict=True)
        self._averaged = list(pairs)
        self.counter = Flops()
        self.updates = 0

    @property
    def greedy(self) -> Greedy:
        """The likeliest action, as a prior."""
        return Greedy(self, self.start)

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions [B] of the policy for features [B, *O]; uniform ones while it warms up."""
        if self.pace.warming:
            return self.start + explore(0, 1.0, self.actions, noise)
        return self.start + (self.logits(features) + noise.gumbel(self.actions)).argmax(axis=1)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Of the policy, [N, n] for features [N, *O]."""
        with torch.no_grad(), self.counter.count("act", len(features)):
            logits = self.networks.actor(self._see(features))
        return logits.cpu().numpy().astype(np.float64)

    def value(self, features: np.ndarray) -> np.ndarray:
        """The critics' value [N] of the policy for features [N, *O], without its entropy."""
        with torch.no_grad(), self.counter.count("value", len(features)):
            seen = self._see(features)
            lower = self.networks.critic.values(seen).amin(dim=0)
            value = (self.networks.actor(seen).softmax(dim=1) * lower).sum(dim=1)
        return value.cpu().numpy().astype(np.float64) / self.reward_scale

    def _see(self, features: np.ndarray) -> torch.Tensor:
        """What actor and critics make of features."""
        observations = torch.as_tensor(features).to(self.device)
        return self.networks.critic.encoder(self.networks.prepare(observations))

    def make_source(self, num_envs: int, folder: Path) -> FrameReplay:
        """An empty replay memory."""
        return FrameReplay(
            self.capacity,
            self.space,
            self.start,
            num_envs,
            1,
            self.discount,
            folder,
            reward_clip=self.reward_clip,
        )

    def update(self, source: FrameReplay) -> dict[str, float]:
        """The gradient steps that are due; means of `METRICS`, {} if none was."""
        due = self.pace.due(source)
        if due <= 0:
            return {}
        total = torch.zeros(len(METRICS), device=self.device)
        for _ in range(due):
            drawn = source.sample(self.batch, self.generator, self.device)
            with self.counter.count("update"):
                total += self._step(drawn)
            self.updates += 1
        return dict(zip(METRICS, (total / due).tolist(), strict=True))

    def _step(self, drawn: Batch) -> torch.Tensor:
        """One gradient step of critics, actor and temperature; [len(METRICS)]."""
        parts = self.networks
        now, following = parts.prepare(drawn.observations).chunk(2)
        temperature = parts.log_temperature.detach().exp()
        rows = torch.arange(self.batch, device=self.device)

        with torch.no_grad():
            log_policy = parts.actor(parts.critic.encoder(following)).log_softmax(dim=1)
            value = parts.target(following).amin(dim=0) - temperature * log_policy
            bootstrap = (log_policy.exp() * value).sum(dim=1)
            aim = self.reward_scale * drawn.reward + drawn.discount * bootstrap
        seen = parts.critic.encoder(now)
        values = parts.critic.values(seen)
        critic_loss = ((values[:, rows, drawn.action] - aim) ** 2).mean(dim=1).sum()
        descend(self.critic_optimiser, critic_loss)

        log_policy = parts.actor(seen.detach()).log_softmax(dim=1)
        policy, lower = log_policy.exp(), values.detach().amin(dim=0)
        actor_loss = (policy * (temperature * log_policy - lower)).sum(dim=1).mean()
        entropy = -(policy * log_policy).sum(dim=1).detach().mean()
        temperature_loss = parts.log_temperature.exp() * (entropy - self.target_entropy)
        descend(self.actor_optimiser, actor_loss + temperature_loss)

        with torch.no_grad():
            for target, parameter in self._averaged:
                target.lerp_(parameter, self.tau)
        value = (policy.detach() * lower).sum(dim=1).mean()
        metrics = (critic_loss, actor_loss, temperature_loss, value, entropy, temperature)
        return torch.stack([metric.detach() for metric in metrics])


class _Critic(nn.Module):
    """Values of all actions [critics, N, n] of prepared observations."""

    def __init__(self, torso: nn.Module, values: nn.Module):
        super().__init__()
        self.encoder, self.values = torso, values

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.values(self.encoder(observations))


class _Networks(nn.Module):
    """All that is learned, and what goes with it into a checkpoint."""

    def __init__(
        self,
        space: Any,
        actions: int,
        seed: int,
        torso: str,
        actor: tuple[int, int],
        critic: tuple[int, int],
        critics: int,
        temperature: float,
    ):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.prepare, stack, size = encoder(space, torso)
            self.actor = mlp(size, *actor, actions)
            self.critic = _Critic(stack, mlp(size, *critic, actions, critics))
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
