"""SqueezeNext's block: two squeezes, a 3x3 convolution taken apart into 3x1 and 1x3, one expansion, a shortcut."""

from collections import OrderedDict

from torch import Tensor, nn

from ._conv import ConvNormAct


class SqNxtBlock(nn.Module):
    """Squeeze twice with 1x1, filter along one axis and then along the other, expand with 1x1, add the shortcut.

    x [N, in, H, W] -> 1x1 [N, out/2, H/s, W/s] -> 1x1 [N, out/4, H/s, W/s] -> 3x1 [N, out/2, H/s, W/s]
    -> 1x3 [N, out/2, H/s, W/s] -> 1x1 [N, out, H/s, W/s] -> + shortcut -> ReLU

    Batch normalisation and ReLU stand behind every convolution, the last and the shortcut's too.

    Args:
        groups: of the first 1x1 layer and of the pair; 2 in the networks named G.
        tall_first: the 3x1 kernel comes first, then 1x3; False turns them round. The networks alternate.
        projection: put a 1x1 convolution on the shortcut. Default: where the shape changes, and there it must be; the
            networks have one in the first block of every stage.
        behind_projection: the five layers read what the projection makes of x, and the projection alone has the
            stride (version 5); False: they read x, and the first of them has the stride too.
    Shape: [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    Cost per image, multiply-adds (C out, g groups, H' x W' output): H'*W' * (in*C/2/g + C*C/8 + 9*C*C/8/g + C*C/2),
    with C in the place of in behind the projection; and the projection H'*W' * in*C
    Raises: ValueError: out_channels does not divide by 4 * groups or in_channels not by groups; the shape changes with
    projection=False.
    Source: Gholami et al. 2018, https://arxiv.org/abs/1803.10615, Fig. 1; order of the kernels, groups and projection
    from the authors' Caffe files. Differs from the paper: none.

    Example:
        >>> import torch
        >>> SqNxtBlock(32, 64, stride=2)(torch.zeros(1, 32, 55, 55)).shape
        torch.Size([1, 64, 28, 28])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        groups: int = 1,
        tall_first: bool = True,
        projection: bool | None = None,
        behind_projection: bool = False,
    ) -> None:
        super().__init__()
        if out_channels % (4 * groups) or in_channels % groups:
            raise ValueError(
                f"with {groups} groups, out_channels must divide by {4 * groups} and in_channels by {groups}; "
                f"got {in_channels} -> {out_channels}"
            )
        changes = stride != 1 or in_channels != out_channels
        if changes and projection is False:
            raise ValueError(
                f"{in_channels} -> {out_channels} channels with stride {stride} need a projection on the shortcut"
            )
        self.projection = ConvNormAct(in_channels, out_channels, stride=stride) if projection or changes else None
        self.behind_projection = behind_projection and self.projection is not None
        if self.behind_projection:
            in_channels, stride = out_channels, 1
        half, quarter = out_channels // 2, out_channels // 4
        kernels = ((3, 1), (1, 3)) if tall_first else ((1, 3), (3, 1))
        self.branch = nn.Sequential(
            OrderedDict(
                squeeze1=ConvNormAct(in_channels, half, stride=stride, groups=groups),
                squeeze2=ConvNormAct(half, quarter),
                filter1=ConvNormAct(quarter, half, kernel_size=kernels[0], groups=groups),
                filter2=ConvNormAct(half, half, kernel_size=kernels[1], groups=groups),
                expand=ConvNormAct(half, out_channels),
            )
        )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]."""
        shortcut = x if self.projection is None else self.projection(x)
        y: Tensor = self.act(self.branch(shortcut if self.behind_projection else x) + shortcut)
        return y
