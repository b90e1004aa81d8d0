"""Squeeze-and-excite: weigh each channel by what the whole picture says about it."""

from torch import Tensor, nn

from ._conv import activation


class SqueezeExcite(nn.Module):
    """Average each channel over the picture, and scale the channels by a small network's opinion of the averages.

    x [N, C, H, W] -> mean [N, C, 1, 1] -> 1x1 reduce, activation [N, squeeze, 1, 1] -> 1x1 expand, gate [N, C, 1, 1]
    -> x * gate [N, C, H, W]

    Args:
        squeeze_channels: width between the two 1x1 layers, which have biases and no batch normalisation.
        activation: between the two: "relu" in MobileNetV3 and GhostNet, "silu" in EfficientNet.
        gate: what brings the scale to 0..1: "hard_sigmoid" (MobileNetV3, GhostNet) or "sigmoid" (EfficientNet).
    Shape: [N, channels, H, W] -> the same
    Cost per image, multiply-adds: 2 * channels * squeeze_channels (the mean and the scaling count as additions and
    multiplications of their own).
    Source: Hu et al. 2018, https://arxiv.org/abs/1709.01507, Fig. 3. Differs from the paper: the linear layers are
    1x1 convolutions, as in the released code of the mobile networks; the result is the same.

    Example:
        >>> import torch
        >>> SqueezeExcite(72, 24)(torch.zeros(1, 72, 28, 28)).shape
        torch.Size([1, 72, 28, 28])
    """

    def __init__(
        self, channels: int, squeeze_channels: int, *, activation: str = "relu", gate: str = "hard_sigmoid"
    ) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeeze_channels, 1)
        self.act = _activation(activation)
        self.expand = nn.Conv2d(squeeze_channels, channels, 1)
        self.gate = _activation(gate)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> the same shape."""
        scale: Tensor = self.gate(self.expand(self.act(self.reduce(x.mean((2, 3), keepdim=True)))))
        return x * scale


_activation = activation  # inside the block the word is an argument
