"""Gradient steps."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def descend(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """A gradient step of the optimiser's parameters alone: other networks get no gradient."""
    loss.backward(inputs=optimiser.param_groups[0]["params"])
    optimiser.step()
    optimiser.zero_grad()


@contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """Inside, nothing has gradients for the parameters of the network: that saves work."""
    network.requires_grad_(False)
    try:
        yield network
    finally:
        network.requires_grad_(True)
