"""Discrete regression: numbers as distributions over bins that are evenly spaced on some scale.

A network says with which probability a number lies at each bin, and a number is given to it as the
two bins that it lies between. Schrittwieser et al. (2020), appendix F, for MuZero's rewards and
values; Hafner et al. (2023), "Mastering Diverse Domains through World Models", section "Critic
learning", for those of TD-MPC2 (Hansen et al. 2024).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional

SLOPE = 1e-3  # epsilon of `squash`: so that it can be gone back


def symlog(x: torch.Tensor) -> torch.Tensor:
    """sign(x) log(1 + |x|), elementwise."""
    return torch.sign(x) * torch.log1p(torch.abs(x))


def symexp(x: torch.Tensor) -> torch.Tensor:
    """The inverse of `symlog`."""
    return torch.sign(x) * torch.expm1(torch.abs(x))


def squash(x: torch.Tensor) -> torch.Tensor:
    """sign(x) (sqrt(|x| + 1) - 1) + epsilon x (Pohlen et al. 2018, proposition A.2)."""
    return x.sign() * ((x.abs() + 1).sqrt() - 1) + SLOPE * x


def unsquash(y: torch.Tensor) -> torch.Tensor:
    """The inverse of `squash`, without the difference of numbers that are almost the same."""
    size = y.abs() + 1 + SLOPE
    root = 2 * size / ((1 + 4 * SLOPE * size).sqrt() + 1)
    return y.sign() * (root**2 - 1)


class Scale(NamedTuple):
    """A scale that tames large numbers, and the way back."""

    to: Callable[[torch.Tensor], torch.Tensor]
    back: Callable[[torch.Tensor], torch.Tensor]


SYMLOG, ROOT = Scale(symlog, symexp), Scale(squash, unsquash)


class Bins:
    """So many bins from -`limit` to `limit` on a scale; numbers beyond count as the outermost ones.

    Arguments:
      bins: Their number.
      limit: The place of the last one on the scale.
      names: Of these two options, for errors.

    Raises:
      ValueError: for bad parameters.
    """

    def __init__(
        self, bins: int, limit: float, scale: Scale, device: torch.device, names: tuple[str, str]
    ):
        if bins < 2 or limit <= 0:
            raise ValueError(
                f"{names[0]} is {bins} and {names[1]} is {limit}: give at least 2 bins, and more"
                " than 0"
            )
        self.count, self.limit, self.width = bins, limit, 2 * limit / (bins - 1)
        self.scale, self.centres = scale, torch.linspace(-limit, limit, bins, device=device)

    def decode(self, logits: torch.Tensor) -> torch.Tensor:
        """Numbers [...] that logits [..., bins] stand for: their mean, back from the scale."""
        return self.scale.back(logits.softmax(dim=-1) @ self.centres)

    def two_hot(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of numbers x [...], the lower bin [...] and the weight [...] of the next one above it."""
        place = (self.scale.to(x).clamp(-self.limit, self.limit) + self.limit) / self.width
        # What is no number has no bin, and stays none in its weight.
        lower = place.nan_to_num().floor().clamp(0, self.count - 2)
        return lower.long(), (place - lower).clamp(max=1)  # whatever the rounding at the last one

    def divergence(self, logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """[...] of logits [..., bins] from the two bins of numbers x [...], see `divergence`."""
        lower, weight = self.two_hot(x)
        both = torch.stack([lower, lower + 1], dim=-1).expand(*logits.shape[:-1], 2)
        said = logits.log_softmax(dim=-1).gather(-1, both)
        entropy = torch.special.entr(weight) + torch.special.entr(1 - weight)
        return -torch.lerp(said[..., 0], said[..., 1], weight) - entropy


def divergence(logits: torch.Tensor, aim: torch.Tensor) -> torch.Tensor:
    """[...] of logits [..., n] from distributions [..., n].

    The Kullback-Leibler one: it has the gradients of a cross-entropy, and is 0 where there is
    nothing to learn.
    """
    said = functional.log_softmax(logits, dim=-1)
    return functional.kl_div(said, aim, reduction="none").sum(dim=-1)
