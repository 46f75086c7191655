"""Pictures moved at random by a few pixels, so that no network learns by heart where things are.

Yarats et al. (2021), "Image Augmentation Is All You Need: Regularizing Deep Reinforcement Learning
from Pixels", section 3.1.
"""

import torch


def shifted(
    pictures: torch.Tensor, mean: torch.Tensor, reach: int, generator: torch.Generator
) -> torch.Tensor:
    """Pictures [N, C, H, W] less their mean, each moved by up to `reach` pixels both ways.

    Edges are repeated. The mean moves along: of pictures that were moved before, all that never
    moves would come back as edges. What comes back has its channels last in memory.

    Arguments:
      pictures: Bytes, of which four take the room of a number: so moving them is cheaper.
      mean: [1, C, H, W] in single precision.
    """
    count, channels, height, width = pictures.shape
    wide, still = _widened(pictures, reach), _widened(mean, reach)[0]
    moved = mean.new_empty(count, height, width, channels)
    moves = torch.randint(2 * reach + 1, (count, 2), generator=generator)
    for n, (y, x) in enumerate(moves.tolist()):  # on a CPU a gather takes three times as long
        rows, columns = slice(y, y + height), slice(x, x + width)
        torch.sub(wide[n, rows, columns], still[rows, columns], out=moved[n])
    return moved.permute(0, 3, 1, 2)


def _widened(pictures: torch.Tensor, reach: int) -> torch.Tensor:
    """Pictures [N, C, H, W] with their edges repeated: [N, H + 2 reach, W + 2 reach, C]."""
    count, channels, height, width = pictures.shape
    wide = pictures.new_empty(count, height + 2 * reach, width + 2 * reach, channels)
    inner, right = wide[:, reach : reach + height], reach + width
    inner[:, :, reach:right] = pictures.permute(0, 2, 3, 1)
    inner[:, :, :reach], inner[:, :, right:] = inner[:, :, [reach]], inner[:, :, [right - 1]]
    wide[:, :reach], wide[:, reach + height :] = inner[:, :1], inner[:, -1:]
    return wide
