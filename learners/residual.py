"""Networks of latents that a search can go through: of pictures, and of vectors.

The latents of pictures are small pictures themselves, [channels, height, width], those of vectors
are vectors. Both are rows [N, S] to whom they pass by; the rows of a picture have its channels
last, so that looking at them as a picture moves nothing.
"""

import math
from typing import Any

import torch
from torch import nn

from learners.coded import ActionCode
from learners.convolutions import CentredPixels, pictures
from learners.discrete import Flat
from learners.networks import mlp

Shape = tuple[int, ...]  # of a latent: (size,), or (channels, height, width)

REDUCED = 16  # a latent picture has so many pixels fewer on each side


def latent_shape(space: Any, channels: int, width: int) -> Shape:
    """Of latents of observations in a space: `channels` for pictures, `width` for vectors."""
    if not pictures(space):
        return (width,)
    return channels, *(-(-side // REDUCED) for side in space.shape[1:])


def normalised(rows: torch.Tensor) -> torch.Tensor:
    """Rows [N, S] from 0 to 1, each by its own extremes (Schrittwieser et al. 2020, appendix G)."""
    low = rows.amin(dim=1, keepdim=True)
    return (rows - low) / (rows.amax(dim=1, keepdim=True) - low + 1e-5)


class ToPicture(nn.Module):
    """Rows [N, S] as pictures [N, C, H, W]."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        channels, height, width = self.shape
        return rows.view(len(rows), height, width, channels).permute(0, 3, 1, 2)


class ToRows(nn.Module):
    """Pictures [N, C, H, W] as rows [N, S]."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return picture.permute(0, 2, 3, 1).flatten(1)


def seeing(network: nn.Module) -> nn.Module:
    """With He's weights and without biases at first.

    So that what differs between observations is not drowned from the beginning by what is always
    the same: torch's own weights are smaller, and its biases as large.
    """
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif parameter.dim() > 1:
            nn.init.kaiming_normal_(parameter)
    return network


def convolution(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size of a picture, or divides it by the stride."""
    return nn.Conv2d(channels, out, kernel, stride, kernel // 2)


class Residual(nn.Module):
    """A residual block with layer normalisation before its activations.

    As in He et al. (2016), "Identity mappings in deep residual networks", with the normalisation of
    Schrittwieser et al. (2021), which is the same in training and in a search.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.inner = nn.Sequential(
            nn.GroupNorm(1, channels),
            nn.ReLU(inplace=True),
            convolution(channels, channels, 3),
            nn.GroupNorm(1, channels),
            nn.ReLU(inplace=True),
            convolution(channels, channels, 3),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


def refined(channels: int, blocks: int) -> nn.Sequential:
    """Residual blocks and what ends them."""
    each = (Residual(channels) for _ in range(blocks))
    return nn.Sequential(*each, nn.GroupNorm(1, channels), nn.ReLU(inplace=True))


class Encoder(nn.Module):
    """Observations [N, *O] to latents [N, S].

    Pictures, less the mean of those that were observed, become 4, 8 and 16 times smaller, with
    residual blocks at the last two sizes: less than in Ye et al. (2021), appendix A, and what a CPU
    carries.
    """

    def __init__(self, space: Any, shape: Shape, blocks: int):
        super().__init__()
        self.centred: CentredPixels | None = None
        if len(shape) == 1:
            size = math.prod(space.shape)
            self.layers = seeing(nn.Sequential(Flat(), mlp(size, shape[0], blocks, shape[0])))
            return
        channels = shape[0]
        self.centred = CentredPixels(space.shape)
        layers: list[nn.Module] = [
            convolution(space.shape[0], channels // 2, 7, 4),
            nn.ReLU(inplace=True),
        ]
        layers += [convolution(channels // 2, channels, 3, 2)]
        layers += [Residual(channels) for _ in range(blocks)]
        layers += [convolution(channels, channels, 3, 2), refined(channels, blocks)]
        self.layers = seeing(nn.Sequential(*layers, ToRows()))

    def observe(self, observations: torch.Tensor) -> None:
        """Take in observations [N, *O]; the mean of pictures is of these."""
        if self.centred is not None:
            self.centred.observe(observations)

    def forward(
        self,
        observations: torch.Tensor,
        reach: int = 0,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """With a `reach`, pictures are moved by up to so many pixels, see `shifted`."""
        if self.centred is None:
            return normalised(self.layers(observations))
        return normalised(self.layers(self.centred(observations, reach, generator)))


class Dynamics(nn.Module):
    """Latents [N, S] and actions [N, ...] to the next latents: what an action adds to them.

    For pictures, each number of an action's code is a plane.
    """

    def __init__(self, shape: Shape, code: ActionCode, blocks: int):
        super().__init__()
        self.code, self.flat = code, len(shape) == 1
        channels = shape[0]
        if self.flat:
            self.change = seeing(mlp(channels + code.size, channels, blocks, channels))
            return
        self.look, self.rows = ToPicture(shape), ToRows()
        self.change = seeing(convolution(channels + code.size, channels, 3))
        self.blocks = seeing(refined(channels, blocks))

    def forward(self, rows: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        taken = self.code(action).to(rows)
        if self.flat:
            return normalised(rows + self.change(torch.cat([rows, taken], dim=1)))
        picture = self.look(rows)
        planes = taken[:, :, None, None].expand(-1, -1, *picture.shape[2:])
        changed = picture + self.change(torch.cat([picture, planes], dim=1))
        return normalised(self.rows(self.blocks(changed)))


def head(shape: Shape, width: int, out: int) -> nn.Module:
    """Latents [N, S] to outputs [N, out], which are 0 at first; one hidden layer.

    All channels are read: few, behind a rectifier, let through what counts first, and no more.
    """
    network = mlp(math.prod(shape), width, 1, out)
    for parameter in list(network.parameters())[-2:]:
        nn.init.zeros_(parameter)
    return network
