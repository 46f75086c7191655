"""Gradient steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def soft_optimisers(
    networks: Any, learning_rate: float, weight_decay: float
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Those of a soft actor-critic's `actor` and `critic`.

    The actor's also moves `log_temperature`, which saves a step: neither's loss depends on the
    other.
    """
    actor, critic = (
        torch.optim.AdamW(part.parameters(), learning_rate, weight_decay=weight_decay, fused=True)
        for part in (networks.actor, networks.critic)
    )
    actor.add_param_group({"params": [networks.log_temperature], "weight_decay": 0.0})
    return actor, critic


def descend(
    optimiser: torch.optim.Optimizer, loss: torch.Tensor, gradient_norm: float | None = None
) -> None:
    """A gradient step of the optimiser's parameters alone: other networks get no gradient.

    A gradient longer than `gradient_norm` is shortened to it.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    loss.backward(inputs=parameters)
    if gradient_norm is not None:
        nn.utils.clip_grad_norm_(parameters, gradient_norm)
    optimiser.step()
    optimiser.zero_grad()


def as_vector(parameters: list[nn.Parameter]) -> nn.Parameter:
    """A vector [n] of all n numbers of the parameters, which from now on are views of it.

    An optimiser's step is then one operation, however many layers there are. The parameters must
    be where they will stay, on their device, and get no gradients of their own.
    """
    vector = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    parts = vector.detach().split([parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.data = part.view_as(parameter)
    return vector


@contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """Inside, nothing has gradients for the parameters of the network: that saves work."""
    network.requires_grad_(False)
    try:
        yield network
    finally:
        network.requires_grad_(True)
