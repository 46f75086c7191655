"""Gradient steps."""

import torch


def descend(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """A gradient step of the optimiser's parameters alone: other networks get no gradient."""
    loss.backward(inputs=optimiser.param_groups[0]["params"])
    optimiser.step()
    optimiser.zero_grad()
