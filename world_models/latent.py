"""The world model of TD-MPC2: latents that predict themselves, rewards, and values.

Hansen, Su and Wang (2024), "TD-MPC2: Scalable, Robust World Models for Continuous Control"; it has
no decoder. The value is the learner's (`learners/tdmpc2.py`), whose loss joins in.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from learners.flops import Flops
from learners.normed import GROUP, NormedMLP
from learners.pace import Pace
from learners.sequences import SequenceReplay, Sequences
from learners.squashed import ActionBox
from learners.stored import STEPS, Stored
from learners.two_hot import SYMLOG, Bins
from suites.parameters import Count, Limit, Natural, NonNegative, Positive, Range, Share, checked
from world_models import rollouts


class LatentModel(Stored):
    """Encoder z = h(s), latent dynamics z' = d(z, a), reward R(z, a): section 3.1 of the paper.

    Arguments:
      spec: Facts of the task: `observation_space` (vectors) and `action_space`, boxes.
      seed: Of weights and batches.
      device: Where the networks are: cpu, cuda.
      repeat: Control steps of a transition.
      size: Numbers of a latent, a multiple of 8.
      encoder_width, width: Units of a hidden layer, of the encoder and of the other networks.
      encoder_depth: Hidden layers of the encoder.
      half: Whether matrices are multiplied in bfloat16.
      bins, bound: See `Bins`; of rewards, and of the learner's values.
      encoder_rate: The encoder's learning rate, relative to the others'.
      gradient_norm: Longer gradients, the learner's included, are shortened to it.
      horizon: Transitions that latents are unrolled for in a gradient step.
      rho: Weight of each transition relative to the one before.
      consistency_weight, reward_weight: Of these losses in the sum.
      warmup, pretraining, ratio: The first decisions are random; then there are so many gradient
        steps at once, and from there on so many per decision.

    Attributes:
      sim_steps, sim_frames: None: it never asks the simulator.
      The rest as in `LearnedModel`.

    Raises:
      ValueError: for a task that it can't model, and for bad parameters.
    """

    STORED = ("networks", "optimiser", "model_steps", *STEPS)
    trains, latent = True, True
    sim_steps = sim_frames = 0

    @checked("world_model")
    def __init__(
        self,
        spec: Any,
        seed: int,
        device: str,
        repeat: Count,
        size: Count,
        encoder_width: Count,
        encoder_depth: Natural,
        width: Count,
        half: bool,
        bins: Annotated[int, Range(2)],
        bound: Positive,
        learning_rate: Positive,
        encoder_rate: NonNegative,
        gradient_norm: Limit,
        batch: Count,
        horizon: Count,
        rho: Share,
        consistency_weight: NonNegative,
        reward_weight: NonNegative,
        capacity: Count,
        warmup: Natural,
        pretraining: Natural,
        ratio: NonNegative,
    ):
        check(spec, size, horizon, warmup)
        self.spec, self.stride, self.device = spec, repeat, torch.device(device)
        box = ActionBox(spec.action_space)
        self.middle, self.half_range = (
            torch.as_tensor(part, dtype=torch.float32, device=self.device)
            for part in (box.middle, box.half)
        )
        self.bins = Bins(
            bins, bound, SYMLOG, self.device, ("world_model.bins", "world_model.bound")
        )
        self.batch, self.horizon, self.capacity = batch, horizon, capacity
        self.pace = Pace(ratio, warmup, pretraining)
        self.weights = rho ** torch.arange(horizon, device=self.device) / horizon
        self.consistency_weight, self.reward_weight = consistency_weight, reward_weight
        self.gradient_norm = gradient_norm
        observation = int(np.prod(spec.observation_space.shape))
        encoder = observation, *[encoder_width] * encoder_depth, size
        hidden = size + box.size, width, width
        self.networks = _Networks(encoder, hidden, bins, half, seed).to(self.device)
        parts = self.networks
        others = [*parts.dynamics.parameters(), *parts.reward.parameters()]
        self.optimiser = torch.optim.Adam(
            [
                {"params": parts.encoder.parameters(), "lr": encoder_rate * learning_rate},
                {"params": others},
            ],
            learning_rate,
            fused=True,
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.counter = Flops()
        self.model_steps = self.updates = 0

    @property
    def warming(self) -> bool:
        """Whether the first decisions are still being made."""
        return self.pace.warming

    def begin(self, observations: np.ndarray, task: Any) -> np.ndarray:
        """Latents [B, S] of observations [B, O]."""
        with torch.inference_mode(), self.counter.count("begin", len(observations)):
            seen = torch.as_tensor(observations, dtype=torch.float32).to(self.device)
            return self.networks.encoder(seen.flatten(1)).cpu().numpy()

    def step(
        self, state: np.ndarray, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Next latents [M, S], rewards [M] and continuation [M] of actions [M, A]."""
        return rollouts.step(self, state, action)

    def rollout(
        self, state: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards [B, K, H], continuation [B, K, H], last latents [B, K, S] of plans [B, K, H, A].

        It does not know of terminations: continuation is 1.
        """
        batch, candidates, horizon, size = plans.shape
        rewards = []
        with torch.inference_mode(), self.counter.count("rollout", batch * candidates, horizon):
            latent = torch.as_tensor(state).to(self.device).repeat_interleave(candidates, dim=0)
            actions = torch.from_numpy(plans.reshape(-1, horizon, size))
            for action in self._in_box(actions.float().to(self.device)).unbind(1):
                pair = torch.cat([latent, action], dim=1)
                rewards.append(self.bins.decode(self.networks.reward(pair)))
                latent = self.networks.dynamics(pair)
            paid = torch.stack(rewards, dim=1).cpu().numpy().astype(np.float64)
        self.model_steps += batch * candidates * horizon
        last = latent.cpu().numpy().reshape(batch, candidates, -1)
        return paid.reshape(plans.shape[:3]), np.ones(plans.shape[:3]), last

    def select(self, state: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Latents [M, S] of some of the environments."""
        return state[which]

    def features(self, state: np.ndarray) -> np.ndarray:
        """Latents are what a policy and a value see."""
        return state

    def make_source(self, num_envs: int, folder: Path) -> SequenceReplay:
        """An empty memory of sequences."""
        return SequenceReplay(self.capacity, self.spec, num_envs, folder)

    def update(self, source: SequenceReplay, learner: Any) -> dict[str, float]:
        """The gradient steps that are due, the learner's with them; means of what they said."""
        due = self.pace.due(source)
        learner = learner if learner.trains else Alone()
        said: dict[str, torch.Tensor] = {}
        for _ in range(due):
            batch = source.sample(self.batch, self.horizon, self.generator, self.device)
            batch = batch._replace(action=self._in_box(batch.action))
            with self.counter.count("update"):
                terms = self._learn(batch, learner)
            for name, value in terms.items():
                said[name] = said.get(name, 0.0) + value.detach()
            self.updates += 1
        return {name: float(value) / due for name, value in said.items()}

    def _learn(self, batch: Sequences, learner: Any) -> dict[str, torch.Tensor]:
        """One joint gradient step, then the learner's own; named terms."""
        loss, latents, terms = self.loss(batch, learner)
        loss.backward()
        joint = [*self.networks.parameters(), *learner.joint]
        norm = nn.utils.clip_grad_norm_(joint, self.gradient_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return {**terms, "gradient_norm": norm, **learner.follow(latents.detach())}

    def loss(
        self, batch: Sequences, learner: Any
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
        """The joint loss, the latents [T + 1, N, S] on the way, and named terms.

        Of a batch with actions in [-1, 1].
        """
        parts, observation = self.networks, batch.observation.float().flatten(2)
        with torch.no_grad():
            encoded = parts.encoder(observation[1:])
        latents = [parts.encoder(observation[0])]
        for action in batch.action:
            latents.append(parts.dynamics(torch.cat([latents[-1], action], dim=1)))
        unrolled = torch.stack(latents)
        apart = functional.mse_loss(unrolled[1:], encoded, reduction="none").mean(dim=(1, 2))
        consistency = apart @ self.weights
        logits = parts.reward(torch.cat([unrolled[:-1], batch.action], dim=2))
        reward = self.bins.divergence(logits, batch.reward).mean(dim=1) @ self.weights
        shaping, terms = learner.shaping(unrolled, encoded, batch)
        loss = self.consistency_weight * consistency + self.reward_weight * reward + shaping
        return loss, unrolled, {"consistency_loss": consistency, "reward_loss": reward, **terms}

    def _in_box(self, actions: torch.Tensor) -> torch.Tensor:
        """Actions [..., A] of the task in units of the box."""
        return (actions - self.middle) / self.half_range


class Alone:
    """Stands in for a learner where there is none: nothing is added to the model's own losses."""

    joint: tuple[()] = ()

    def shaping(self, latents: Any, encoded: Any, batch: Any) -> tuple[float, dict[str, Any]]:
        return 0.0, {}

    def follow(self, latents: Any) -> dict[str, Any]:
        return {}


def check(spec: Any, size: int, horizon: int, warmup: int) -> None:
    """Refuse what can't be modelled.

    Raises:
      ValueError: says what can be chosen instead.
    """
    if hasattr(spec.action_space, "n") or len(spec.observation_space.shape) != 1:
        raise ValueError(
            f"world_model=latent needs continuous actions and observations that are vectors, and"
            f" task {spec.name} has others: choose another world model"
        )
    if size < GROUP or size % GROUP:
        raise ValueError(f"world_model.size is {size}: give a multiple of {GROUP}")
    if warmup <= horizon:
        raise ValueError(
            f"world_model.warmup is {warmup}: give more than world_model.horizon, {horizon}"
        )


class _Networks(nn.Module):
    """All that is learned, and what goes with it into a checkpoint."""

    def __init__(
        self, encoder: tuple[int, ...], hidden: tuple[int, ...], bins: int, half: bool, seed: int
    ):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = NormedMLP(*encoder, simplicial=True, half=half)
            self.dynamics = NormedMLP(*hidden, encoder[-1], simplicial=True, half=half)
            self.reward = NormedMLP(*hidden, bins, zero=True, half=half)
