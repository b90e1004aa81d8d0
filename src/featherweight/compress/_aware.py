"""Quantization-aware training: the network computes with rounded numbers while it is trained, and learns to live so."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._fold import fold_batch_norm
from ._qdq import QuantizationError
from ._weights import BITS, largest_level

MOMENTUM = 0.05  # of a batch in the running ends of an activation
LEVELS = 255
SMALLEST = 1e-30  # scale of an activation: where an input was always zero


class QuantizationAware(nn.Module):
    """A network that rounds its weights and activations as int8 will; made by `quantization_aware`.

    In train mode the ranges of the activations follow what is seen; in eval mode they stay.

    Args:
        network: a folded copy; its layers are changed in place.
        bits: of a weight.
    Raises: QuantizationError: it is asked in eval mode before a batch in train mode: nothing is known of its ranges.
    """

    def __init__(self, network: nn.Module, bits: int) -> None:
        super().__init__()
        self.network = network
        for name, layer in network.named_modules():
            if type(layer) in ROUNDED:
                layer.__class__ = ROUNDED[type(layer)]
                layer.rounded_input = RoundedInput(name).to(layer.weight.device)
                layer.rounded_weight = RoundedWeight(largest_level(bits, depthwise=_is_depthwise(layer)))

    def forward(self, x: Tensor) -> Tensor:
        """Pictures [N, C, H, W] -> logits [N, classes]."""
        logits: Tensor = self.network(x)
        return logits

    def converted(self) -> nn.Module:
        """Return a plain copy in eval mode with the rounded weights, for `featherweight.export`."""
        plain = copy.deepcopy(self.network).eval()
        for _, layer in _rounded_layers(plain):
            layer.weight = nn.Parameter(layer.rounded_weight(layer.weight).detach())
            del layer.rounded_input, layer.rounded_weight
            layer.__class__ = nn.Conv2d if isinstance(layer, RoundedConv2d) else nn.Linear  # type: ignore[assignment]
        return plain

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the learned range of each layer's input, for `quantize(..., ranges=...)`.

        Raises: QuantizationError: a layer has not seen a batch in train mode.
        """
        seen = {name: layer.rounded_input for name, layer in _rounded_layers(self.network)}
        found = {name: (float(one.lowest), float(one.highest)) for name, one in seen.items()}
        if unseen := [name for name, (low, high) in found.items() if low > high]:
            raise QuantizationError(f"no batch in train mode has reached the layers {', '.join(unseen)}")
        return {name: (low, max(high, low + LEVELS * SMALLEST)) for name, (low, high) in found.items()}


def quantization_aware(model: nn.Module, *, bits: int = 8) -> QuantizationAware:
    """Return a copy of a trained network that is trained on with rounded weights and activations, in any loop.

    Its batch norms are folded first, with their running statistics: the weights that are rounded in training are those
    that ship, and no statistics change behind them. It is for fine-tuning at a low learning rate, a hundredth of the
    first training's or so. Gradients pass the rounding as if it were not there (straight-through), and not what lies
    outside of a range.

    Args:
        model: a trained network; left as it is.
        bits: of a weight, 8, 6, 5 or 4; activations have 8.
    Raises:
        QuantizationError: other bits, or no layer to round.
        FoldError: a batch norm cannot be folded.
    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference,
        CVPR 2018; Krishnamoorthi, Quantizing Deep Convolutional Networks, 2018 (frozen batch norm)

    Example:
        >>> import featherweight, torch
        >>> model = featherweight.create("squeezenet", version="1.1", num_classes=2, in_channels=1)
        >>> aware = quantization_aware(model, bits=4)
        >>> optimizer = torch.optim.SGD(aware.parameters(), lr=1e-4)
        >>> aware(torch.randn(4, 1, 32, 32)).square().mean().backward()
        >>> optimizer.step()
        >>> aware.converted()(torch.randn(1, 1, 32, 32)).shape, len(aware.ranges())
        (torch.Size([1, 2]), 26)
    """
    if not isinstance(bits, int) or bits not in BITS:
        raise QuantizationError(f"wanted {', '.join(map(str, BITS))} bits for a weight; got {bits!r}")
    folded = fold_batch_norm(model).train()
    if not any(type(module) in ROUNDED for module in folded.modules()):
        raise QuantizationError("no layer to round: the network has neither Conv2d nor Linear")
    return QuantizationAware(folded, bits)


class RoundedWeight(nn.Module):
    """Rounds a weight [out, ...] to whole numbers of a scale per output channel, its largest weight to `largest`."""

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, weight: Tensor) -> Tensor:
        """Return the rounded weight; its gradient goes straight through."""
        ends = weight.detach().abs().flatten(1).amax(1)
        scales = torch.where(ends > 0, ends / self.largest, 1.0)
        zeros = torch.zeros_like(scales, dtype=torch.int32)
        rounded: Tensor = torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -self.largest, self.largest)
        return rounded


class RoundedInput(nn.Module):
    """Rounds an activation to 256 levels between running ends, of which one is zero.

    Args:
        layer: the name of the layer that it comes into, for the error.
    """

    lowest: Tensor
    highest: Tensor

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("lowest", torch.tensor(torch.inf))  # above the highest: nothing was seen yet
        self.register_buffer("highest", torch.tensor(-torch.inf))

    def forward(self, x: Tensor) -> Tensor:
        """Return the rounded activation; the gradient is 1 inside the range and 0 outside.

        Raises: QuantizationError: in eval mode, and nothing was seen in train mode.
        """
        if self.training:
            self._follow(x.detach())
        elif self.lowest > self.highest:
            raise QuantizationError(
                f"no batch in train mode has reached the layer {self.layer}: its range is not known"
            )
        scale = ((self.highest - self.lowest) / LEVELS).clamp_min(SMALLEST)
        zero = torch.round(-self.lowest / scale).clamp(0, LEVELS).int()
        rounded: Tensor = torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, LEVELS)
        return rounded

    def _follow(self, x: Tensor) -> None:
        low, high = x.amin().clamp_max(0), x.amax().clamp_min(0)
        if self.highest > self.lowest:
            low, high = torch.lerp(self.lowest, low, MOMENTUM), torch.lerp(self.highest, high, MOMENTUM)
        self.lowest.copy_(low)
        self.highest.copy_(high)


class RoundedConv2d(nn.Conv2d):
    """A Conv2d of rounded input and weight."""

    rounded_input: RoundedInput
    rounded_weight: RoundedWeight

    def forward(self, x: Tensor) -> Tensor:
        """Shape: as `nn.Conv2d`."""
        y: Tensor = self._conv_forward(self.rounded_input(x), self.rounded_weight(self.weight), self.bias)
        return y


class RoundedLinear(nn.Linear):
    """A Linear of rounded input and weight."""

    rounded_input: RoundedInput
    rounded_weight: RoundedWeight

    def forward(self, x: Tensor) -> Tensor:
        """Shape: as `nn.Linear`."""
        y: Tensor = functional.linear(self.rounded_input(x), self.rounded_weight(self.weight), self.bias)
        return y


ROUNDED: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: RoundedConv2d, nn.Linear: RoundedLinear}


def _rounded_layers(network: nn.Module) -> Iterator[tuple[str, RoundedConv2d | RoundedLinear]]:
    for name, module in network.named_modules():
        if isinstance(module, RoundedConv2d | RoundedLinear):
            yield name, module


def _is_depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups > 1 and layer.groups == layer.in_channels == layer.out_channels
