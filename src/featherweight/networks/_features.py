"""Feature maps instead of class scores: what detection and segmentation build on."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from featherweight.blocks import ImageClassifier
from featherweight.cost import meta_twin

_PROBE_SIDE = 1024  # large, so that unpadded layers and incomplete windows do not blur the ratio of the sides


class FeatureExtractor(nn.Module):
    """Run a network's stem and body, and give the last feature map at each stride.

    x [N, in_channels, H, W] -> [N, C1, H/2, W/2], [N, C2, H/4, W/4], ...

    Args:
        model: its stem and body are used, not copied; its head and what lies behind the last wanted map are not.
        out_indices: which of the maps; negative counts from the last. Default: all.
    Raises:
        TypeError: model is not an `ImageClassifier`.
        ValueError: an index that is not there, or one twice.

    Attributes:
        feature_info: for each output, under timm's words: `num_chs` its channels, `reduction` the input's side over
            its side, `module` where in this network it comes from.

    Example:
        >>> from featherweight.networks import create
        >>> features = create("mobilenet_v2", features_only=True, out_indices=(1, -1))
        >>> features.feature_info
        [{'num_chs': 24, 'reduction': 4, 'module': 'body.2'}, {'num_chs': 1280, 'reduction': 32, 'module': 'body.17'}]
        >>> [tuple(x.shape) for x in features(torch.zeros(1, 3, 64, 64))]
        [(1, 24, 16, 16), (1, 1280, 2, 2)]
    """

    def __init__(self, model: nn.Module, out_indices: Sequence[int] | None = None) -> None:
        super().__init__()
        if not isinstance(model, ImageClassifier):
            raise TypeError(f"feature maps need a network with a stem and a body; got {type(model).__name__}")
        levels = _levels(model)
        self.feature_info = [levels[index] for index in _resolve(out_indices, len(levels))]
        self.in_channels = model.in_channels
        self.resolution = model.resolution
        self.stem = model.stem
        last = max((_position(info) for info in self.feature_info), default=0)
        self.body = model.body[:last]
        self._outputs = {_position(info): place for place, info in enumerate(self.feature_info)}

    def forward(self, x: Tensor) -> list[Tensor]:
        """[N, in_channels, H, W] -> the feature maps in the order of `feature_info`."""
        maps = [x] * len(self._outputs)
        x = self.stem(x)
        for position, block in enumerate((nn.Identity(), *self.body)):
            x = block(x)
            if position in self._outputs:
                maps[self._outputs[position]] = x
        return maps


def _position(info: dict[str, object]) -> int:
    """0 for the stem, i + 1 for the body's block i."""
    module = str(info["module"])
    return 0 if module == "stem" else int(module.removeprefix("body.")) + 1


def _levels(model: ImageClassifier) -> list[dict[str, object]]:
    """Find the last module at each reduction, by a forward pass that computes shapes only."""
    shapes: ImageClassifier = meta_twin(model)  # type: ignore[assignment]
    x = shapes.stem(torch.empty(1, model.in_channels, _PROBE_SIDE, _PROBE_SIDE, device="meta"))
    levels = {}
    for module, block in (
        ("stem", nn.Identity()),
        *((f"body.{name}", block) for name, block in shapes.body.named_children()),
    ):
        x = block(x)
        reduction = round(_PROBE_SIDE / x.shape[-1])
        levels[reduction] = {"num_chs": x.shape[1], "reduction": reduction, "module": module}
    return list(levels.values())


def _resolve(out_indices: Sequence[int] | None, count: int) -> list[int]:
    if out_indices is None:
        return list(range(count))
    for index in out_indices:
        if not -count <= index < count:
            raise ValueError(f"out_indices must lie in {-count} ... {count - 1}, for {count} feature maps; got {index}")
    indices = [index % count for index in out_indices]
    if len(set(indices)) < len(indices):
        raise ValueError(f"out_indices must not name a feature map twice; got {tuple(out_indices)}")
    return indices
