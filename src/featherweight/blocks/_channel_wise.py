"""ChannelNet's parts: one short filter that slides along the channels, in the place of 1x1 and linear layers."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._classifier import ClassifierHead
from ._xception import SeparableConv


class ChannelWiseConv(nn.Module):
    """Slide short filters along the channels, the same at every place: mixing neighbours for a handful of weights.

    x [N, in, H, W] -> each of g filters, k weights, stride in * g / out [N, out/g, H, W] -> side by side [N, out, H, W]

    The channels are padded with zeros in front and behind, so that each filter gives out/g of them; of an odd number of
    zeros the larger part is behind (as TensorFlow's 'SAME', which the released code has).

    Args:
        kernel_size: k, how many neighbouring channels each output depends on.
        groups: g, the number of filters. With as many channels behind as before, each has stride g: the group
            channel-wise convolution, which lets each of g groups see all channels.
    Shape: [N, in_channels, H, W] -> [N, out_channels, H, W]
    Cost per image, multiply-adds: H*W * out * k. Parameters: g*k.
    Raises: ValueError: the stride in_channels * groups / out_channels is not a whole number, or out_channels do not
    divide into the groups.
    Source: Gao et al. 2018, https://arxiv.org/abs/1809.01330, Sections 3.1 and 3.2. Differs from the paper: there may
    be fewer or more channels behind than before.

    Example:
        >>> import torch
        >>> conv = ChannelWiseConv(512, 512, kernel_size=8, groups=2)
        >>> conv(torch.zeros(1, 512, 14, 14)).shape, sum(p.numel() for p in conv.parameters())
        (torch.Size([1, 512, 14, 14]), 16)
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int, groups: int = 1) -> None:
        super().__init__()
        if out_channels % groups or in_channels * groups % out_channels:
            raise ValueError(
                f"a channel-wise convolution from {in_channels} to {out_channels} channels in {groups} groups would "
                f"need groups of {out_channels / groups:g} channels and a stride of "
                f"{in_channels * groups / out_channels:g}; both must be whole numbers"
            )
        self.out_channels = out_channels
        stride = in_channels * groups // out_channels
        zeros = max(0, kernel_size - stride)
        self.one_more = zeros % 2 == 1
        # Of this convolution, the channels are the height, and the places the width.
        self.conv = nn.Conv2d(1, groups, (kernel_size, 1), (stride, 1), (zeros // 2, 0), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, H, W]."""
        y: Tensor = x.flatten(2).unsqueeze(1)
        if self.one_more:
            y = torch.cat((y, torch.zeros_like(y[:, :, :1])), dim=2)  # F.pad makes the ONNX exporter warn
        y = self.conv(y)
        return y.reshape(x.shape[0], self.out_channels, x.shape[2], x.shape[3])


class DepthwiseSeparableChannelWise(nn.Sequential):
    """Filter each channel by itself, then mix neighbouring channels by one short filter instead of a 1x1 layer.

    x [N, in, H, W] -> kxk depthwise [N, in, H/s, W/s] -> channel-wise [N, out, H/s, W/s]

    Args:
        kernel_size: odd side of the depthwise kernel, in pixels.
        channel_kernel_size: d, length of the filter along the channels.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (H' x W' output): H'*W' * (in*k*k + out*d). Parameters: in*k*k + d.
    Raises: ValueError: kernel_size is even, or out_channels is no divisor of in_channels.
    Source: Gao et al. 2018, https://arxiv.org/abs/1809.01330, Section 3.3. Neither batch norm nor activation, as the
    released code.

    Example:
        >>> import torch
        >>> block = DepthwiseSeparableChannelWise(1024, 1024)
        >>> block(torch.zeros(1, 1024, 7, 7)).shape, sum(p.numel() for p in block.parameters())
        (torch.Size([1, 1024, 7, 7]), 9280)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        *,
        channel_kernel_size: int = 64,
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that stride 1 keeps the size; got {kernel_size}")
        depthwise = nn.Conv2d(
            in_channels, in_channels, kernel_size, stride, kernel_size // 2, groups=in_channels, bias=False
        )
        mix = ChannelWiseConv(in_channels, out_channels, kernel_size=channel_kernel_size)
        super().__init__(OrderedDict(depthwise=depthwise, channel_wise=mix))


class GroupModule(nn.Module):
    """ChannelNet's GM: two depthwise separable convolutions in each of g groups of channels, and a residual.

    x [N, c, H, W] -> in each group: separable, separable -> side by side [N, c, H, W] (-> + x)

    Args:
        groups: g; the groups do not see each other.
        residual: add x.
    Shape: [N, channels, H, W] -> [N, channels, H, W]
    Cost per image, multiply-adds: H*W * 2 * (9*c + c*c/g)
    Raises: ValueError: the channels do not divide into the groups (PyTorch's own message).
    Source: Gao et al. 2018, https://arxiv.org/abs/1809.01330, Section 3.5.

    Example:
        >>> import torch
        >>> GroupModule(64)(torch.zeros(1, 64, 14, 14)).shape
        torch.Size([1, 64, 14, 14])
    """

    def __init__(self, channels: int, *, groups: int = 2, residual: bool = True) -> None:
        super().__init__()
        self.first = SeparableConv(channels, channels, groups=groups, activation="relu6")
        self.second = SeparableConv(channels, channels, groups=groups, activation="relu6")
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> [N, channels, H, W]."""
        y: Tensor = self.second(self.first(x))
        return y + x if self.residual else y


class GroupChannelWiseModule(nn.Module):
    """ChannelNet's GCWM: a group channel-wise convolution, which lets the groups see each other, before a GM's work.

    x [N, c, H, W] -> group channel-wise [N, c, H, W] -> in each group: separable, separable [N, c, H, W] (-> + x)

    Args:
        groups: g; the channel-wise convolution has g filters of 4g weights.
        residual: add x.
    Shape: [N, channels, H, W] -> [N, channels, H, W]
    Cost per image, multiply-adds: H*W * (4*g*c + 2 * (9*c + c*c/g))
    Raises: ValueError: the channels do not divide into the groups.
    Source: Gao et al. 2018, https://arxiv.org/abs/1809.01330, Section 3.5.

    Example:
        >>> import torch
        >>> GroupChannelWiseModule(64)(torch.zeros(1, 64, 14, 14)).shape
        torch.Size([1, 64, 14, 14])
    """

    def __init__(self, channels: int, *, groups: int = 2, residual: bool = True) -> None:
        super().__init__()
        self.fuse = ChannelWiseConv(channels, channels, kernel_size=4 * groups, groups=groups)
        self.work = GroupModule(channels, groups=groups, residual=False)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> [N, channels, H, W]."""
        y: Tensor = self.work(self.fuse(x))
        return y + x if self.residual else y


class ConvClassifier(nn.Module):
    """ChannelNet's convolutional classification layer: one kernel for all classes, slid along the channels.

    x [N, m, side, side] -> one kernel [side, side, m - n + 1] over all places and along the channels -> / side [N, n]

    Class i reads the channels i ... i + m - n, all with the same weights: what neighbouring classes read differs by two
    channels, so the order of the classes matters. A map of another size is resized to side x side first (bilinear), so
    that the layer takes pictures of any size; at the size that it was made for this changes nothing. The fewer the
    classes, the longer the kernel: with less than about side * side of them, a linear layer is smaller.

    Args:
        in_channels: m.
        num_classes: n, at most m.
        side: of the map that the kernel covers, in pixels.
    Shape: [N, in_channels, H, W] -> [N, num_classes]
    Cost per image, multiply-adds: side*side * (m - n + 1) * n. Parameters: side*side * (m - n + 1).
    Raises: ValueError: more classes than channels.
    Source: Gao et al. 2018, https://arxiv.org/abs/1809.01330, Section 3.4. Differs from the paper: the resizing, for
    maps of other sizes; and the result is divided by the side, because a sum over side * side places, much alike,
    learns side * side times as fast as a linear layer on their mean: with the usual learning rate of 0.1 it diverged.

    Example:
        >>> import torch
        >>> layer = ConvClassifier(1024, 1000)
        >>> layer(torch.zeros(1, 1024, 7, 7)).shape, sum(p.numel() for p in layer.parameters())
        (torch.Size([1, 1000]), 1225)
    """

    def __init__(self, in_channels: int, num_classes: int, *, side: int = 7) -> None:
        super().__init__()
        if num_classes > in_channels:
            raise ValueError(
                f"a convolutional classification layer has at most as many classes as its input has channels; got "
                f"{num_classes} classes and {in_channels} channels"
            )
        self.side = side
        self.conv = nn.Conv1d(side * side, 1, in_channels - num_classes + 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, num_classes]."""
        x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
        y: Tensor = self.conv(x.flatten(2).transpose(1, 2)).flatten(1)
        return y / self.side


class ConvClassifierHead(ClassifierHead):
    """A head whose last layer is a `ConvClassifier`: no pooling before it, no hidden layer.

    x [N, in, H, W] -> dropout -> ConvClassifier [N, num_classes]; without classes the average [N, in], as other heads.

    Args:
        num_classes: at most in_channels; 0 leaves the last layer out.
        dropout: probability before the last layer.
    Shape: [N, in_channels, H, W] -> [N, num_classes]
    Cost per image, multiply-adds: as `ConvClassifier` of side 7
    Raises: ValueError: more classes than channels.

    Example:
        >>> import torch
        >>> ConvClassifierHead(1024, 1000)(torch.zeros(1, 1024, 7, 7)).shape
        torch.Size([1, 1000])
    """

    def __init__(self, in_channels: int, num_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__(in_channels, num_classes, dropout=dropout)

    def reset(self, num_classes: int) -> None:
        """Put a freshly initialised last layer for `num_classes` classes in place; 0 for none."""
        self.num_classes = num_classes
        self.classifier = ConvClassifier(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """[N, in_channels, H, W] -> [N, num_classes], or with `pre_logits` the average over the picture."""
        if pre_logits or not self.num_classes:
            x = self.flatten(self.pool(x))
        x = self.dropout(x)
        return x if pre_logits else self.classifier(x)
