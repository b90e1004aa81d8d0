"""EffNet's block: a depthwise 3x3 taken apart into 1x3 and 3x1, and its reduction taken apart with it."""

from torch import Tensor, nn

from ._conv import ConvNormAct


class EffNetBlock(nn.Module):
    """Halve the height between a depthwise 1x3 and a depthwise 3x1, and the width in the last layer.

    x [N, in, H, W] -> 1x1 [N, h, H, W] -> 1x3 depthwise [N, m*h, H, W] -> 2x1 max pool [N, m*h, H/2, W]
    -> 3x1 depthwise [N, m*h, H/2, W] -> 1x2 with stride 2 along the width [N, out, H/2, W/2]

    Batch normalisation and activation stand behind each convolution. One side is halved at a time, so that
    no single layer throws away three values of four.

    Args:
        hidden_channels: h; default half of out_channels, and at least 6, as in the first version.
        multiplier: m, maps that the 1x3 layer makes of each channel; 2 in the revised version.
        activation: of the first and the last layer.
        depthwise_activation: of the two depthwise layers; "relu" in the revised version.
    Shape: [N, in_channels, H, W] -> [N, out_channels, floor(H / 2), floor(W / 2)]
    Cost per image, multiply-adds (even H and W): H*W * (in*h + 3*m*h + 3*m*h/2 + m*h*out/2)
    Source: Freeman et al. 2018, https://arxiv.org/abs/1801.06434, Fig. 1a and Section 4.2; revised version Section 6.
    Differs from the paper: where batch normalisation stands, and the first version's activation, it does not say.

    Example:
        >>> import torch
        >>> EffNetBlock(64, 128)(torch.zeros(1, 64, 16, 16)).shape
        torch.Size([1, 128, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int | None = None,
        multiplier: int = 1,
        activation: str = "leaky_relu",
        depthwise_activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        hidden = max(out_channels // 2, 6) if hidden_channels is None else hidden_channels
        wide = multiplier * hidden
        self.squeeze = ConvNormAct(in_channels, hidden, activation=activation)
        self.depthwise1x3 = ConvNormAct(
            hidden, wide, kernel_size=(1, 3), groups=hidden, activation=depthwise_activation
        )
        self.pool = nn.MaxPool2d((2, 1))
        self.depthwise3x1 = ConvNormAct(wide, wide, kernel_size=(3, 1), groups=wide, activation=depthwise_activation)
        self.expand = ConvNormAct(
            wide, out_channels, kernel_size=(1, 2), stride=(1, 2), padding=0, activation=activation
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, floor(H / 2), floor(W / 2)]."""
        y: Tensor = self.expand(self.depthwise3x1(self.pool(self.depthwise1x3(self.squeeze(x)))))
        return y
