"""Affine maps whose matrix products are as fast as the processor allows.

On a CPU, torch multiplies matrices in single precision by MKL, which on processors of another maker
does not use their widest instructions. oneDNN, which torch has on board for convolutions, does: on
an AMD EPYC with AVX-512 it is twice as fast. So large products go there, the small ones and those
of other devices to torch.
"""

from typing import Any

import torch
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

# Below so many multiplications a call of oneDNN costs more than it saves.
LARGE = 1 << 20

_product = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
if not torch.backends.mkldnn.is_available():
    _product = None

if _product is not None:

    @register_flop_formula(_product)
    def _flops(x: Any, weight: Any, *_: Any, **__: Any) -> int:
        return 2 * x[0] * x[1] * weight[0]


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """X weight^T + bias [N, out], of x [N, in], weight [out, in] and bias [out]."""
    large = x.dim() == 2 and x.numel() * len(weight) > LARGE
    if _product is None or not large or x.device.type != "cpu" or x.dtype != torch.float32:
        return functional.linear(x, weight, bias)
    return _Linear.apply(x.contiguous(), weight, bias)  # pyright: ignore


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return _times(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[torch.Tensor | None, ...]:
        gradient = gradients[0].contiguous()  # as x: with gaps between rows, oneDNN is very slow
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _times(gradient, weight.t()) if of_x else None,
            _times(gradient.t(), x.t()) if of_weight else None,
            gradient.sum(dim=0) if of_bias else None,
        )


def _times(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """X weight^T [+ bias]."""
    assert _product is not None
    return _product(x, weight, bias, "none", [], "")
