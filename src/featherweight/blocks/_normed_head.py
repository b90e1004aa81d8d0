"""A classifier whose scores are normalised too: AdderNet's head."""

from collections import OrderedDict

from torch import Tensor, nn

from ._classifier import initialize
from ._residual import Convolution


class NormedClassifierHead(nn.Module):
    """Average over the picture, dropout, a convolution to the classes, batch norm of the scores.

    x [N, in, H, W] -> mean [N, in, 1, 1] -> dropout -> 1x1, batch norm [N, num_classes, 1, 1] -> [N, num_classes]

    Args:
        num_classes: 0 leaves the last layer out: the head then gives the features.
        dropout: probability before the last layer.
        convolution: makes the last layer, called convolution(in_channels, num_classes, kernel_size=side).
        before: layers in the place of the mean, [N, in, H, W] -> [N, in_channels, side, side].
        side: of the map that they give, in pixels.
    Shape: [N, in_channels, H, W] -> [N, num_classes]
    Cost per image, multiply-adds: side*side*in*num_classes
    Source: Chen et al. 2020, https://arxiv.org/abs/1912.13200: the released code.

    Example:
        >>> import torch
        >>> NormedClassifierHead(64, 10).eval()(torch.zeros(1, 64, 8, 8)).shape
        torch.Size([1, 10])
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        convolution: Convolution = nn.Conv2d,
        before: nn.Module | None = None,
        side: int = 1,
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1) if before is None else before
        self.dropout = nn.Dropout(dropout)
        self.flatten = nn.Flatten(1)
        self.convolution, self.in_channels, self.side = convolution, in_channels, side
        self.num_features = in_channels * side * side
        self.classifier: nn.Module
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """Put a freshly initialised last layer for `num_classes` classes in place; 0 for none."""
        self.num_classes = num_classes
        self.classifier = nn.Identity()
        if num_classes:
            convolution = self.convolution(self.in_channels, num_classes, kernel_size=self.side)
            self.classifier = nn.Sequential(OrderedDict(conv=convolution, norm=nn.BatchNorm2d(num_classes)))
            initialize(self.classifier)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """[N, in_channels, H, W] -> [N, num_classes], or with `pre_logits` the classifier's input."""
        x = self.dropout(self.pool(x))
        y: Tensor = self.flatten(x if pre_logits else self.classifier(x))
        return y
