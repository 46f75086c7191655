"""A policy and a value from what a planner decides.

The policy learns the planner's decisions, as in expert iteration (Anthony et al. 2017, "Thinking
Fast and Slow with Deep Learning and Tree Search") and AlphaZero (Silver et al. 2018). The value
learns what these led to, and ends the plans of the next decisions: Lowrey et al. (2019), "Plan
Online, Learn Offline" (POLO). With a `half_life` the policy is to do without the planner: DAgger
(Ross et al. 2011, "A Reduction of Imitation Learning and Structured Prediction to No-Regret Online
Learning").
"""

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from learners.flops import Flops
from learners.interface import Transitions
from learners.networks import RunningNorm, mlp
from learners.optimisation import descend
from learners.pace import Pace
from learners.policies import BOUND, Categorical, Gaussian
from learners.sequences import SequenceReplay, Sequences
from learners.squashed import ActionBox
from learners.stored import STEPS, Stored
from suites.parameters import Count, Discount, Limit, Natural, NonNegative, Positive, Share, checked


class Distill(Stored):
    """A learner of a planner's decisions.

    Observations are normalised by what was seen so far, and values are learned in standard
    deviations of the discounted sums of rewards so far.

    Arguments:
      spec: Facts of the task; its observations are vectors.
      seed: Of weights and batches.
      device: Where the networks are: cpu, cuda.
      num_envs: Environments of training.
      policy, value: What is learned.
      width, depth: Units of a hidden layer, and hidden layers.
      members: Value networks, which learn from the same runs, each by its own bootstrap.
      prior_scale: Weight of a random network that is added to each of them, and does not learn
        (Osband et al. 2018, "Randomized Prior Functions"): where nothing was seen, they differ.
      optimism: kappa of `optimistic`, per standard deviation of returns; in training alone.
      least_deviation: Of the policy over continuous actions, in half ranges.
      batch, length: Runs in a gradient step, and consecutive decisions in a run.
      capacity: Decisions that the memory holds.
      ratio: Gradient steps per decision, after the first `warmup` decisions, for which the planner
        is on its own.
      discount: Per control step, as the planner's.
      trace: Lambda of the returns within a run; 1: as many steps as the run still has.
      tau: Of the target networks' moving average.
      half_life: Decisions after which the planner's action is executed half as often, from every
        time in the warmup on. None: it always is, and the planner decides in evaluation too.

    Raises:
      ValueError: for bad parameters.
    """

    STORED = ("networks", "optimiser", *STEPS)
    trains, on_policy, imitates = True, False, True

    @checked("learner")
    def __init__(
        self,
        spec: Any,
        seed: int,
        device: str,
        num_envs: Count,
        policy: bool,
        value: bool,
        width: Count,
        depth: Natural,
        members: Count,
        prior_scale: NonNegative,
        optimism: NonNegative,
        least_deviation: Positive,
        learning_rate: Positive,
        batch: Count,
        length: Count,
        capacity: Count,
        warmup: Natural,
        ratio: NonNegative,
        discount: Discount,
        trace: Discount,
        tau: Share,
        half_life: Limit | None,
    ):
        if len(spec.observation_space.shape) != 1:
            raise ValueError(
                "learner=distill needs observations that are vectors, and those of task"
                f" {spec.name} are {spec.observation_space.shape}: leave out task.observation="
            )
        if not (policy or value):
            raise ValueError("learner.policy and learner.value are both false: nothing to learn")
        if warmup < length * num_envs:
            raise ValueError(
                f"learner.warmup is {warmup}: the first runs need {length * num_envs} decisions"
            )
        if half_life is not None and not policy:
            raise ValueError(
                f"learner.half_life is {half_life}, but no policy is learned that could act: give"
                " learner.policy=true, or leave it out"
            )
        self.spec, self.device, self.num_envs = spec, torch.device(device), num_envs
        self.learns_policy, self.learns_value = policy, value
        self.optimism, self.least_deviation = optimism, least_deviation
        self.batch, self.length, self.capacity = batch, length, capacity
        self.discount, self.trace, self.tau, self.half_life = discount, trace, tau, half_life
        self.pace = Pace(ratio, warmup)
        self.networks = _Networks(spec, seed, width, depth, members, prior_scale, num_envs)
        self.networks.to(self.device)
        parts = self.networks
        learned = [
            *((*parts.actor.parameters(), *parts.policy.parameters()) if policy else ()),
            *(parts.critic.parameters() if value else ()),
        ]
        self.optimiser = torch.optim.Adam(learned, learning_rate, fused=True)
        self._averaged = list(
            zip(parts.target.parameters(), parts.critic.parameters(), strict=True)
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.counter = Flops()
        self.updates = 0

    @property
    def has_value(self) -> bool:
        """Whether a value has been learned yet."""
        return self.learns_value and not self.pace.warming

    @property
    def reactive(self) -> bool:
        """Whether the policy is to do without the planner."""
        return self.half_life is not None

    @property
    def beta(self) -> float:
        """The probability that the planner's action is executed (Ross et al. 2011, section 3)."""
        if self.half_life is None:
            return 1.0
        return 0.5 ** (max(self.pace.seen - self.pace.warmup, 0) / self.half_life)

    @property
    def greedy(self) -> "Evaluated":
        """Without optimism; and, where the policy acts alone, its most probable actions."""
        return Evaluated(self)

    def mix(self, features: np.ndarray, planned: np.ndarray, noise: Any) -> np.ndarray:
        """What is executed, [B, A] or [B]: `planned` with probability beta, else the policy's."""
        theirs = noise.uniform(1)[:, 0] < self.beta
        own = self.mode(features)
        return np.where(theirs.reshape(-1, *[1] * (planned.ndim - 1)), planned, own)

    def mode(self, features: np.ndarray) -> np.ndarray:
        """The policy's most probable actions, [B, A] or [B], for features [B, O]."""
        return self._within(self.networks.policy.mode(self._parameters(features)))

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions of the policy, [B, A] or [B], for features [B, O]."""
        return self._within(self.networks.policy.sample(self._parameters(features), noise))

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Of the policy over discrete actions: [N, n] for features [N, O]."""
        return self._parameters(features).cpu().numpy().astype(np.float64)

    def value(self, features: np.ndarray) -> np.ndarray:
        """Optimistic values [N] of features [N, O]."""
        return self._value(features, self.optimism)

    def mean_value(self, features: np.ndarray) -> np.ndarray:
        """The ensemble's mean value [N] of features [N, O]."""
        return self._value(features, 0.0)

    def _value(self, features: np.ndarray, optimism: float) -> np.ndarray:
        with torch.no_grad(), self.counter.count("value", len(features)):
            parts = self.networks
            seen = parts.see(torch.as_tensor(features))
            values = parts.critic(seen)[..., 0] + parts.fixed(seen)
            value = optimistic(values, optimism) / parts.returns.scale
        return value.cpu().numpy().astype(np.float64)

    def _parameters(self, features: np.ndarray) -> torch.Tensor:
        """Of the policy's distributions: [N, outputs]."""
        with torch.no_grad(), self.counter.count("act", len(features)):
            return self.networks.actor(self.networks.see(torch.as_tensor(features)))

    def _within(self, actions: np.ndarray) -> np.ndarray:
        """Actions within the task's bounds."""
        space = self.spec.action_space
        return actions if hasattr(space, "n") else np.clip(actions, space.low, space.high)

    def make_source(self, num_envs: int, folder: Path) -> "Decisions":
        """An empty memory."""
        return Decisions(self.capacity, self.spec, num_envs, folder)

    def update(self, source: "Decisions") -> dict[str, float]:
        """The gradient steps that are due; means of what they say, {} if none was."""
        assert source.latest is not None
        self._normalise(source.latest)
        due = self.pace.due(source)
        said: dict[str, torch.Tensor] = {}
        for _ in range(due):
            drawn = source.sample(self.batch, self.length, self.generator, self.device, whole=False)
            with self.counter.count("update"):
                for name, value in self._step(drawn).items():
                    said[name] = said.get(name, 0.0) + value
            self.updates += 1
        means = {name: float(total) / due for name, total in said.items()}
        return {**means, "beta": self.beta} if means and self.reactive else means

    def _normalise(self, latest: Transitions) -> None:
        """Take in an observation and a discounted sum of rewards of each environment."""
        parts = self.networks
        parts.norm.observe(torch.as_tensor(latest.observation).float().to(self.device))
        reward = torch.as_tensor(latest.reward).to(parts.running)
        parts.running.mul_(self.discount**latest.held).add_(reward)
        parts.returns.observe(parts.running[:, None])
        parts.running[torch.as_tensor(latest.terminated | latest.truncated)] = 0.0

    def _step(self, drawn: Sequences) -> dict[str, torch.Tensor]:
        """One gradient step, and what it says."""
        seen = self.networks.see(drawn.observation.flatten(0, 1))
        seen = seen.unflatten(0, drawn.observation.shape[:2])  # [T + 1, N, O]
        losses: dict[str, torch.Tensor] = {}
        said: dict[str, torch.Tensor] = {}
        if self.learns_policy:
            losses["policy_loss"] = self._policy_loss(seen[:-1], drawn)
        if self.learns_value:
            losses["value_loss"], said = self._value_loss(seen, drawn)
        descend(self.optimiser, torch.stack(list(losses.values())).sum())
        with torch.no_grad():
            for target, parameter in self._averaged:
                target.lerp_(parameter, self.tau)
            if isinstance(self.networks.policy, Gaussian):
                self.networks.policy.log_std.clamp_(min=math.log(self.least_deviation))
        return {name: value.detach() for name, value in {**losses, **said}.items()}

    def _policy_loss(self, seen: torch.Tensor, drawn: Sequences) -> torch.Tensor:
        """Minus the log-probability of what the planner chose.

        Over discrete actions: the cross-entropy to its policy (Silver et al. 2018, equation 1).
        """
        policy, parameters = self.networks.policy, self.networks.actor(seen.flatten(0, 1))
        if isinstance(policy, Categorical):
            theirs = drawn.policy[:-1].flatten(0, 1)
            loss = -(theirs * parameters.log_softmax(dim=1)).sum(dim=1)
        else:
            loss = -policy.log_probability(parameters, drawn.action.flatten(0, 1))
        return _mean(loss, drawn.valid.flatten())

    def _value_loss(
        self, seen: torch.Tensor, drawn: Sequences
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Squared errors of the members' values, in standard deviations of returns."""
        parts, (steps, runs) = self.networks, drawn.reward.shape
        with torch.no_grad():
            fixed = parts.fixed(seen.flatten(0, 1)).unflatten(1, (steps + 1, runs))
            following = parts.target(seen[1:].flatten(0, 1))[..., 0] + fixed[:, 1:].flatten(1)
            target = lambda_returns(
                drawn.reward * parts.returns.scale,
                self.discount**drawn.held * (1 - drawn.terminated),
                drawn.valid,
                following.unflatten(1, (steps, runs)),
                self.trace,
            ).flatten(1)
        values = parts.critic(seen[:-1].flatten(0, 1))[..., 0] + fixed[:, :-1].flatten(1)
        valid = drawn.valid.flatten()
        loss = _mean((values - target).square().sum(dim=0), valid)
        with torch.no_grad():
            mean, aim = values.mean(dim=0), target.mean(dim=0)
            spread = _mean((aim - _mean(aim, valid)).square(), valid)
            error = _mean((aim - mean).square(), valid)
            said = {
                "value": _mean(mean, valid) / parts.returns.scale[0],
                "value_unexplained": error / spread.clamp(min=1e-8),
                "value_disagreement": _mean(values.std(dim=0, correction=0), valid),
            }
        return loss, said


def lambda_returns(
    reward: torch.Tensor,
    discount: torch.Tensor,
    valid: torch.Tensor,
    following: torch.Tensor,
    trace: float,
) -> torch.Tensor:
    """Lambda-returns [E, T, N] of runs, cut off where they end (Sutton and Barto 2018, 12.18).

    Arguments:
      reward: [T, N].
      discount: [T, N] of what follows a decision; 0 where it terminated the episode.
      valid: [T, N], 0 beyond the end of an episode: nothing is traced over that.
      following: [E, T, N] values of what followed.
      trace: Lambda.
    """
    returns = torch.empty_like(following)
    later = following[:, -1]
    for t in reversed(range(len(reward))):
        if t + 1 < len(reward):
            weight = trace * valid[t + 1]
            later = following[:, t] + weight * (later - following[:, t])
        returns[:, t] = later = reward[t] + discount[t] * later
    return returns


def optimistic(values: torch.Tensor, optimism: float) -> torch.Tensor:
    """Of an ensemble [E, N], log(mean(exp(kappa v))) / kappa [N] (Lowrey et al. 2019, equation 4).

    From the mean, at kappa 0, to the highest.
    """
    if optimism == 0:
        return values.mean(dim=0)
    return (torch.logsumexp(optimism * values, dim=0) - math.log(len(values))) / optimism


def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Of values [M], weighted."""
    return (values * weights).sum() / weights.sum()


class Evaluated:
    """What is evaluated of a learner, as a `planners.interface.DiscretePrior`."""

    def __init__(self, learner: Distill):
        self._learner = learner
        self.value, self.logits = learner.mean_value, learner.logits
        self.discount = learner.discount

    @property
    def has_value(self) -> bool:
        """Whether a value has been learned yet."""
        return self._learner.has_value

    @property
    def flops(self) -> int:
        """Floating-point operations of the learner's networks so far."""
        return self._learner.flops

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions [B, A] or [B] for features [B, O]; a search wants different ones."""
        learner = self._learner
        return learner.mode(features) if learner.reactive else learner.sample(features, noise)


class Decisions(SequenceReplay):
    """Sequences of the planner's actions, in units of their box, whatever was executed.

    Attributes:
      latest: What was added last.
    """

    def __init__(self, capacity: int, spec: Any, num_envs: int, folder: Path):
        space = spec.action_space
        self._n = int(space.n) if hasattr(space, "n") else 0
        self._box = None if self._n else ActionBox(space)
        super().__init__(capacity, spec, num_envs, folder, self._n)
        self.latest: Transitions | None = None

    def add(self, transitions: Transitions) -> None:
        """Take in a decision of each environment; a planner without a policy is sure of itself."""
        action = transitions.action if transitions.label is None else transitions.label
        policy = transitions.policy
        if self._box:
            action = self._box.to_unit(action)
        elif policy is None:
            policy = np.eye(self._n)[action - self._first]
        super().add(replace(transitions, action=action, policy=policy))
        self.latest = transitions


class _Networks(nn.Module):
    """All that is learned, and what goes with it into a checkpoint."""

    running: torch.Tensor

    def __init__(
        self,
        spec: Any,
        seed: int,
        width: int,
        depth: int,
        members: int,
        prior_scale: float,
        num_envs: int,
    ):
        super().__init__()
        size = int(spec.observation_space.shape[0])
        discrete = hasattr(spec.action_space, "n")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy = (Categorical if discrete else Gaussian)(spec.action_space)
            self.actor = mlp(size, width, depth, self.policy.outputs)
            self.critic = mlp(size, width, depth, 1, members)
            self.random = mlp(size, width, depth, 1, members).requires_grad_(False)
        self.target = copy.deepcopy(self.critic).requires_grad_(False)
        self.prior_scale = prior_scale
        self.norm, self.returns = RunningNorm(size), RunningNorm(1)
        self.register_buffer("running", torch.zeros(num_envs, dtype=torch.float64))

    def see(self, observations: torch.Tensor) -> torch.Tensor:
        """Observations [N, O], normalised."""
        return self.norm(observations.to(self.norm.shift)).clamp(-BOUND, BOUND)

    def fixed(self, seen: torch.Tensor) -> torch.Tensor:
        """What is added to each member's value: [E, N]."""
        return self.prior_scale * self.random(seen)[..., 0]
