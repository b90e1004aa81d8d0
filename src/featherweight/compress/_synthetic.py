"""Calibration without data: pictures that give each batch norm the statistics which it remembers of the training."""

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ._layers import Float
from ._qdq import QuantizationError

LEARNING_RATE = 0.1


def synthetic_pictures(
    model: nn.Module, input_shape: tuple[int, int, int], *, count: int = 64, steps: int = 100, seed: int = 0
) -> Float:
    """Make pictures for `quantize` out of a trained network's batch norms, where there are no real ones.

    From normal noise on, the pictures themselves are trained until mean and standard deviation of each channel before
    each batch norm are the running ones. Ranges, equalization and bias correction then need no data.

    Args:
        model: a trained network, its batch norms not folded; left as it is.
        input_shape: channels, height, width.
        count: pictures; all are computed at once.
        steps: of Adam.
        seed: of the noise; the same seed gives the same pictures.
    Returns: float32 [count, C, H, W], normalised as the network's input.
    Raises: QuantizationError: the network has no batch norm with running statistics.
    Source: Cai et al., ZeroQ, CVPR 2020, equation 3

    Example:
        >>> import featherweight
        >>> model = featherweight.create("mobilenet_v2", width=0.35, in_channels=1)
        >>> synthetic_pictures(model, (1, 32, 32), count=4, steps=2).shape
        (4, 1, 32, 32)
    """
    twin = copy.deepcopy(model).eval()
    norms = [one for one in twin.modules() if isinstance(one, nn.BatchNorm2d) and one.running_mean is not None]
    if not norms:
        raise QuantizationError("the network has no batch norm whose statistics would say what its inputs were")
    seen: list[_Seen] = []

    def look(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        seen.append(_Seen(norm, inputs[0]))

    draw = torch.Generator().manual_seed(seed)
    pictures = torch.randn(count, *input_shape, generator=draw).requires_grad_()
    optimizer = torch.optim.Adam([pictures], LEARNING_RATE)
    for norm in norms:
        norm.register_forward_pre_hook(look)
    for _ in range(steps):
        seen.clear()
        twin(pictures)
        pictures.grad = torch.autograd.grad(torch.stack([one.distance() for one in seen]).sum(), pictures)[0]
        optimizer.step()
    made: Float = pictures.detach().numpy().astype(np.float32)
    return made


class _Seen(NamedTuple):
    """What came to a batch norm."""

    norm: nn.BatchNorm2d
    values: Tensor

    def distance(self) -> Tensor:
        """Return how far its mean and deviation are from the running ones, in running deviations, squared."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None
        deviation = (variance + self.norm.eps).sqrt()
        channels = self.values.transpose(0, 1).flatten(1)
        off = (channels.mean(1) - mean) / deviation
        wide = (channels.var(1, correction=0) + self.norm.eps).sqrt() / deviation - 1
        return (off**2 + wide**2).mean()
