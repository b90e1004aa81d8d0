"""The fire module: few channels in, so that the 3x3 convolution behind them is cheap."""

import torch
from torch import Tensor, nn


class Fire(nn.Module):
    """Squeeze to few channels with 1x1, then expand with 1x1 and 3x3 side by side.

    x [N, in, H, W] -> 1x1 squeeze [N, s, H, W] -> 1x1 [N, e1, H, W] beside 3x3 [N, e3, H, W] -> joined (+ bypass of x)

    Args:
        squeeze_channels: the paper's s1x1.
        expand1x1_channels, expand3x3_channels: the paper's e1x1 and e3x3.
        bypass: add the input to the output; through a 1x1 convolution of its own where the channel counts differ
            (the paper's complex bypass), as it is where they are equal (its simple bypass).
    Shape: [N, in_channels, H, W] -> [N, expand1x1_channels + expand3x3_channels, H, W]
    Cost per image, multiply-adds: H*W * (in*s + s*e1 + 9*s*e3), with a 1x1 bypass + H*W * in*(e1 + e3)
    Source: Iandola et al. 2016, https://arxiv.org/abs/1602.07360, Section 3.1, Fig. 1; bypass Section 6, Fig. 2.
    Differs from the paper: none. All convolutions have biases; there is no batch normalisation.

    Example:
        >>> import torch
        >>> fire = Fire(96, squeeze_channels=16, expand1x1_channels=64, expand3x3_channels=64)
        >>> fire(torch.zeros(1, 96, 55, 55)).shape
        torch.Size([1, 128, 55, 55])
    """

    def __init__(
        self,
        in_channels: int,
        *,
        squeeze_channels: int,
        expand1x1_channels: int,
        expand3x3_channels: int,
        bypass: bool = False,
    ) -> None:
        super().__init__()
        out_channels = expand1x1_channels + expand3x3_channels
        self.squeeze = nn.Conv2d(in_channels, squeeze_channels, 1)
        self.expand1x1 = nn.Conv2d(squeeze_channels, expand1x1_channels, 1)
        self.expand3x3 = nn.Conv2d(squeeze_channels, expand3x3_channels, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.bypass: nn.Module | None = None
        if bypass:
            self.bypass = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, expand1x1_channels + expand3x3_channels, H, W]."""
        squeezed = self.act(self.squeeze(x))
        y: Tensor = self.act(torch.cat((self.expand1x1(squeezed), self.expand3x3(squeezed)), 1))
        return y if self.bypass is None else y + self.bypass(x)
