"""The one container that families share: stem, body, head, and the ways into it that users of timm know."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ._conv import activation


class ClassifierHead(nn.Module):
    """Average over the picture, (one hidden layer,) dropout, linear layer.

    x [N, in, H, W] -> mean [N, in] -> linear, activation [N, hidden] -> dropout -> linear [N, num_classes]

    Args:
        num_classes: 0 leaves the last layer out: the head then gives the features.
        hidden_channels: width of the hidden layer; None for no hidden layer.
        activation: of the hidden layer.
        dropout: probability before the last layer.
    Shape: [N, in_channels, H, W] -> [N, num_classes]
    Cost per image, multiply-adds: in*hidden + hidden*num_classes, or in*num_classes without a hidden layer

    Example:
        >>> import torch
        >>> ClassifierHead(576, 10, hidden_channels=1024, activation="hard_swish")(torch.zeros(1, 576, 7, 7)).shape
        torch.Size([1, 10])
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        hidden_channels: int | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)
        self.hidden = (
            nn.Sequential(nn.Linear(in_channels, hidden_channels), _activation(activation)) if hidden_channels else None
        )
        self.dropout = nn.Dropout(dropout)
        self.bias = bias
        self.num_features = hidden_channels or in_channels
        self.classifier: nn.Module
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """Put a freshly initialised last layer for `num_classes` classes in place; 0 for none."""
        self.num_classes = num_classes
        self.classifier = nn.Linear(self.num_features, num_classes, self.bias) if num_classes else nn.Identity()
        initialize(self.classifier)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """[N, in_channels, H, W] -> [N, num_classes], or with `pre_logits` the classifier's input."""
        x = self.flatten(self.pool(x))
        x = self.dropout(x if self.hidden is None else self.hidden(x))
        return x if pre_logits else self.classifier(x)


# What layers raise of shapes that do not fit; errors of other kinds, such as a QuantizationError, are not of shapes.
PYTORCHS = (RuntimeError, ValueError)
_activation = activation  # inside the head the word is an argument


