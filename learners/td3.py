"""Twin delayed deep deterministic policy gradient.

Fujimoto, van Hoof and Meger (2018), "Addressing Function Approximation Error in Actor-Critic
Methods": twin critics, smoothed target actions, and a policy that is updated less often.
"""

import copy
import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from learners.actor import GreedyActor
from learners.flops import Flops
from learners.networks import mlp
from learners.optimisation import descend, frozen
from learners.pace import Pace
from learners.replay import Batch, Replay
from learners.squashed import ActionBox, check_box
from learners.stored import STEPS, Stored
from suites.parameters import Count, Natural, NonNegative, Positive, Range, Share, checked

METRICS = ("critic_loss", "actor_loss", "value")


class TD3(Stored):
    """TD3, algorithm 1 of the paper. Noise is in units in which actions are from -1 to 1.

    Arguments:
      spec: Facts of the task: `observation_space` and `action_space`, boxes.
      seed: Of weights, batches and the noise of updates.
      device: Where the networks are: cpu, cuda.
      num_envs: Environments of training.
      width, depth: Units of a hidden layer, and hidden layers.
      ratio: Gradient steps per decision, after the first `warmup` decisions, which are uniformly
        random.
      exploration: Standard deviation of the noise of actions that are executed.
      smoothing, smoothing_clip: Standard deviation of the noise of target actions, and its bound.
      delay: Gradient steps of the critics for each one of the policy.
      reward_scale: Rewards are multiplied by it.

    Raises:
      ValueError: for bad parameters.
    """

    STORED = ("networks", "targets", "actor_optimiser", "critic_optimiser", *STEPS)
    trains, has_value, on_policy = True, True, False

    @checked("learner")
    def __init__(
        self,
        spec: Any,
        seed: int,
        device: str,
        num_envs: Count,
        width: Count,
        depth: Natural,
        learning_rate: Positive,
        batch: Count,
        capacity: Count,
        warmup: Natural,
        ratio: NonNegative,
        discount: Share,
        tau: Share,
        exploration: NonNegative,
        smoothing: NonNegative,
        smoothing_clip: Annotated[float, Range(0, math.inf)],
        delay: Count,
        reward_scale: Positive,
    ):
        check_box(spec, "td3")
        self.box = ActionBox(spec.action_space)
        self.size = int(np.prod(spec.observation_space.shape))
        self.device, self.num_envs = torch.device(device), num_envs
        self.batch, self.capacity, self.pace = batch, capacity, Pace(ratio, warmup)
        self.discount, self.tau, self.reward_scale = discount, tau, reward_scale
        self.exploration, self.delay = exploration, delay
        self.smoothing, self.smoothing_clip = smoothing, smoothing_clip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            actor = nn.Sequential(mlp(self.size, width, depth, self.box.size), nn.Tanh())
            critic = mlp(self.size + self.box.size, width, depth, 1, members=2)
        self.networks = nn.ModuleDict({"actor": actor, "critic": critic})
        self.networks.to(self.device)
        self.targets = copy.deepcopy(self.networks).requires_grad_(False)
        self.generator = torch.Generator().manual_seed(seed)
        self.actor_optimiser, self.critic_optimiser = (
            torch.optim.Adam(part.parameters(), learning_rate, fused=True)
            for part in (self.networks["actor"], self.networks["critic"])
        )
        pairs = zip(self.targets.parameters(), self.networks.parameters(), strict=True)
        self._averaged = list(pairs)
        self.counter = Flops()
        self.updates = 0

    @property
    def greedy(self) -> GreedyActor:
        """The policy without noise, as a prior."""
        return GreedyActor(self)

    def mode(self, features: np.ndarray) -> np.ndarray:
        """The policy's actions [B, A], of the task, for features [B, O]."""
        return self.box.to_task(self._act(features))

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions [B, A] with noise for features [B, O]; uniform ones while it warms up."""
        if self.pace.warming:
            return self.box.to_task(2 * noise.uniform(self.box.size) - 1)
        noisy = self._act(features) + self.exploration * noise.normal(self.box.size)
        return self.box.to_task(np.clip(noisy, -1, 1))

    def _act(self, features: np.ndarray) -> np.ndarray:
        with torch.no_grad(), self.counter.count("act", len(features)):
            return self.networks["actor"](self._observations(features)).cpu().numpy()

    def value(self, features: np.ndarray) -> np.ndarray:
        """The critics' value [N] of the policy's action for features [N, O]."""
        with torch.no_grad(), self.counter.count("value", len(features)):
            observations = self._observations(features)
            actions = self.networks["actor"](observations)
            values = _values(self.networks["critic"], observations, actions).amin(dim=0)
        return values.cpu().numpy().astype(np.float64) / self.reward_scale

    def make_source(self, num_envs: int, folder: Path) -> Replay:
        """An empty replay memory."""
        return Replay(self.capacity, self.size, self.box, folder)

    def update(self, source: Replay) -> dict[str, float]:
        """The gradient steps that are due; means of `METRICS`, {} if none was."""
        due = self.pace.due(source)
        said: list[torch.Tensor] = []
        for _ in range(due):
            drawn = source.sample(self.batch, self.generator, self.device)
            policy_too = (self.updates + 1) % self.delay == 0
            with self.counter.count("update", policy_too):
                critic_loss, value = self._improve_critics(drawn)
                actor_loss = (
                    self._improve_policy(drawn) if policy_too else critic_loss.new_zeros(())
                )
            said.append(torch.stack([critic_loss, actor_loss * self.delay, value]))
            self.updates += 1
        if not said:
            return {}
        return dict(zip(METRICS, torch.stack(said).mean(dim=0).tolist(), strict=True))

    def _improve_critics(self, drawn: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            noise = torch.randn(self.batch, self.box.size, generator=self.generator)
            noise = (noise * self.smoothing).clamp(-self.smoothing_clip, self.smoothing_clip)
            action = self.targets["actor"](drawn.next_observation) + noise.to(self.device)
            action = action.clamp(-1, 1)
            following = _values(self.targets["critic"], drawn.next_observation, action).amin(dim=0)
            target = self.reward_scale * drawn.reward
            target += self.discount * drawn.continuation * following
        values = _values(self.networks["critic"], drawn.observation, drawn.action)
        loss = functional.mse_loss(values, target.expand_as(values)) * len(values)
        descend(self.critic_optimiser, loss)
        return loss.detach(), values.detach().mean()

    def _improve_policy(self, drawn: Batch) -> torch.Tensor:
        """By the first critic; then the targets follow all networks."""
        action = self.networks["actor"](drawn.observation)
        with frozen(self.networks["critic"]) as critic:
            loss = -_values(critic, drawn.observation, action)[0].mean()
        descend(self.actor_optimiser, loss)
        with torch.no_grad():
            for target, parameter in self._averaged:
                target.lerp_(parameter, self.tau)
        return loss.detach()

    def _observations(self, features: np.ndarray) -> torch.Tensor:
        flat = torch.as_tensor(features, dtype=torch.float32).reshape(len(features), -1)
        return flat.to(self.device)


def _values(critic: nn.Module, observations: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """[critics, N]."""
    return critic(torch.cat([observations, actions], dim=1))[..., 0]
