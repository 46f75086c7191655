"""Networks that see: what stands before the layers of a policy or a value on Atari."""

from typing import Any

import numpy as np
import torch
from torch import nn

SIZE = 84  # pixels on each side of a frame
KINDS = ("nature", "efficient")


def pictures(space: Any) -> bool:
    """Whether observations are pictures: bytes [C, height, width]."""
    return space.dtype == np.uint8 and len(space.shape) == 3


class Pixels(nn.Module):
    """Frames [N, C, 84, 84] of bytes to numbers from 0 to 1.

    With the channels last in memory, convolutions and their gradients take half the time on a CPU.
    """

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return frames.to(torch.float32, memory_format=torch.channels_last).div_(255)


def torso(kind: str, channels: int, batch_norm: bool = False) -> tuple[nn.Sequential, int]:
    """A stack of convolutions for frames [N, channels, 84, 84] of bytes; the size of what it gives.

    `nature`: Mnih et al. (2015), "Human-level control through deep reinforcement learning": 3136.
    `efficient`: van Hasselt et al. (2019), "When to use parametric models in reinforcement
    learning?", appendix E: 576. With `batch_norm` each layer is normalised over the batch.

    Raises:
      ValueError: for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"learner.torso is '{kind}': choose one of {', '.join(KINDS)}")
    if kind == "nature":
        layers, size = ((32, 8, 4), (64, 4, 2), (64, 3, 1)), 64 * 7 * 7
    else:
        layers, size = ((32, 5, 5), (64, 5, 5)), 64 * 3 * 3
    stack: list[nn.Module] = [Pixels()]
    for out, kernel, stride in layers:
        stack.append(nn.Conv2d(channels, out, kernel, stride))
        stack += [nn.BatchNorm2d(out)] if batch_norm else []
        stack.append(nn.ReLU(inplace=True))
        channels = out
    return nn.Sequential(*stack, nn.Flatten()), size
