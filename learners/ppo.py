"""Proximal policy optimisation, of continuous and discrete actions, of vectors and of pixels.

Schulman et al. (2017), "Proximal Policy Optimization Algorithms", with what Huang et al. (2022),
"The 37 implementation details of proximal policy optimization", found to be part of it: "detail"
below, counted within their lists of core, Atari and continuous details. Atari details 1, 2, 5 and 7
are the task's; 3 and 4 are left out: an episode ends with the game, and nothing presses FIRE.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from torch import nn

from learners.actor import GreedyActor
from learners.convolutions import check_size
from learners.flops import Flops
from learners.optimisation import as_vector
from learners.policies import ActorCritic
from learners.rollouts import Rollouts, advantages, following_values, running_returns
from learners.stored import Stored
from suites.parameters import (
    Count,
    Limit,
    Natural,
    NonNegative,
    OneOf,
    Positive,
    Range,
    Share,
    checked,
)

REWARDS = ("scaled", "sign", "raw")
METRICS = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")
REWARD_BOUND = 10.0  # of scaled rewards, continuous detail 9


@checked("learner")
@dataclass(frozen=True)
class Settings:
    """What can be chosen.

    Attributes:
      num_envs: Environments of training, stepped together (detail 1).
      length: Decisions of each environment in a rollout.
      minibatch: Decisions of a gradient step; it must divide those of a rollout.
      epochs: Times that a rollout is gone through.
      learning_rate: At the beginning.
      discount: Per decision.
      trace: The lambda of generalised advantage estimation.
      clip: The probability ratio stays within 1 +- clip.
      value_clip: The value stays within +- this of what it was, in units of what it predicts;
        infinite: wherever it goes.
      value_weight, entropy_weight: Of value loss and entropy bonus beside the policy's loss.
      gradient_norm: Longer gradients are shortened to it.
      torso: Convolutions that see pixels; None for vectors.
      width: Units of a hidden layer.
      depth: Hidden layers of the policy and of the value, each its own.
      rewards: `scaled` by the deviation of returns so far, their `sign`, or `raw`.
      reward_scale: Rewards are multiplied by it at last.
    """

    num_envs: Count
    length: Count
    minibatch: Annotated[int, Range(2)]
    epochs: Count
    learning_rate: Positive
    discount: Share
    trace: Share
    clip: Limit
    value_clip: Limit
    value_weight: NonNegative
    entropy_weight: NonNegative
    gradient_norm: Limit
    torso: str | None
    width: Count
    depth: Natural
    rewards: Annotated[str, OneOf(REWARDS)]
    reward_scale: Positive

    def __post_init__(self) -> None:
        total = self.num_envs * self.length
        if total % self.minibatch:
            raise ValueError(
                f"learner.minibatch is {self.minibatch}: it must divide num_envs * length, {total}"
            )


# One for all tasks of each kind. Those of pixels are Huang et al.'s. With vectors, theirs take
# minibatches of 64, which are dear on a CPU; and limits for the value slowed learning down.
VECTORS = Settings(
    num_envs=16,
    length=64,
    minibatch=256,
    epochs=10,
    learning_rate=1e-3,
    discount=0.99,
    trace=0.95,
    clip=0.2,
    value_clip=float("inf"),
    value_weight=0.5,
    entropy_weight=0.0,
    gradient_norm=0.5,
    torso=None,
    width=64,
    depth=2,
    rewards="scaled",
    reward_scale=1.0,
)
PIXELS = Settings(
    num_envs=8,
    length=128,
    minibatch=256,
    epochs=4,
    learning_rate=2.5e-4,
    discount=0.99,
    trace=0.95,
    clip=0.1,
    value_clip=0.1,
    value_weight=0.5,
    entropy_weight=0.01,
    gradient_norm=0.5,
    torso="nature",
    width=512,
    depth=0,
    rewards="sign",
    reward_scale=1.0,
)


def make_ppo(spec: Any, seed: int, device: str, env_steps: int | None, **options: Any) -> "PPO":
    """The learner of `learner=ppo`. Options that are None are those of `VECTORS` or `PIXELS`.

    Raises:
      ValueError: for bad options.
    """
    pixels = len(spec.observation_space.shape) == 3
    given = {name: value for name, value in options.items() if value is not None}
    if pixels:
        check_size(spec.observation_space)
    if not pixels and "torso" in given:
        raise ValueError(f"learner.torso is for pixels, and {spec.name} shows none: leave it out")
    return PPO(spec, seed, device, env_steps, replace(PIXELS if pixels else VECTORS, **given))


class Minibatch(NamedTuple):
    """What a gradient step is made from; N decisions, float32 but for pixels and discrete actions.

    Attributes:
      observation: [N, *O], normalised. action: [N, A] or [N], encoded.
      log_probability, value: [N], of the policy and the value before the first gradient step.
      advantage, returns: [N], the latter what the value should be.
    """

    observation: torch.Tensor
    action: torch.Tensor
    log_probability: torch.Tensor
    value: torch.Tensor
    advantage: torch.Tensor
    returns: torch.Tensor


class PPO(Stored):
    """Proximal policy optimisation.

    It learns from what its own policy did: with a planner that chooses otherwise, it is wrong.

    Arguments:
      spec: Facts of the task: `observation_space` and `action_space`.
      seed: Of weights and of the order of minibatches.
      device: Where the networks are: cpu, cuda.
      env_steps: Control steps of training, over which the learning rate falls to 0; None: it stays.
    """

    STORED = ("networks", "optimiser", "generator", "updates", "seen", "running", "counter")
    trains, has_value, on_policy = True, True, True

    @checked("learner")
    def __init__(
        self, spec: Any, seed: int, device: str, env_steps: Natural | None, settings: Settings
    ):
        self.settings, self.env_steps, self.num_envs = settings, env_steps, settings.num_envs
        self.discount = settings.discount
        self.spaces = spec.observation_space, spec.action_space
        self.device = torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.networks = ActorCritic(*self.spaces, settings).to(self.device)
        self.generator = torch.Generator().manual_seed(seed)
        self._parameters = list(self.networks.parameters())
        self._vector = as_vector(self._parameters)
        self.optimiser = torch.optim.Adam(
            [self._vector],
            settings.learning_rate,
            eps=1e-5,  # detail 3
            fused=True,
        )
        self.running = np.zeros(settings.num_envs)  # returns of the episodes at work
        self.counter = Flops()
        self.updates, self.seen = 0, 0

    @property
    def greedy(self) -> GreedyActor:
        """The policy's most probable actions, as a prior."""
        return GreedyActor(self)

    def mode(self, features: np.ndarray) -> np.ndarray:
        """The policy's most probable actions, [B, A] or [B], for features [B, *O]."""
        return self.networks.policy.mode(self._act(features))

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions of the policy, [B, A] or [B], for features [B, *O]."""
        return self.networks.policy.sample(self._act(features), noise)

    def _act(self, features: np.ndarray) -> torch.Tensor:
        """The policy's parameters [B, outputs]."""
        with torch.no_grad(), self.counter.count("act", len(features)):
            return self.networks.act(self._observations(features))

    def value(self, features: np.ndarray) -> np.ndarray:
        """Values [N] of features [N, *O]: of the task's own rewards, or of their signs."""
        with torch.no_grad(), self.counter.count("value", len(features)):
            _, values = self.networks(self._observations(features))
        return values.cpu().numpy().astype(np.float64) / self._reward_factor()

    def _observations(self, features: np.ndarray) -> torch.Tensor:
        return self.networks.observe(torch.from_numpy(features).to(self.device))

    def _reward_factor(self) -> float:
        """What rewards are multiplied by, but for their signs and bounds."""
        scaled = self.settings.rewards == "scaled"
        return self.settings.reward_scale * (self.networks.returns.scale.item() if scaled else 1.0)

    def make_source(self, num_envs: int, folder: Path) -> Rollouts:
        """Empty rollouts."""
        return Rollouts(self.settings.length, num_envs, *self.spaces)

    def update(self, source: Rollouts) -> dict[str, float]:
        """The epochs over full rollouts, which are then emptied; {} before.

        Means of `METRICS` over the gradient steps, how much of the variance of the returns the
        values before them explained (detail 12), and the learning rate.
        """
        if not source.full:
            return {}
        settings, steps = self.settings, source.length * source.num_envs // self.settings.minibatch
        rate = settings.learning_rate * self._remaining()
        self.optimiser.param_groups[0]["lr"] = rate
        learned = self._learned(source)
        total = torch.zeros(len(METRICS), device=self.device)
        for _ in range(settings.epochs):
            for part in self._minibatches(learned):  # detail 6
                with self.counter.count("update"):
                    total += self._step(part)
                self.updates += 1
        # Only now: the policy that acted was that of the observations before (continuous detail 6).
        self.networks.take_in(source.observation)
        self.seen += source.env_steps
        source.empty()
        means = dict(zip(METRICS, (total / (settings.epochs * steps)).tolist(), strict=True))
        explained = _explained_variance(learned.value, learned.returns)
        return {**means, "explained_variance": explained, "learning_rate": rate}

    def _remaining(self) -> float:
        """The part of training that remains (detail 4)."""
        return max(1 - self.seen / self.env_steps, 0.0) if self.env_steps else 1.0

    def _learned(self, source: Rollouts) -> Minibatch:
        """All of the rollouts, with advantages and returns.

        The policy and the value have not changed since they acted: what they say now is what they
        said then, and one batch is cheaper than many small ones.
        """
        settings, size = self.settings, source.reward.shape
        observation = self._observations(source.observation.reshape(-1, *self.spaces[0].shape))
        action = self.networks.policy.encode(source.action.reshape(-1, *self.spaces[1].shape))
        action = action.to(self.device)
        with torch.no_grad(), self.counter.count("learned"):
            outputs, value = self.networks(observation)
            log_probability = self.networks.policy.log_probability(outputs, action)
        cut = source.next_observation[source.cut]
        with torch.no_grad(), self.counter.count("bootstrap", len(cut)):
            _, bootstraps = self.networks(self._observations(cut))
        rewards = self._rewards(source)
        values = value.cpu().numpy().reshape(size)
        following = following_values(values, bootstraps.cpu().numpy(), source)
        decays = settings.discount, settings.trace
        estimates = advantages(rewards, values, following, source.ended, *decays)  # detail 5
        advantage = torch.from_numpy(estimates.ravel()).to(self.device)
        return Minibatch(observation, action, log_probability, value, advantage, advantage + value)

    def _rewards(self, source: Rollouts) -> np.ndarray:
        """Rewards [T, B] as they are learned from."""
        kind, rewards = self.settings.rewards, source.reward
        if kind == "sign":  # Atari detail 6
            rewards = np.sign(rewards)
        if kind == "scaled":  # continuous details 8 and 9
            running, self.running = running_returns(
                rewards, source.ended, self.running, self.settings.discount
            )
            self.networks.returns.observe(torch.from_numpy(running.reshape(-1, 1)))
            scaled = rewards * self.networks.returns.scale.item()
            rewards = np.clip(scaled, -REWARD_BOUND, REWARD_BOUND)
        return self.settings.reward_scale * rewards

    def _minibatches(self, learned: Minibatch) -> list[Minibatch]:
        """All of it in a new order, with advantages that are normalised in each (detail 7)."""
        size = self.settings.minibatch
        order = torch.randperm(len(learned.value), generator=self.generator).to(self.device)
        mixed = Minibatch(*(part.index_select(0, order) for part in learned))
        rows = mixed.advantage.view(-1, size)
        deviation, mean = torch.std_mean(rows, dim=1, keepdim=True)
        mixed = mixed._replace(advantage=((rows - mean) / (deviation + 1e-8)).flatten())
        return [Minibatch(*parts) for parts in zip(*(p.split(size) for p in mixed), strict=True)]

    def _step(self, part: Minibatch) -> torch.Tensor:
        """One gradient step; [len(METRICS)]."""
        settings, policy = self.settings, self.networks.policy
        outputs, value = self.networks(part.observation)
        log_ratio = policy.log_probability(outputs, part.action) - part.log_probability
        policy_loss, ratio = clipped_policy_loss(log_ratio, part.advantage, settings.clip)
        value_loss = clipped_value_loss(value, part.value, part.returns, settings.value_clip)
        entropy = policy.entropy(outputs)
        loss = policy_loss + settings.value_weight * value_loss  # detail 10
        gradients = torch.autograd.grad(loss - settings.entropy_weight * entropy, self._parameters)
        self._vector.grad = torch.cat([gradient.flatten() for gradient in gradients])
        nn.utils.clip_grad_norm_(self._vector, settings.gradient_norm)  # detail 11
        self.optimiser.step()
        with torch.no_grad():
            divergence = (ratio - 1 - log_ratio).mean()
            clipped = ((ratio - 1).abs() > settings.clip).float().mean()
            return torch.stack([policy_loss, value_loss, entropy, divergence, clipped])


def clipped_policy_loss(
    log_ratio: torch.Tensor, advantage: torch.Tensor, clip: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The negative of Schulman et al. (2017), equation 7 (detail 8), and the ratios [N].

    Arguments:
      log_ratio: [N] logarithms of new probabilities over old ones.
      advantage: [N].
    """
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantage, clipped * advantage).mean(), ratio


def clipped_value_loss(
    value: torch.Tensor, before: torch.Tensor, returns: torch.Tensor, clip: float
) -> torch.Tensor:
    """Half the mean squared error; where it is larger, that of a value held near `before`.

    Detail 9. All are [N].
    """
    errors = (value - returns).square()
    if math.isfinite(clip):
        held = before + (value - before).clamp(-clip, clip)
        errors = torch.maximum(errors, (held - returns).square())
    return 0.5 * errors.mean()


def _explained_variance(values: torch.Tensor, returns: torch.Tensor) -> float:
    """1 where values [N] are the returns [N], 0 where they tell nothing; 0 if all are the same."""
    variance = returns.var().item()
    return 1 - (returns - values).var().item() / variance if variance > 0 else 0.0
