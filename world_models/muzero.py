"""MuZero's model: it predicts what planning needs, in latents that it makes up for it.

Schrittwieser et al. (2020), "Mastering Atari, Go, chess and shogi by planning with a learned
model", appendix G, for rewards and for how latents are unrolled; Ye et al. (2021), "Mastering Atari
games with limited data" (EfficientZero), section 4.1, for the consistency of unrolled latents with
those of what was observed. Episodes that end of their own are predicted too.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from learners.coded import ActionCode, Searched
from learners.flops import Flops
from learners.networks import Linear
from learners.pace import Pace
from learners.residual import Dynamics, Encoder, head, latent_shape
from learners.sequences import Sequences
from learners.stored import STEPS, Stored
from learners.two_hot import ROOT, Bins
from suites.parameters import Count, Limit, Natural, NonNegative, Positive, Range, checked


class MuZero(Stored):
    """Encodes observations, steps their latents by actions, and says what these steps pay.

    Arguments:
      spec: Facts of the task: `name`, `observation_space` and `action_space`.
      seed: Of weights and batches.
      device: Where the networks are: cpu, cuda.
      repeat: Control steps of a transition; None: 2, with discrete actions 1.
      channels, width: Of the latents of pictures, and of vectors.
      blocks: Residual blocks; of vectors hidden layers.
      hidden: Units of the hidden layers of heads.
      projection: Size of what the consistency compares.
      bins, limit: Of the distributions of rewards, see `Bins`.
      unroll: Decisions that latents are unrolled for in a gradient step.
      capacity: Decisions that the memory holds.
      ratio: Gradient steps per decision, after the first `warmup` decisions, which are random.
      outcome_weight: Of what steps pay and whether they end, beside the other losses.
      consistency: Weight of its loss.
      shift: Pictures are moved at random by up to so many pixels when they are learned from.
      grid: Points of each dimension of continuous actions, see `ActionCode`.

    Raises:
      ValueError: for bad parameters.
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
        repeat: Count | None,
        channels: Count,
        width: Count,
        blocks: Natural,
        hidden: Count,
        projection: Annotated[int, Range(2)],
        bins: Annotated[int, Range(2)],
        limit: Positive,
        unroll: Count,
        batch: Count,
        capacity: Count,
        warmup: Natural,
        ratio: NonNegative,
        learning_rate: Positive,
        weight_decay: NonNegative,
        gradient_norm: Limit,
        outcome_weight: NonNegative,
        consistency: NonNegative,
        shift: Natural,
        grid: Annotated[int, Range(2)],
    ):
        self.spec, self.device = spec, torch.device(device)
        code = self.code = ActionCode(spec.action_space, grid)
        self.stride = repeat or (1 if code.discrete else 2)
        self.shift = shift
        self.unroll, self.batch, self.capacity = unroll, batch, capacity
        self.pace = Pace(ratio, warmup)
        self.gradient_norm = gradient_norm
        self.outcome_weight, self.consistency = outcome_weight, consistency
        self.rewards = Bins(
            bins, limit, ROOT, self.device, ("world_model.bins", "world_model.limit")
        )
        shape = latent_shape(spec.observation_space, channels, width)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            size = int(np.prod(shape))
            self.networks = nn.ModuleDict(
                {
                    "encoder": Encoder(spec.observation_space, shape, blocks),
                    "dynamics": Dynamics(shape, code, blocks),
                    "outcome": head(shape, hidden, bins + 1),  # reward, then whether it goes on
                    "projector": _projection(size, projection, projection, ends=True),
                    "predictor": _projection(projection, projection // 2, projection),
                }
            )
        # With channels last, convolutions take a fifth less time on a CPU.
        self.networks.to(self.device).to(memory_format=torch.channels_last)  # pyright: ignore
        self.optimiser = torch.optim.AdamW(
            self.networks.parameters(), learning_rate, weight_decay=weight_decay, fused=True
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.counter = Flops()
        self.updates = self.model_steps = 0

    @property
    def warming(self) -> bool:
        """Whether the first decisions are still being made."""
        return self.pace.warming

    def begin(self, observations: np.ndarray, task: Any) -> np.ndarray:
        """Latents [B, S] of observations [B, *O]."""
        with torch.no_grad(), self.counter.count("begin", len(observations)):
            return self.networks["encoder"](self._tensor(observations)).cpu().numpy()

    def step(
        self, state: np.ndarray, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Next latents [M, S], rewards [M] and continuation [M] of actions [M] or [M, A]."""
        self.model_steps += len(state)
        with torch.no_grad(), self.counter.count("step", len(state)):
            taken = torch.as_tensor(action - self.code.start).to(self.device)
            following = self.networks["dynamics"](self._tensor(state), taken)
            reward, goes_on = self._outcome(following)
            told = torch.stack([self.rewards.decode(reward), goes_on.sigmoid()])
        reward, continuation = told.cpu().numpy().astype(np.float64)
        return following.cpu().numpy(), reward, continuation

    def rollout(
        self, state: np.ndarray, plans: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards and continuation [B, K, H], and last latents [B, K, S], of plans [B, K, H, ...].

        Rewards are expected ones: what a step pays by the chance that the episode got to it.
        """
        rewards, continuation = np.empty(plans.shape[:3]), np.empty(plans.shape[:3])
        rows, alive = np.repeat(state, plans.shape[1], axis=0), np.ones(plans.shape[:2])
        for h in range(plans.shape[2]):
            rows, paid, goes_on = self.step(rows, plans[:, :, h].reshape(-1, *plans.shape[3:]))
            rewards[:, :, h] = alive * paid.reshape(alive.shape)
            alive = alive * goes_on.reshape(alive.shape)
            continuation[:, :, h] = alive
        return rewards, continuation, rows.reshape(*plans.shape[:2], -1)

    def select(self, state: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Latents [M, S] of some of the environments."""
        return state[which]

    def features(self, state: np.ndarray) -> np.ndarray:
        """The latents [..., S] themselves."""
        return state

    def make_source(self, num_envs: int, folder: Path) -> Searched:
        """An empty memory, with what searches found."""
        return Searched(self.capacity, self.spec, num_envs, folder, self.code)

    def update(self, source: Searched, learner: Any) -> dict[str, float]:
        """The joint gradient steps that are due; means of losses, {} if none was.

        Raises:
          ValueError: if the memory is too small for its sequences.
        """
        due = self.pace.due(source)
        length = self.unroll + getattr(learner, "ahead", 0)
        if source.length <= length:
            least = source.num_envs * (length + 1)
            raise ValueError(f"world_model.capacity is {self.capacity}: give at least {least}")
        if due <= 0 or len(source) <= source.num_envs * length:
            return {}
        total: dict[str, torch.Tensor] = {}
        for _ in range(due):
            drawn = source.sample(self.batch, length, self.generator, self.device, whole=False)
            with self.counter.count("update"):
                said = self._step(drawn, learner)
            total = {name: total.get(name, 0.0) + value.detach() for name, value in said.items()}
            self.updates += 1
        return {name: float(value) / due for name, value in total.items()}

    def _step(self, drawn: Sequences, learner: Any) -> dict[str, torch.Tensor]:
        """One gradient step of the model and of what reads its latents; its losses."""
        encoder: Any = self.networks["encoder"]
        encoder.observe(drawn.observation[0])
        latents, encoded = self.unrolled(drawn)
        said = self._losses(latents, encoded, drawn)
        loss = self.outcome_weight * (said["reward_loss"] + said["continuation_loss"])
        loss = loss + self.consistency * said["consistency_loss"]
        if learner.trains:
            shaping, named = learner.shaping(latents, encoded, drawn)
            loss, said = loss + shaping, {**said, **named}
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.networks.parameters(), self.gradient_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        if learner.trains:
            said = {**said, **learner.follow(latents)}
        return {**said, "gradient_norm": norm}

    def unrolled(self, drawn: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents [K + 1, N, S] by the actions from the first observation on; encoded [T, N, S].

        What a step gives back to the latents that it came from is halved. The latents of the later
        observations, without gradient, are what the former should have been. Pictures are moved at
        random, each for itself.
        """
        seen, encoder = drawn.observation, self.networks["encoder"]
        latents = [encoder(seen[0], self.shift, self.generator)]
        for action in drawn.action[: self.unroll]:
            latents.append(self.networks["dynamics"](_halved(latents[-1]), action))
        with torch.no_grad():
            # Each step for itself: what becomes of so many pictures stays in the cache.
            encoded = torch.stack([encoder(x, self.shift, self.generator) for x in seen[1:]])
        return torch.stack(latents), encoded

    def _losses(
        self, latents: torch.Tensor, encoded: torch.Tensor, drawn: Sequences
    ) -> dict[str, torch.Tensor]:
        """Means over steps and sequences, of decisions that were made."""
        made = drawn.valid[: self.unroll]
        reward, goes_on = self._outcome(latents[1:].flatten(0, 1))
        paid = self.rewards.divergence(reward, drawn.reward[: self.unroll].flatten())
        aim = 1 - drawn.terminated[: self.unroll].flatten()
        ends = functional.binary_cross_entropy_with_logits(goes_on, aim, reduction="none")
        projector, predictor = self.networks["projector"], self.networks["predictor"]
        with torch.no_grad():
            target = projector(encoded[: self.unroll].flatten(0, 1))
        predicted = predictor(projector(latents[1:].flatten(0, 1)))
        apart = 1 - functional.cosine_similarity(predicted, target, dim=1)
        losses = {"reward_loss": paid, "continuation_loss": ends, "consistency_loss": apart}
        return {name: (made.flatten() * loss).mean() for name, loss in losses.items()}

    def _outcome(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the reward [N, bins] and of the continuation [N] of steps to latents [N, S]."""
        told = self.networks["outcome"](latents)
        return told[:, :-1], told[:, -1]

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        kept = array if array.dtype == np.uint8 else array.astype(np.float32, copy=False)
        return torch.from_numpy(kept).to(self.device)


def _halved(x: torch.Tensor) -> torch.Tensor:
    """The same, but half of its gradient."""
    return x / 2 + x.detach() / 2


def _projection(size: int, width: int, out: int, ends: bool = False) -> nn.Sequential:
    """Layers of SimSiam's heads; without normalisation over the batch latents would grow alike.

    Chen and He (2021), "Exploring simple Siamese representation learning", section 3. These heads
    are for training alone, so that no statistics are kept.
    """

    def normalised(units: int) -> nn.Module:
        return nn.BatchNorm1d(units, track_running_stats=False)

    layers = Linear(size, width), normalised(width), nn.ReLU(inplace=True), Linear(width, out)
    return nn.Sequential(*layers, *([normalised(out)] if ends else []))
