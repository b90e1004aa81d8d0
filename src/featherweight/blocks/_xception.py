"""Xception's separable convolution, with nothing between its two halves, and the residual module made of it."""

from collections import OrderedDict

from torch import Tensor, nn

from ._conv import activation


class SeparableConv(nn.Sequential):
    """Filter each channel by itself, then mix the channels, with no norm and no activation between.

    x [N, in, H, W] -> kxk depthwise [N, in, H/s, W/s] -> 1x1 [N, out, H/s, W/s] -> batch norm (-> activation)

    Args:
        kernel_size: odd side of the depthwise kernel, in pixels; the padding is half of it.
        groups: of the 1x1 layer; other than 1 in ChannelNets.
        activation: behind the batch norm; None for none, as in `XceptionBlock`, whose activations stand in front.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (k kernel, H' x W' output): H'*W'*in*k*k + H'*W'*in*out/groups
    Raises: ValueError: kernel_size is even, or the channels do not divide into the groups.
    Source: Chollet 2016, https://arxiv.org/abs/1610.02357, Section 2; Section 4.7 and Fig. 10 on leaving the
    activation between the two out. Differs from the paper: none.

    Example:
        >>> import torch
        >>> SeparableConv(64, 128)(torch.zeros(1, 64, 147, 147)).shape
        torch.Size([1, 128, 147, 147])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        groups: int = 1,
        activation: str | None = None,
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that stride 1 keeps the size; got {kernel_size}")
        layers: dict[str, nn.Module] = {
            "depthwise": nn.Conv2d(
                in_channels, in_channels, kernel_size, stride, kernel_size // 2, groups=in_channels, bias=False
            ),
            "pointwise": nn.Conv2d(in_channels, out_channels, 1, groups=groups, bias=False),
            "norm": nn.BatchNorm2d(out_channels),
        }
        if activation:
            layers["act"] = _activation(activation)
        super().__init__(OrderedDict(layers))


_activation = activation  # inside SeparableConv the word is an argument


class XceptionBlock(nn.Module):
    """Some separable convolutions, each behind a ReLU, and a linear shortcut around them.

    x [N, in, H, W] -> (ReLU -> separable 3x3) x repeats [N, out, H, W] -> 3x3 max pool [N, out, H/s, W/s] -> + shortcut

    The shortcut is x itself where shapes match, else a 1x1 convolution with batch norm. Nothing follows the sum.

    Args:
        hidden_channels: of all separable convolutions but the last; default out_channels.
        repeats: how many separable convolutions.
        stride: of the max pooling and of the shortcut; with 1 there is no pooling.
        activate_first: False leaves the first ReLU out: what comes in has had one.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (c_i channels in front of and behind the separable convolutions):
    H*W * sum(9*c_i + c_i*c_(i+1)), and for a 1x1 shortcut H'*W'*in*out at the output's size
    Source: Chollet 2016, https://arxiv.org/abs/1610.02357, Fig. 5. Differs from the paper: the pooling pads by 1 on
    every side; TensorFlow's 'SAME' pads bottom and right only where the side is even. Sizes and cost are equal.

    Example:
        >>> import torch
        >>> XceptionBlock(64, 128, stride=2)(torch.zeros(1, 64, 147, 147)).shape
        torch.Size([1, 128, 74, 74])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: int | None = None,
        repeats: int = 2,
        stride: int = 1,
        activate_first: bool = True,
    ) -> None:
        super().__init__()
        self.shortcut: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                OrderedDict(
                    conv=nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), norm=nn.BatchNorm2d(out_channels)
                )
            )
        layers: dict[str, nn.Module] = {}
        channels = in_channels
        for i in range(repeats):
            wanted = out_channels if i == repeats - 1 else hidden_channels or out_channels
            if i or activate_first:
                layers[f"act{i + 1}"] = nn.ReLU(inplace=i > 0)  # the shortcut reads x as it was
            layers[f"conv{i + 1}"] = SeparableConv(channels, wanted)
            channels = wanted
        if stride != 1:
            layers["pool"] = nn.MaxPool2d(3, stride, padding=1)
        self.branch = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        y: Tensor = self.branch(x)
        return y + (x if self.shortcut is None else self.shortcut(x))
