"""Soft actor-critic with continuous actions.

Haarnoja et al. (2018), "Soft Actor-Critic Algorithms and Applications": twin critics, and a
temperature that holds the policy's entropy at a target. With `network=simba` the networks of Lee et
al. (2024), "SimBa: Simplicity Bias for Scaling Up Parameters in Deep Reinforcement Learning".
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from learners import squashed
from learners.actor import GreedyActor
from learners.flops import Flops
from learners.networks import RunningNorm, network
from learners.optimisation import descend, frozen, soft_optimisers
from learners.pace import Pace
from learners.replay import Batch, Replay
from learners.stored import STEPS, Stored
from suites.parameters import Count, Finite, Natural, NonNegative, Positive, Share, checked

LOSSES = ("critic_loss", "actor_loss", "temperature_loss")
METRICS = (*LOSSES, "value", "entropy", "temperature")


class SAC(Stored):
    """Soft actor-critic.

    Arguments:
      spec: Facts of the task: `observation_space` and `action_space`, boxes.
      seed: Of weights, batches and the noise of updates.
      device: Where the networks are: cpu, cuda.
      num_envs: Environments of training.
      network: `mlp`, or `simba` behind normalised observations.
      actor_width, actor_depth, critic_width, critic_depth: Units of a layer, and hidden layers;
        of SimBa: blocks.
      ratio: Gradient steps per decision, after the first `warmup` decisions, which are uniformly
        random.
      target_entropy: Of the policy per action dimension.
      twin: Two critics, of which the lower one counts; false: one.
      reward_scale: Rewards are multiplied by it.

    Raises:
      ValueError: for bad parameters.
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
        network: str,
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
    ):
        squashed.check_box(spec, "simba" if network == "simba" else "sac")
        self.box = squashed.ActionBox(spec.action_space)
        self.size = int(np.prod(spec.observation_space.shape))
        self.device, self.num_envs = torch.device(device), num_envs
        self.batch, self.capacity, self.pace = batch, capacity, Pace(ratio, warmup)
        self.discount, self.tau, self.reward_scale = discount, tau, reward_scale
        self.target_entropy = target_entropy * self.box.size
        self.networks = _Networks(
            self.size,
            self.box.size,
            seed,
            network,
            (actor_width, actor_depth),
            (critic_width, critic_depth),
            2 if twin else 1,
            temperature,
        ).to(self.device)
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
    def greedy(self) -> GreedyActor:
        """The policy's means, as a prior."""
        return GreedyActor(self)

    def mode(self, features: np.ndarray) -> np.ndarray:
        """Actions [B, A] at the policy's mean, before it is squashed, for features [B, O]."""
        with torch.no_grad(), self.counter.count("act", len(features)):
            mean, _ = self._policy(self._observations(features))
        return self.box.to_task(torch.tanh(mean).cpu().numpy())

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions [B, A] of the policy for features [B, O]; uniform ones while it warms up."""
        if self.pace.warming:
            return self.box.to_task(2 * noise.uniform(self.box.size) - 1)
        normal = torch.from_numpy(noise.normal(self.box.size)).float().to(self.device)
        with torch.no_grad(), self.counter.count("act", len(features)):
            mean, log_std = self._policy(self._observations(features))
            actions = torch.tanh(mean + log_std.exp() * normal)
        return self.box.to_task(actions.cpu().numpy())

    def value(self, features: np.ndarray) -> np.ndarray:
        """The critics' value [N] of the policy's mean action for features [N, O]."""
        with torch.no_grad(), self.counter.count("value", len(features)):
            observations = self._observations(features)
            mean, _ = self._policy(observations)
            values = self._values(self.networks.critic, observations, torch.tanh(mean))
        return values.amin(dim=0).cpu().numpy().astype(np.float64) / self.reward_scale

    def make_source(self, num_envs: int, folder: Path) -> Replay:
        """An empty replay memory."""
        return Replay(self.capacity, self.size, self.box, folder)

    def update(self, source: Replay) -> dict[str, float]:
        """The gradient steps that are due; means of `METRICS`, {} if none was."""
        if isinstance(self.networks.norm, RunningNorm) and source.added > self.pace.seen:
            self.networks.norm.observe(source.since(self.pace.seen).to(self.device))
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
        """One gradient step of critics, actor and temperature, in this order; [len(METRICS)]."""
        parts = self.networks
        observations, following = parts.norm(drawn.observation), parts.norm(drawn.next_observation)
        temperature = parts.log_temperature.detach().exp()
        normal = torch.randn(2, self.batch, self.box.size, generator=self.generator)
        normal = normal.to(self.device)

        with torch.no_grad():
            action, log_probability = squashed.sample(*self._policy(following), normal[0])
            value = self._values(parts.target, following, action).amin(dim=0)
            bootstrap = drawn.continuation * (value - temperature * log_probability)
            target = self.reward_scale * drawn.reward + self.discount * bootstrap
        values = self._values(parts.critic, observations, drawn.action)
        critic_loss = (
            functional.mse_loss(values, target.expand_as(values), reduction="sum") / self.batch
        )
        descend(self.critic_optimiser, critic_loss)

        action, log_probability = squashed.sample(*self._policy(observations), normal[1])
        with frozen(parts.critic):
            value = self._values(parts.critic, observations, action).amin(dim=0)
        actor_loss = (temperature * log_probability - value).mean()
        entropy = -log_probability.detach().mean()
        temperature_loss = parts.log_temperature.exp() * (entropy - self.target_entropy)
        descend(self.actor_optimiser, actor_loss + temperature_loss)

        with torch.no_grad():
            for target, parameter in self._averaged:
                target.lerp_(parameter, self.tau)
        metrics = (critic_loss, actor_loss, temperature_loss, value.mean(), entropy, temperature)
        return torch.stack([metric.detach() for metric in metrics])

    def _policy(self, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return squashed.parameters(self.networks.actor(observations))

    def _values(
        self, critic: nn.Module, observations: torch.Tensor, actions: torch.Tensor
    ) -> torch.Tensor:
        """[critics, N]."""
        return critic(torch.cat([observations, actions], dim=1))[..., 0]

    def _observations(self, features: np.ndarray) -> torch.Tensor:
        flat = torch.as_tensor(features, dtype=torch.float32).reshape(len(features), -1)
        return self.networks.norm(flat.to(self.device))


class _Networks(nn.Module):
    """All that is learned, and what goes with it into a checkpoint."""

    def __init__(
        self,
        observation: int,
        action: int,
        seed: int,
        kind: str,
        actor: tuple[int, int],
        critic: tuple[int, int],
        critics: int,
        temperature: float,
    ):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.norm = RunningNorm(observation) if kind == "simba" else nn.Identity()
            self.actor = network(kind, observation, *actor, 2 * action)
            self.critic = network(kind, observation + action, *critic, 1, critics)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.log_temperature = nn.Parameter(torch.tensor(float(np.log(temperature))))
