"""Networks that see: what stands before the layers of a policy or a value on Atari."""

from typing import Any

import numpy as np
import torch
from torch import nn

from learners.shifts import shifted

SIZE = 84  # pixels on each side of a frame
KINDS = ("nature", "efficient")


def pictures(space: Any) -> bool:
    """Whether observations are pictures: bytes [C, height, width]."""
    return space.dtype == np.uint8 and len(space.shape) == 3


def check_size(space: Any) -> None:
    """Refuse pictures that the convolutions can't see.

    Raises:
      ValueError: for another size than 84 x 84.
    """
    if space.shape[1:] != (SIZE, SIZE):
        raise ValueError(f"observations are pictures {space.shape}: expected [C, {SIZE}, {SIZE}]")


def channels_last(frames: torch.Tensor) -> torch.Tensor:
    """Frames [N, C, height, width] of bytes as floats, a new tensor.

    With the channels last in memory, convolutions and their gradients take half the time on a CPU.
    Bytes are moved faster than floats.
    """
    return frames.contiguous(memory_format=torch.channels_last).float()


class Pixels(nn.Module):
    """Frames [N, C, 84, 84] of bytes to numbers from 0 to 1."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return channels_last(frames).div_(255)


class CentredPixels(nn.Module):
    """Frames [N, C, height, width] of bytes minus the mean frame so far, over their deviation.

    The deviation is one for all pixels. What is always there is taken away: before it, a ball of a
    pixel or two is drowned in a first layer by the background, which is as bright at every place.
    """

    total: torch.Tensor
    squares: torch.Tensor
    count: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        # Sums of whole numbers: they are exact, so that it does not matter how frames came.
        self.register_buffer("total", torch.zeros(1, *shape, dtype=torch.int64))
        self.register_buffer("squares", torch.zeros((), dtype=torch.int64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(1, *shape))
        self.register_buffer("scale", torch.tensor(1 / 255))

    def observe(self, frames: torch.Tensor) -> None:
        """Take in frames [N, C, height, width] of bytes."""
        self.total += frames.sum(dim=0, keepdim=True)
        whole = frames.int()
        self.squares += whole.mul_(whole).sum()
        self.count += len(frames)
        mean = self.total / self.count.double()
        variance = self.squares / (self.count * mean.numel()).double() - mean.square().mean()
        self.mean.copy_(mean)
        self.scale.copy_(variance.clamp(min=1.0).rsqrt())  # a level of grey at least

    def forward(
        self, frames: torch.Tensor, reach: int = 0, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """With a `reach`, frames are moved by up to so many pixels, see `shifted`."""
        if reach and generator is not None:
            return shifted(frames, self.mean, reach, generator).mul_(self.scale)
        return channels_last(frames).sub_(self.mean).mul_(self.scale)


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
