"""The network of deep Q-learning with its extensions, and the projection of C51."""

from typing import Any

import torch
from torch import nn

from learners import products
from learners.discrete import encoder
from learners.networks import Linear


class NoisyLinear(nn.Module):
    """An affine map with factorised Gaussian noise on weights and biases.

    Fortunato et al. (2018), "Noisy Networks for Exploration", section 3: the noise of the weight
    w_ij is sigma_ij f(e_i) f(e_j), with f(e) = sgn(e) sqrt|e|. As it is a product, it need not be
    written out: it scales the inputs and outputs of a second affine map, and costs no more where
    each row has noise of its own.

    Attributes:
      normals: [1 or N, size + out] standard normals of the next call; None: no noise.
    """

    def __init__(self, size: int, out: int, sigma: float):
        super().__init__()
        bound = size**-0.5
        self.weight = nn.Parameter(torch.empty(out, size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full((out, size), sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full((out,), sigma * bound))
        self.noise = (size, out)
        self.normals: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = products.linear(x, self.weight, self.bias)
        if self.normals is None:
            return mean
        scales = self.normals.sign() * self.normals.abs().sqrt()
        inputs, outputs = scales.split(self.noise, dim=1)
        noisy = products.linear(x * inputs, self.weight_sigma, self.bias_sigma)
        return torch.addcmul(mean, noisy, outputs)


class QNetwork(nn.Module):
    """Values of actions, or logits of their distributions.

    Arguments:
      torso: Of pictures; other observations have none.
      width, depth: Units of a hidden layer, and hidden layers. Of a dueling network, whose two
        streams have a last hidden layer each, the others are common (Wang et al. 2016, "Dueling
        Network Architectures for Deep Reinforcement Learning").
      atoms: Outputs for each action.
      sigma: Of the noise at first; 0: the layers are plain.

    Attributes:
      prepare: Makes numbers of observations [N, *O]; `forward` takes these.
      noise_size: Normals that one call takes.
    """

    def __init__(
        self,
        space: Any,
        actions: int,
        torso: str,
        width: int,
        depth: int,
        dueling: bool,
        atoms: int,
        sigma: float,
        batch_norm: bool,
    ):
        super().__init__()

        def linear(size: int, out: int) -> nn.Module:
            return NoisyLinear(size, out, sigma) if sigma > 0 else Linear(size, out)

        def hidden(size: int) -> list[nn.Module]:
            norm = [nn.BatchNorm1d(width)] if batch_norm else []
            return [linear(size, width), *norm, nn.ReLU(inplace=True)]

        self.prepare, trunk, size = encoder(space, torso, batch_norm)
        self.trunk = nn.Sequential(trunk)
        for _ in range(depth - 1):
            self.trunk.extend(hidden(size))
            size = width
        last = width if depth > 0 else size

        def stream(out: int) -> nn.Module:
            return nn.Sequential(*(hidden(size) if depth > 0 else []), linear(last, out))

        self.advantage = stream(actions * atoms)
        self.value = stream(atoms) if dueling else None
        self._shape = (actions, atoms)
        self._noisy = [layer for layer in self.modules() if isinstance(layer, NoisyLinear)]
        self._parts = [sum(layer.noise) for layer in self._noisy]
        self.noise_size = sum(self._parts)

    def forward(self, x: torch.Tensor, normals: torch.Tensor | None = None) -> torch.Tensor:
        """[N, actions, atoms] of prepared observations, with noise of normals [1 or N, size]."""
        parts = [None] * len(self._parts) if normals is None else normals.split(self._parts, 1)
        for layer, part in zip(self._noisy, parts, strict=True):
            layer.normals = part
        x = self.trunk(x)
        advantage = self.advantage(x).unflatten(1, self._shape)
        if self.value is None:
            return advantage
        return self.value(x)[:, None] + advantage - advantage.mean(dim=1, keepdim=True)


def project(
    probabilities: torch.Tensor, reward: torch.Tensor, discount: torch.Tensor, atoms: torch.Tensor
) -> torch.Tensor:
    """Distributions of reward + discount * z, on the atoms z again.

    Bellemare et al. (2017), "A Distributional Perspective on Reinforcement Learning", equation 7:
    what falls between two atoms is shared by them, what falls outside belongs to the outermost.

    Arguments:
      probabilities: [N, K].
      reward, discount: [N].
      atoms: [K], equally spaced.
    """
    moved = (reward[:, None] + discount[:, None] * atoms).clamp(atoms[0], atoms[-1])
    distance = (moved[:, None, :] - atoms[:, None]).abs() / (atoms[1] - atoms[0])
    return torch.einsum("nij,nj->ni", (1 - distance).clamp(min=0), probabilities)
