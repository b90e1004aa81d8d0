"""MicroNet's stem and head."""

from torch import Tensor, nn

from ._classifier import initialize
from ._conv import ConvNormAct
from ._shuffle import channel_shuffle


class MicroHead(nn.Module):
    """ReLU6, average, hard swish; two linear layers with batch norm and hard swish behind each, the scores' too.

    x [N, in, H, W] -> mean [N, in] -> linear, batch norm, hard swish [N, hidden] -> dropout -> linear, batch norm, hard
    swish [N, num_classes]

    Args:
        num_classes: 0 leaves the last layer out: the head then gives the features.
    Shape: [N, in_channels, H, W] -> [N, num_classes]
    Cost per image, multiply-adds: in*hidden + hidden*num_classes
    """

    def __init__(self, in_channels: int, num_classes: int, *, hidden_channels: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Hardswish(), nn.Linear(in_channels, hidden_channels), nn.BatchNorm1d(hidden_channels), nn.Hardswish()
        )
        self.dropout = nn.Dropout(dropout)
        self.num_features = hidden_channels
        self.classifier: nn.Module
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """Put a freshly initialised last layer for `num_classes` classes in place; 0 for none."""
        self.num_classes = num_classes
        self.classifier = nn.Identity()
        if num_classes:
            linear = nn.Linear(self.num_features, num_classes)
            self.classifier = nn.Sequential(linear, nn.BatchNorm1d(num_classes), nn.Hardswish())
            initialize(self.classifier)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """[N, in_channels, H, W] -> [N, num_classes], or with `pre_logits` the last linear layer's input."""
        x = self.dropout(self.hidden(nn.functional.relu6(x).mean((2, 3))))
        return x if pre_logits else self.classifier(x)


class MicroStem(nn.Sequential):
    """A 3x3 convolution as a column and a row, each channel of the column giving its own of the row; shuffle, ReLU6."""

    def __init__(self, in_channels: int, p: int, q: int, stride: int) -> None:
        column = ConvNormAct(in_channels, p, kernel_size=(3, 1), stride=(stride, 1), activation=None)
        row = ConvNormAct(p, p * q, kernel_size=(1, 3), stride=(1, stride), groups=p, activation=None)
        super().__init__(column, row)
        self.groups = p

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, p * q, ceil(H / stride), ceil(W / stride)]."""
        column, row = self
        return nn.functional.relu6(channel_shuffle(row(column(x)), self.groups), inplace=True)
