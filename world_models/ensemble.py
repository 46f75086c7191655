"""A world model learned from observations: an ensemble of networks that predict Gaussians.

Chua et al. (2018), "Deep Reinforcement Learning in a Handful of Trials using Probabilistic Dynamics
Models" (PETS). One deterministic member is the model of Nagabandi et al. (2018), "Neural Network
Dynamics for Model-Based Deep Reinforcement Learning with Model-Free Fine-Tuning".
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from learners.flops import Flops
from learners.networks import EnsembleLinear, RunningNorm
from learners.pace import Pace
from learners.replay import Replay
from learners.squashed import encoding
from learners.stored import STEPS, Stored
from suites.parameters import Count, Natural, NonNegative, OneOf, Positive, Range, Share, checked
from world_models import rollouts

SAMPLING = ("ts1", "tsinf")
REWARDS = ("learned", "task")
Pair = Annotated[int, Range(2)]  # decisions: one to learn from, and one to be held out
HOLDOUT, HOLDOUT_MOST = 0.2, 5000  # of the memory, as in Janner et al. (2019)
GOLDEN = 0.6180339887498949  # its multiples are spread evenly, modulo 1
SMALLEST = 1e-8  # variance of what is normalised
SHORTEST = 50  # gradient steps from one look at held-out data to the next
IMPROVED = 0.01  # of the error on held-out data: less is none (the same)


@checked("world_model.imagine")
@dataclass(frozen=True)
class Imagine:
    """How a learner practises in a model (Janner et al. 2019, "When to Trust Your Model").

    Attributes:
      rollouts: Begun per real decision, each from an observation of the memory, after each fit.
      length: Steps of each: from the first number to the second ...
      over: ... while the decisions go from the first number to the second.
      real: Share of real transitions in a batch.
      keep: The longest rollouts are kept for so many fits of the model.
    """

    rollouts: Count
    length: tuple[Count, Count]
    over: tuple[Natural, Natural]
    real: Share
    keep: Count

    def steps(self, decisions: int) -> int:
        """Length of rollouts after so many decisions."""
        (low, high), (begin, end) = self.length, self.over
        share = (decisions - begin) / max(end - begin, 1)
        return int(low + min(max(share, 0.0), 1.0) * (high - low))


class Ensemble(Stored):
    """An ensemble of dynamics models.

    A state is that of P particles, each an observation. All candidate plans see the same normals,
    which are a function of the state that is planned in; with `ts1` each draws members of its own.

    Arguments:
      spec: Facts of the task; observations are vectors, actions a box or discrete.
      seed: Of weights, batches and noise.
      device: Where the networks are.
      repeat: Control steps of a transition; None: 2, with discrete actions 1.
      members: Of the ensemble.
      width, depth: Units of a layer, and hidden layers.
      reward: `learned`, or `task`: the task's own by what is observed, a privilege. Within a
        transition, observations are interpolated for it.
      probabilistic: Predict Gaussians and sample from them; else means, fitted by squared error.
      particles: P, of which the rewards are averaged.
      sampling: `ts1`: a particle is passed to another member at each step. `tsinf`: it keeps its
        own, P a multiple of the members (PETS, section 5).
      warmup: Decisions at random before the first fit; then one in `every` decisions.
      patience: A fit ends after so many passes over the data (short ones together) without a better
        prediction of held-out data, or after `epochs`.
      imagine: See `Imagine`; read where a learner practises in the model.

    Raises:
      ValueError: for bad parameters, and observations that are not vectors.
    """

    STORED = ("network", "optimiser", "inputs", "targets", *STEPS)
    trains, latent = True, False

    @checked("world_model")
    def __init__(
        self,
        spec: Any,
        seed: int,
        device: str,
        repeat: Count | None,
        members: Count,
        width: Count,
        depth: Natural,
        reward: Annotated[str, OneOf(REWARDS)],
        probabilistic: bool,
        particles: Count,
        sampling: Annotated[str, OneOf(SAMPLING)],
        learning_rate: Positive,
        weight_decay: NonNegative,
        batch: Count,
        capacity: Pair,
        warmup: Pair,
        every: Count,
        patience: Count,
        epochs: Count,
        imagine: dict[str, Any],
    ):
        if len(spec.observation_space.shape) != 1:
            raise ValueError(
                "world_model=ensemble predicts observations that are vectors, and those of task"
                f" {spec.name} are {spec.observation_space.shape}"
            )
        self.reward = spec.observed_reward if reward == "task" else None
        if reward == "task" and self.reward is None:
            raise ValueError(
                f"what is observed does not tell the reward of task {spec.name}: choose"
                " world_model.reward=learned"
            )
        if sampling == "tsinf" and particles % members:
            raise ValueError(
                f"world_model.particles is {particles}: with sampling=tsinf give a multiple of"
                f" world_model.members, {members}"
            )
        self.box = encoding(spec.action_space)
        self.stride = repeat or (1 if hasattr(spec.action_space, "n") else 2)
        self.size = int(spec.observation_space.shape[0])
        self.device, self.seed = torch.device(device), seed
        self.members, self.particles, self.sampling = members, particles, sampling
        self.probabilistic = probabilistic
        self.batch, self.capacity, self.epochs, self.patience = batch, capacity, epochs, patience
        self.every, self.pace = every, Pace(1 / every, warmup - every, refill=warmup)
        self.imagine = Imagine(**imagine)
        # How the observation changes, and the reward.
        self.outputs = self.size + (self.reward is None)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = _Network(self.size + self.box.size, width, depth, self.outputs, members)
        self.inputs = RunningNorm(self.size + self.box.size, SMALLEST)
        self.targets = RunningNorm(self.outputs, SMALLEST)
        for part in (self.network, self.inputs, self.targets):
            part.to(self.device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), learning_rate, weight_decay=weight_decay, fused=True
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.counter = Flops()
        self.updates = self.model_steps = self.sim_steps = self.sim_frames = 0

    @property
    def warming(self) -> bool:
        """Whether it has not been fitted yet."""
        return self.updates == 0

    def begin(self, observations: np.ndarray, task: Any) -> np.ndarray:
        """All particles [B, P * O] where observations [B, O] are."""
        return np.tile(np.asarray(observations, np.float32), (1, self.particles))

    def select(self, state: np.ndarray, which: np.ndarray) -> np.ndarray:
        """States [M, S] of some of the environments."""
        return state[which]

    def features(self, state: np.ndarray) -> np.ndarray:
        """Observations [..., O] in states [..., S]: means over the particles."""
        return state.reshape(*state.shape[:-1], self.particles, self.size).mean(axis=-2)

    def spread(self, state: np.ndarray) -> np.ndarray:
        """Standard deviations [..., O] of the particles in states [..., S]."""
        return state.reshape(*state.shape[:-1], self.particles, self.size).std(axis=-2)

    def step(
        self, state: np.ndarray, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Next states [M, S], rewards [M] and continuation [M] after actions [M, A] or [M]."""
        return rollouts.step(self, state, action)

    def rollout(
        self, state: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards [B, K, H], continuation [B, K, H] and last states [B, K, S].

        Of plans [B, K, H, A], or [B, K, H] where actions are discrete. Rewards and continuation are
        means over the particles. Each of these takes a model step.
        """
        batch, candidates, horizon = plans.shape[:3]
        noise = torch.Generator().manual_seed(self._dice(state))
        actions = torch.as_tensor(self.box.to_unit(plans), dtype=torch.float32, device=self.device)
        seen = torch.as_tensor(state, device=self.device)
        seen = seen.view(batch, 1, self.particles, self.size)
        seen = seen.expand(-1, candidates, -1, -1)
        shape = *seen.shape[:-1], 1
        alive = torch.ones(shape, device=self.device)
        rewards, continuation = (torch.empty(batch, candidates, horizon) for _ in range(2))
        with torch.inference_mode(), self.counter.count("rollout", plans.shape[:3]):
            for h in range(horizon):
                acted = actions[:, :, h, None].expand(-1, -1, self.particles, -1)
                inputs = self.inputs(torch.cat([seen, acted], dim=-1)).flatten(0, -2)
                drawn = torch.randn(batch, 1, self.particles, self.outputs, generator=noise)
                change, ends = self._sample(inputs, drawn.to(self.device), noise, shape[:-1])
                change, paid = change.split([self.size, self.outputs - self.size], dim=-1)
                if self.reward is not None:
                    paid = self._told(seen, change, plans[:, :, h])
                rewards[:, :, h] = (alive * paid).mean(dim=(2, 3))
                seen = seen + alive * change
                alive = alive * ~ends
                continuation[:, :, h] = alive.mean(dim=(2, 3))
        self.model_steps += batch * candidates * horizon * self.particles
        last = seen.reshape(batch, candidates, -1).cpu().numpy()
        return rewards.double().numpy(), continuation.double().numpy(), last

    def _told(self, seen: torch.Tensor, change: torch.Tensor, actions: np.ndarray) -> torch.Tensor:
        """Rewards [B, K, P, 1] of transitions from observations [B, K, P, O], by the task."""
        assert self.reward is not None
        held = np.repeat(actions.reshape(-1, actions.shape[-1]), self.particles, axis=0)
        total = np.zeros(len(held))
        for k in range(1, self.stride + 1):
            between = seen + (k / self.stride) * change
            total += self.reward(between.flatten(0, -2).cpu().numpy(), held)
        return torch.from_numpy(total).float().to(self.device).view(*change.shape[:-1], 1)

    def _dice(self, state: np.ndarray) -> int:
        """A seed that depends on nothing but what is known when it is needed."""
        told = np.ascontiguousarray(state).tobytes() + f"{self.seed} {self.updates}".encode()
        return int.from_bytes(blake2b(told, digest_size=7).digest())

    def _sample(
        self,
        inputs: torch.Tensor,
        drawn: torch.Tensor,
        noise: torch.Generator,
        shape: tuple[int, ...],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Changes, and rewards if learned, [*shape, out], and ends [*shape, 1], of [rows, in].

        The rows, of which the particle is the last axis of the shape, are shared out among the
        members. Normals are drawn [B, 1, P, out].
        """
        rows = len(inputs)
        if self.sampling == "tsinf":
            order = torch.arange(rows).view(-1, self.members).T.reshape(-1)
        else:
            order = torch.randperm(rows, generator=noise)
        order = order.to(self.device)
        # As many rows for each: some of them twice.
        padded = order[torch.arange(rows + -rows % self.members, device=self.device) % rows]
        shared = inputs[padded].view(self.members, -1, inputs.shape[1])
        mean, log_variance, ending = self.network(shared)
        merged = torch.cat([mean, log_variance, ending], dim=-1).flatten(0, 1)[:rows]
        found = torch.empty_like(merged)
        found[order] = merged
        mean, log_variance, ending = found.view(*shape, -1).split(
            [self.outputs, self.outputs, 1], dim=-1
        )
        if self.probabilistic:
            mean = mean + (0.5 * log_variance).exp() * drawn
        ends = (ending > 0) & self.network.ends
        return mean / self.targets.scale + self.targets.shift, ends

    def make_source(self, num_envs: int, folder: Path) -> Replay:
        """An empty memory of transitions."""
        return Replay(self.capacity, self.size, self.box, folder)

    def update(self, source: Replay, learner: Any) -> dict[str, float]:
        """A fit, if one is due, and what it came to."""
        return self._fit(source) if self.pace.due(source) > 0 else {}

    def _fit(self, source: Replay) -> dict[str, float]:
        """Go on from the present weights until held-out data are predicted no better.

        Of the new weights those are kept that predict them best.
        """
        drawn = source.everything(self.device)
        inputs = torch.cat([drawn.observation, drawn.action], dim=1)
        change = drawn.next_observation - drawn.observation
        targets = torch.cat([change, drawn.reward[:, None]], dim=1)[:, : self.outputs]
        ended = 1 - drawn.continuation
        for norm, data in ((self.inputs, inputs), (self.targets, targets)):
            norm.reset()
            norm.observe(data)
        inputs, targets = self.inputs(inputs), self.targets(targets)
        self.network.ends.fill_(bool(ended.any()))
        test, rest = (part.to(self.device) for part in hold_out(len(inputs)))
        # Ends are rare: among the data held out there may be none.
        variance = ended.var(unbiased=False).clamp(min=SMALLEST)
        held_out = inputs[test], targets[test], ended[test], variance
        # Each member learns from a bootstrap sample of its own.
        chosen = torch.randint(len(rest), (self.members, len(rest)), generator=self.generator)
        chosen = rest[chosen.to(self.device)]
        # The first new weights stay in any case: the old ones can't know what has come since.
        best, weights = torch.full((self.members,), torch.inf, device=self.device), self._weights()
        losses, stale, epoch = [], 0, 0
        while stale < self.patience and epoch < self.epochs:
            losses += [
                self._descend(inputs[rows], targets[rows], ended[rows])
                for rows in self._batches(chosen)
            ]
            errors = self._errors(*held_out)
            better = errors < (1 - IMPROVED) * best
            best = torch.where(better, errors, best)
            for kept, weight in zip(weights, self.network.parameters(), strict=True):
                kept[better] = weight.detach()[better]
            stale, epoch = (0 if bool(better.any()) else stale + 1), epoch + 1
        with torch.no_grad():
            for kept, weight in zip(weights, self.network.parameters(), strict=True):
                weight.copy_(kept)
        return {
            "model_loss": float(torch.stack(losses).mean()),
            "model_error": float(best.mean()),
            "model_epochs": float(epoch),
            **(
                {"model_calibration": self._calibration(*held_out[:2])}
                if self.probabilistic
                else {}
            ),
        }

    def _weights(self) -> list[torch.Tensor]:
        """Copies of all parameters, members first."""
        return [weight.detach().clone() for weight in self.network.parameters()]

    def _batches(self, chosen: torch.Tensor) -> Iterator[torch.Tensor]:
        """Rows [E, N] of the gradient steps of a pass over the data, or of several short ones."""
        steps = -(-chosen.shape[1] // self.batch)
        for _ in range(-(-SHORTEST // steps)):
            order = torch.rand(chosen.shape, generator=self.generator).argsort(dim=1)
            yield from chosen.gather(1, order.to(self.device)).split(self.batch, dim=1)

    def _descend(
        self, inputs: torch.Tensor, targets: torch.Tensor, ended: torch.Tensor
    ) -> torch.Tensor:
        """A gradient step for inputs [E, N, in]; the loss, a mean over the members."""
        with self.counter.count("fit", inputs.shape[1]):
            mean, log_variance, ending = self.network(inputs)
            squares = (mean - targets) ** 2
            if self.probabilistic:  # the negative log-likelihood, but for constants
                each = squares * (-log_variance).exp() + log_variance
                spread = (self.network.most - self.network.least).sum(dim=-1).mean()
                loss = each.mean(dim=(1, 2)).sum() + 0.01 * spread
            else:
                loss = squares.mean(dim=(1, 2)).sum()
            if self.network.ends:
                wrong = functional.binary_cross_entropy_with_logits(ending[..., 0], ended)
                loss = loss + self.members * wrong
            loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.updates += 1
        return loss.detach() / self.members

    def _errors(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        ended: torch.Tensor,
        variance: torch.Tensor,
    ) -> torch.Tensor:
        """Mean squared errors [E] in variances of the targets; of ends too, once they were seen.

        Variance [] is that of all ends.
        """
        with torch.no_grad(), self.counter.count("test", len(inputs)):
            mean, _, ending = self.network(inputs.expand(self.members, -1, -1))
        errors = ((mean - targets) ** 2).mean(dim=(1, 2))
        if self.network.ends:
            missed = ((ending[..., 0].sigmoid() - ended) ** 2).mean(dim=1)
            errors = errors + missed / variance
        return errors

    def _calibration(self, inputs: torch.Tensor, targets: torch.Tensor) -> float:
        """How many targets lie within the central 90% of what a member predicts: 0.9 is right."""
        with torch.no_grad(), self.counter.count("test", len(inputs)):
            mean, log_variance, _ = self.network(inputs.expand(self.members, -1, -1))
        within = (mean - targets).abs() < 1.6449 * (0.5 * log_variance).exp()
        return float(within.float().mean())


def hold_out(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of so many transitions are held out, and the others; the first is among the former.

    A fifth, as they come, but no more than some. None is ever held out that was learned from
    before: a transition has a number from 0 to 1 by its place in the memory, and is held out where
    that is below the share, which only falls.
    """
    number = torch.arange(count, dtype=torch.float64) * GOLDEN % 1
    held = number < min(HOLDOUT, HOLDOUT_MOST / count)
    return held.nonzero()[:, 0], (~held).nonzero()[:, 0]


class _Network(nn.Module):
    """Means, log-variances [E, N, out] and logits of an end [E, N, 1] of inputs [E, N, in]."""

    ends: torch.Tensor

    def __init__(self, size: int, width: int, depth: int, out: int, members: int):
        super().__init__()
        sizes = [size, *[width] * depth]
        hidden = [EnsembleLinear(members, a, b) for a, b in itertools.pairwise(sizes)]
        self.hidden = nn.ModuleList(hidden)
        self.last = EnsembleLinear(members, sizes[-1], 2 * out + 1)
        # Learned bounds of the log-variances (PETS, appendix A.1).
        self.most = nn.Parameter(torch.full((members, 1, out), 0.5))
        self.least = nn.Parameter(torch.full((members, 1, out), -10.0))
        # Whether an episode was ever seen to end of its own; before, none is predicted to.
        self.register_buffer("ends", torch.tensor(False))
        self.out = out

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        for layer in self.hidden:
            x = functional.silu(layer(x))
        mean, log_variance, ending = self.last(x).split([self.out, self.out, 1], dim=-1)
        log_variance = self.most - functional.softplus(self.most - log_variance)
        log_variance = self.least + functional.softplus(log_variance - self.least)
        return mean, log_variance, ending
