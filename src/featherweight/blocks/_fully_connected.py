"""The head of the first convolutional networks: the map is flattened, place by place, into fully connected layers."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.fx
from torch import Tensor, nn

from ._classifier import initialize


@torch.fx.wrap  # symbolic tracing keeps it whole: what it does depends on the size
def grid_means(x: Tensor, side: int) -> Tensor:
    """[N, C, H, W] -> [N, C, side, side]: what `GridPool` does."""
    if x.shape[2:] == (side, side):
        return x
    for dim in (2, 3):
        size = x.shape[dim]
        x = torch.cat(
            [_window(x, dim, i * size // side, ((i + 1) * size + side - 1) // side) for i in range(side)], dim
        )
    return x


def _window(x: Tensor, dim: int, begin: int, end: int) -> Tensor:
    part = x[:, :, begin:end] if dim == 2 else x[:, :, :, begin:end]
    return part.mean(dim, keepdim=True)


class GridPool(nn.Module):
    """Average the picture to a grid of so many places each way; a picture of that size stays as it is.

    x [N, C, H, W] -> means over windows [N, C, side, side]

    Window i goes from floor(i * H / side) up to ceil((i + 1) * H / side): windows overlap, or repeat, where H does not
    divide. It is `nn.AdaptiveAvgPool2d`, but out of slices and means, which exporters can write at every size.

    Shape: [N, C, H, W] -> [N, C, side, side]
    Cost per image, multiply-adds: 0

    Example:
        >>> GridPool(2)(torch.arange(9.0).reshape(1, 1, 3, 3))
        tensor([[[[2., 3.],
                  [5., 6.]]]])
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, side, side]."""
        return grid_means(x, self.side)

    def extra_repr(self) -> str:
        """Show the side in the module's text."""
        return f"{self.side}"


class FullyConnectedHead(nn.Module):
    """Average to a small grid, flatten it, fully connected layers with ReLU and dropout, linear layer.

    x [N, in, H, W] -> (pool ->) grid [N, in, side, side] -> [N, in*side*side] -> linear, ReLU, dropout, for each hidden
    layer -> linear [N, num_classes]

    Args:
        num_classes: 0 leaves the last layer out: the head then gives the features.
        side: of the grid, in places; that of the network's own last map, which then passes unchanged.
        hidden_channels: widths of the layers before the last; none: the grid itself is classified.
        dropout: probability after each hidden layer, or after the grid where there is none.
        pool: what stands before the grid, or None.
    Shape: [N, in_channels, H, W] -> [N, num_classes]
    Cost per image, multiply-adds: the products of widths that follow one another, from in*side*side to num_classes.

    Example:
        >>> FullyConnectedHead(512, 1000, side=7, hidden_channels=(4096, 4096))(torch.zeros(1, 512, 7, 7)).shape
        torch.Size([1, 1000])
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        side: int,
        hidden_channels: Sequence[int] = (),
        dropout: float = 0.0,
        pool: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.pool = pool
        self.grid = GridPool(side)
        self.flatten = nn.Flatten(1)
        widths = (in_channels * side * side, *hidden_channels)
        self.hidden = nn.Sequential(
            *(nn.Sequential(nn.Linear(*pair), nn.ReLU(inplace=True)) for pair in pairwise(widths))
        )
        self.dropout = nn.Dropout(dropout)
        self.num_features = widths[-1]
        self.classifier: nn.Module
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """Put a freshly initialised last layer for `num_classes` classes in place; 0 for none."""
        self.num_classes = num_classes
        self.classifier = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        initialize(self.classifier)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """[N, in_channels, H, W] -> [N, num_classes], or with `pre_logits` the classifier's input."""
        x = self.flatten(self.grid(x if self.pool is None else self.pool(x)))
        if not self.hidden:
            x = self.dropout(x)
        for layer in self.hidden:
            x = self.dropout(layer(x))
        return x if pre_logits else self.classifier(x)
