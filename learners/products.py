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
    if x.numel() * weight.size(0) <= LARGE:
        return functional.linear(x, weight, bias)
    return perceptron(x, (weight, bias))


def perceptron(x: torch.Tensor, *layers: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Layers of rectified units, but for the last, which is linear.

    Arguments:
      x: Inputs [N, in].
      layers: Weights [out, in] and biases [out] of each layer.

    On a CPU all layers are one operation to torch, which has fewer intermediate results to keep.
    """
    large = x.dim() == 2 and len(x) * max(weight.numel() for weight, _ in layers) > LARGE
    fit = x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)
    if _product is None or not large or not fit:
        for weight, bias in layers[:-1]:
            x = functional.linear(x, weight, bias).relu_()
        return functional.linear(x, *layers[-1])
    return _Perceptron.apply(x, *(part for layer in layers for part in layer))  # pyright: ignore


class _Perceptron(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, *parameters: Any) -> torch.Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        inputs = []
        for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            inputs.append(x)
            x = _times(x, weight, bias, rectified=i < len(weights) - 1)
        ctx.save_for_backward(*inputs, *weights)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[torch.Tensor | None, ...]:
        saved = ctx.saved_tensors
        depth = len(saved) // 2
        inputs, weights = saved[:depth], saved[depth:]
        needed = ctx.needs_input_grad
        found: list[torch.Tensor | None] = [None] * len(needed)
        gradient = gradients[0]
        for i in reversed(range(depth)):
            if needed[2 * i + 1]:
                found[2 * i + 1] = _of_weight(gradient, inputs[i], weights[i])
            if needed[2 * i + 2]:
                found[2 * i + 2] = gradient.sum(dim=0)
            if any(needed[: 2 * i + 1]):
                gradient = _times(gradient, weights[i].t())
                if i > 0:  # nothing passes through units at rest
                    torch.ops.aten.threshold_backward.grad_input(
                        gradient, inputs[i], 0, grad_input=gradient
                    )
        found[0] = gradient if needed[0] else None
        return tuple(found)


def _of_weight(gradient: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The gradient of a weight [out, in], in that one's layout if it has to be copied for it.

    oneDNN wants the rows of the first factor together: so the narrower one is to be transposed.
    """
    if x.shape[1] < gradient.shape[1] or not weight.is_contiguous():
        return _times(x.t(), gradient.t()).t()
    return _times(gradient.t(), x.t())


def _times(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    rectified: bool = False,
) -> torch.Tensor:
    """X weight^T [+ bias], [rectified]."""
    assert _product is not None
    if x.numel() * weight.size(0) > LARGE:
        # Of rows with gaps between them, oneDNN is very slow.
        return _product(x.contiguous(), weight, bias, "relu" if rectified else "none", [], "")
    result = functional.linear(x, weight, bias)
    return result.relu_() if rectified else result