class ImageClassifier(nn.Module):
    """A network of a family: stem, body, head.

    x [N, in_channels, H, W] -> stem -> body [N, C, H/r, W/r] -> head [N, num_classes]

    Args:
        stem: what is done once at full size.
        body: the blocks in order, everything up to the last feature map.
        head: [N, C, H, W] -> [N, num_classes]; has `num_features`, `num_classes`, `classifier`, `reset(num_classes)`.
        in_channels: of the pictures; 1 for grey, 3 for colour, any number for other sensors.
        resolution: side of the square input that the paper's numbers are for, in pixels. Other sizes work, down to
            `smallest_input`.
    Shape: [N, in_channels, H, W] -> [N, num_classes]
    Raises: ValueError: a picture is smaller than `smallest_input`, or has other than `in_channels` channels.
    """

    def __init__(
        self, stem: nn.Module, body: Sequence[nn.Module], head: nn.Module, *, in_channels: int, resolution: int = 224
    ) -> None:
        super().__init__()
        self.stem = stem
        self.body = nn.Sequential(*body)
        self.head = head
        self.in_channels = in_channels
        self.resolution = resolution
        self.name: str | None = None  # `create` writes name and options here; a saved model is rebuilt from them
        self.options: dict[str, object] = {}
        self.widths: dict[str, tuple[int, ...]] = {}  # of layers that were made narrower since: see `set_widths`
        initialize(self)

    @property
    def num_classes(self) -> int:
        """How many classes the head tells apart; 0 after `reset_classifier(0)`."""
        return int(self.head.num_classes)  # type: ignore[arg-type]

    @property
    def num_features(self) -> int:
        """Width of the classifier's input."""
        return int(self.head.num_features)  # type: ignore[arg-type]

    def get_classifier(self) -> nn.Module:
        """Return the last layer, the one that `reset_classifier` replaces."""
        classifier: nn.Module = self.head.classifier  # type: ignore[assignment]
        return classifier

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a freshly initialised one for `num_classes` classes; 0 for none.

        Raises: ValueError: num_classes is negative.

        Example:
            >>> import featherweight
            >>> model = featherweight.create("mobilenet_v2", width=0.35)
            >>> model.reset_classifier(7)
            >>> model.get_classifier()
            Linear(in_features=1280, out_features=7, bias=True)
        """
        if num_classes < 0:
            raise ValueError(f"num_classes must be 0 (no classifier) or more; got {num_classes}")
        self.head.reset(num_classes)  # type: ignore[operator]
        if self.name is not None:
            self.options = {**self.options, "num_classes": num_classes}

    @property
    def smallest_input(self) -> int:
        """Least height and width of a picture, in pixels: with less, a layer would have nothing left to work on.

        Example:
            >>> import featherweight
            >>> featherweight.create("squeezenet").smallest_input, featherweight.create("mobilenet_v2").smallest_input
            (21, 1)
        """
        shapes = _without_weights(self).eval()

        def suffices(side: int) -> bool:
            try:
                shapes.head(shapes._features(torch.empty(1, self.in_channels, side, side, device="meta")))
            except PYTORCHS as error:
                if type(error) not in PYTORCHS:
                    raise
                return False
            return True

        enough = 1  # for most networks
        while enough < self.resolution and not suffices(enough):
            enough *= 2
        least, enough = enough // 2, min(enough, self.resolution)
        while enough - least > 1:
            side = (least + enough) // 2
            least, enough = (least, side) if suffices(side) else (side, enough)
        return enough

    def forward_features(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> the last feature map [N, C, H/r, W/r]."""
        try:
            return self._features(x)
        except PYTORCHS as error:
            self._refuse(x, error)
            raise

    def _refuse(self, x: Tensor, error: Exception) -> None:
        """Raise in the words of pictures what PyTorch says of tensors, where the picture is to blame."""
        if x.ndim == 4 and x.shape[1] != self.in_channels:
            raise ValueError(
                f"{self.name or 'this network'} is for pictures of {self.in_channels} channels; got {x.shape[1]}"
            ) from error
        if type(error) not in PYTORCHS:
            return
        if x.ndim == 4 and min(x.shape[2:]) < self.resolution and min(x.shape[2:]) < (least := self.smallest_input):
            height, width = x.shape[2:]
            raise ValueError(
                f"{self.name or 'this network'} needs pictures of at least {least} x {least} pixels; got "
                f"{height} x {width}"
            ) from error

    def _features(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.body:  # not self.body(x), which would hold the stem's output, the largest, until the end
            x = block(x)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """[N, C, H/r, W/r] -> [N, num_classes], or with `pre_logits` the classifier's input [N, num_features]."""
        y: Tensor = self.head(x, pre_logits=pre_logits)
        return y

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] -> [N, num_classes]."""
        try:
            y: Tensor = self.head(self._features(x))
        except PYTORCHS as error:
            self._refuse(x, error)
            raise
        return y


def _without_weights(model: ImageClassifier) -> ImageClassifier:
    """Copy a model onto the meta device, without ever holding its weights twice, and without its users' hooks."""
    # deepcopy takes over what the memo has for an object.
    memo: dict[int, object] = {}
    for module in model.modules():
        memo |= {id(value): type(value)() for name, value in vars(module).items() if "hooks" in name and value}
    for tensor in (*model.parameters(), *model.buffers()):
        memo[id(tensor)] = tensor.detach().to("meta", torch.float32)
    return copy.deepcopy(model, memo)


def initialize(model: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers as torchvision's MobileNets do; biases are zero.

    Convolutions: normal with variance 2 / (k * k * out_channels / groups) (He et al. 2015, fan out).
    Linear layers: normal with standard deviation 0.01.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0.0, (2.0 / fan_out) ** 0.5)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
