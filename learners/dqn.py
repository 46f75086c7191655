"""Deep Q-learning, and each of its extensions that together are Rainbow.

Mnih et al. (2015), "Human-level control through deep reinforcement learning"; all together: Hessel
et al. (2018), "Rainbow: Combining Improvements in Deep Reinforcement Learning".
"""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from learners.convolutions import pictures
from learners.discrete import Greedy, actions_of, explore
from learners.flops import Flops
from learners.frame_replay import Batch, FrameReplay
from learners.pace import Pace
from learners.q_network import QNetwork, project
from learners.stored import STEPS, Stored
from suites.parameters import Count, Finite, Limit, Natural, NonNegative, Positive, Share, checked

METRICS = ("q_loss", "value", "gradient_norm")


class DQN(Stored):
    """Deep Q-learning with discrete actions.

    Arguments:
      spec: Facts of the task: `name`, `observation_space` and `action_space`.
      seed: Of weights, batches and the noise of updates.
      device: Where the networks are: cpu, cuda.
      num_envs: Environments of training.
      torso: Of pictures: `nature` or `efficient`.
      width, depth: Units of a hidden layer, and hidden layers; None: 1 behind a torso, else 2.
      batch_norm: Normalise each hidden layer over the batch.
      double: The learned network chooses the action that the target network values (van Hasselt et
        al. 2016, "Deep Reinforcement Learning with Double Q-learning").
      dueling: One stream for the state, one for the actions' advantages (Wang et al. 2016, "Dueling
        Network Architectures for Deep Reinforcement Learning").
      prioritised: Draw by error^`priority_exponent`, with importance weights whose exponent goes
        from `beta` to 1 within `beta_decisions` (Schaul et al. 2016, "Prioritized Experience
        Replay"). Of a distribution, the error is the Kullback-Leibler divergence.
      n_step: Rewards of a return.
      distributional: Distributions on `atoms` atoms from `value_min` to `value_max` (Bellemare et
        al. 2017, "A Distributional Perspective on Reinforcement Learning").
      noisy: Layers with noise, of deviation `noise_sigma` at first (Fortunato et al. 2018, "Noisy
        Networks for Exploration").
      adam_epsilon: Of the optimiser Adam.
      gradient_norm: The gradient is clipped to it; None: it is not.
      capacity: Frames that the replay memory holds.
      ratio: Gradient steps per decision, after the first `warmup` decisions, which are uniformly
        random.
      target_period: Gradient steps between two copies to the target network.
      reward_clip: Rewards are clipped to [-clip, clip]; None: they are not. reward_scale: Then they
        are multiplied by it.
      epsilon_start, epsilon_end, epsilon_decisions: Share of random actions: from, to, and within
        how many decisions after the first `warmup`. evaluation_epsilon: In evaluation.

    Raises:
      ValueError: for bad parameters, and actions that are not discrete.
    """

    STORED = ("network", "target", "optimiser", *STEPS)
    trains, has_value, on_policy = True, True, False

    @checked("learner")
    def __init__(
        self,
        spec: Any,
        seed: int,
        device: str,
        num_envs: Count,
        torso: str,
        width: Count,
        depth: Natural | None,
        batch_norm: bool,
        double: bool,
        dueling: bool,
        prioritised: bool,
        n_step: Count,
        distributional: bool,
        noisy: bool,
        learning_rate: Positive,
        adam_epsilon: Positive,
        gradient_norm: Limit | None,
        batch: Count,
        capacity: Count,
        warmup: Natural,
        ratio: NonNegative,
        discount: Share,
        target_period: Count,
        reward_clip: Limit | None,
        reward_scale: Positive,
        epsilon_start: Share,
        epsilon_end: Share,
        epsilon_decisions: Natural,
        evaluation_epsilon: Share,
        priority_exponent: NonNegative,
        beta: Share,
        beta_decisions: Natural,
        atoms: Count,
        value_min: Finite,
        value_max: Finite,
        noise_sigma: NonNegative,
    ):
        self.actions, self.start = actions_of(spec)
        if distributional and not (atoms > 1 and value_min < value_max):
            raise ValueError(
                f"learner.atoms is {atoms}, from value_min {value_min} to value_max {value_max}:"
                " give at least 2, and a least value below the greatest"
            )
        if batch_norm and batch == 1:
            raise ValueError("learner.batch is 1: with learner.batch_norm=true give at least 2")
        if not (noisy and noise_sigma) and not epsilon_start and not epsilon_end:
            without = "noise_sigma=0" if noisy else "noisy=false"
            raise ValueError(
                f"learner.{without} with learner.epsilon_start=0 explores nothing: give"
                " learner.epsilon_start=1.0 learner.epsilon_end=0.01"
            )
        self.space = spec.observation_space
        self.device, self.num_envs = torch.device(device), num_envs
        self.double, self.distributional, self.n_step = double, distributional, n_step
        self.gradient_norm = math.inf if gradient_norm is None else gradient_norm
        self.batch, self.capacity, self.pace = batch, capacity, Pace(ratio, warmup)
        self.discount, self.target_period = discount, target_period
        self.reward_clip, self.reward_scale = reward_clip, reward_scale
        self.epsilon = epsilon_start, epsilon_end, epsilon_decisions
        self.evaluation_epsilon = evaluation_epsilon
        self.exponent = priority_exponent if prioritised else 0.0
        self.beta = beta, 1.0, beta_decisions
        if depth is None:
            depth = 1 if pictures(self.space) else 2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = QNetwork(
                self.space,
                self.actions,
                torso,
                width,
                depth,
                dueling,
                atoms if distributional else 1,
                noise_sigma if noisy else 0.0,
                batch_norm,
            )
        # With channels last, convolutions take a fifth less time on a CPU.
        self.network.to(self.device).to(memory_format=torch.channels_last)  # pyright: ignore
        self.network.eval()
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self.atoms = torch.linspace(value_min, value_max, atoms, device=self.device)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), learning_rate, eps=adam_epsilon, fused=True
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.counter = Flops()
        self.updates = 0

    @property
    def greedy(self) -> Greedy:
        """The best action, without noise, as a prior."""
        return Greedy(self, self.start, self.evaluation_epsilon)

    def sample(self, features: np.ndarray, noise: Any) -> np.ndarray:
        """Actions [B] for features [B, *O], with exploration."""
        if self.pace.warming:
            return self.start + explore(0, 1.0, self.actions, noise)
        normals = None
        if self.network.noise_size:
            normals = torch.from_numpy(noise.normal(self.network.noise_size)).float()
        best = self._ask("act", features, normals).argmax(axis=1)
        epsilon = _anneal(self.epsilon, self.pace.seen - self.pace.warmup)
        return self.start + explore(best, epsilon, self.actions, noise)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Values of all actions [N, n] for features [N, *O], as logits of a policy."""
        return self._ask("value", features, None)

    def value(self, features: np.ndarray) -> np.ndarray:
        """Values [N] of the best actions for features [N, *O]."""
        return self.logits(features).max(axis=1)

    def _ask(self, kind: str, features: np.ndarray, normals: torch.Tensor | None) -> np.ndarray:
        """[N, n] in units of the reward."""
        with torch.no_grad(), self.counter.count(kind, len(features)):
            observations = torch.as_tensor(features).to(self.device)
            if normals is not None:
                normals = normals.to(self.device)
            values = self._values(self.network(self.network.prepare(observations), normals))
        return values.cpu().numpy().astype(np.float64) / self.reward_scale

    def make_source(self, num_envs: int, folder: Path) -> FrameReplay:
        """An empty replay memory."""
        return FrameReplay(
            self.capacity,
            self.space,
            self.start,
            num_envs,
            self.n_step,
            self.discount,
            folder,
            self.exponent,
            self.reward_clip,
        )

    def update(self, source: FrameReplay) -> dict[str, float]:
        """The gradient steps that are due; means of `METRICS`, {} if none was."""
        if len(source) == 0 or (due := self.pace.due(source)) <= 0:
            return {}
        total = torch.zeros(len(METRICS), device=self.device)
        beta = _anneal(self.beta, self.pace.seen)
        for _ in range(due):
            drawn = source.sample(self.batch, self.generator, self.device, beta)
            with self.counter.count("update"):
                metrics, errors = self._step(drawn)
            total += metrics
            if self.exponent > 0:
                source.prioritise(drawn.places, errors.cpu().numpy())
            self.updates += 1
            if self.updates % self.target_period == 0:
                self.target.load_state_dict(self.network.state_dict())
        return dict(zip(METRICS, (total / due).tolist(), strict=True))

    def _step(self, drawn: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """One gradient step; [len(METRICS)], and errors [N] for priorities."""
        rows = torch.arange(self.batch, device=self.device)
        now, following = self.network.prepare(drawn.observations).chunk(2)
        with torch.no_grad():
            future = self.target(following, self._normals())
            chooser = self.network(following, self._normals()) if self.double else future
            future = future[rows, self._values(chooser).argmax(dim=1)]
        self.network.train()
        outputs = self.network(now, self._normals())
        self.network.eval()
        chosen = outputs[rows, drawn.action]
        reward = self.reward_scale * drawn.reward
        if self.distributional:
            aim = project(future.softmax(dim=1), reward, drawn.discount, self.atoms)
            said = chosen.log_softmax(dim=1)
            losses = functional.kl_div(said, aim, reduction="none").sum(dim=1)
            errors = losses.detach().clamp(min=0)
        else:
            aim = reward + drawn.discount * future[:, 0]
            losses = functional.huber_loss(chosen[:, 0], aim, reduction="none")
            errors = (chosen[:, 0].detach() - aim).abs()
        loss = (drawn.weight * losses).mean()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        value = self._values(outputs.detach()).amax(dim=1).mean()
        return torch.stack([loss.detach(), value, norm]), errors

    def _values(self, outputs: torch.Tensor) -> torch.Tensor:
        """Values [N, n] from what a network says [N, n, atoms]."""
        if self.distributional:
            return outputs.softmax(dim=2) @ self.atoms
        return outputs[..., 0]

    def _normals(self) -> torch.Tensor | None:
        """Noise of one call, the same for the whole batch."""
        if not self.network.noise_size:
            return None
        normals = torch.randn(1, self.network.noise_size, generator=self.generator)
        return normals.to(self.device)


def _anneal(schedule: tuple[float, float, int], decisions: int) -> float:
    """From the first number to the second within so many decisions."""
    first, last, within = schedule
    return first + (last - first) * min(decisions / max(within, 1), 1.0)
