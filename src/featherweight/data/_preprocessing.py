"""From a decoded picture to the network's input: the constants that go with a trained model. Needs no PyTorch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ._decode import LIMITS, Limits, Pixels, decode, with_channels


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a picture becomes a network's input: size, channels, and mean and standard deviation of the training set.

    Args:
        resolution: side of the square input, in pixels.
        channels: 1 (grey) or 3 (RGB).
        mean: per channel, of values in 0..1; `std` likewise.
        resize: "squash" scales width and height each to the resolution; "crop" scales the shorter side and takes the
            middle square.
    Raises: ValueError: a value that makes no sense; the message says which.

    Example:
        >>> import numpy as np
        >>> preprocessing = Preprocessing(resolution=32, channels=1, mean=(0.5,), std=(0.25,))
        >>> image = np.zeros((40, 60, 3), np.uint8)
        >>> preprocessing.fit(image).shape
        (32, 32, 1)
        >>> preprocessing.normalize(preprocessing.fit(image))[0, 0, 0].item()
        -2.0
    """

    resolution: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: str = "squash"

    def __post_init__(self) -> None:
        if self.resolution < 1:
            raise ValueError(f"resolution must be at least 1 pixel; got {self.resolution}")
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (RGB); got {self.channels}")
        if self.resize not in ("squash", "crop"):
            raise ValueError(f"resize must be 'squash' or 'crop'; got {self.resize!r}")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std need {self.channels} values each; got {self.mean} and {self.std}")
        if not all(map(math.isfinite, self.mean)) or not all(math.isfinite(s) and s > 0 for s in self.std):
            raise ValueError(f"mean must be finite and std above 0; got {self.mean} and {self.std}")

    def read(self, source: str | Path | bytes, *, limits: Limits = LIMITS) -> Pixels:
        """Decode a picture and bring it to size: uint8 [resolution, resolution, channels]. Raises as `decode`."""
        return self.fit(decode(source, channels=self.channels, limits=limits))

    def fit(self, image: Pixels) -> Pixels:
        """Bring a picture to size: uint8 [H, W, 1 or 3] -> uint8 [resolution, resolution, channels].

        Bilinear, with the filter widened when shrinking, so that no pixel is skipped. Rows first, then columns, each
        rounded: from its version 13 on, Pillow alone would start a tall picture with the columns, and a page in the
        browser knows nothing of versions.
        """
        image = with_channels(image, self.channels)
        height, width = image.shape[:2]
        if height == width == self.resolution:
            return image
        left, top = 0.0, 0.0
        if self.resize == "crop":
            side = min(width, height)
            left, top = (width - side) / 2, (height - side) / 2
        picture = Image.fromarray(image[:, :, 0] if self.channels == 1 else image)
        for size, box in (
            ((self.resolution, height), (left, 0, width - left, height)),
            ((self.resolution, self.resolution), (0, top, self.resolution, height - top)),
        ):
            picture = picture.resize(size, Image.Resampling.BILINEAR, box)
        return np.asarray(picture).reshape(self.resolution, self.resolution, self.channels)

    def normalize(self, images: Pixels) -> NDArray[np.float32]:
        """(value / 255 - mean) / std, channels first.

        Shape: uint8 [N, H, W, C] -> float32 [N, C, H, W], or [H, W, C] -> [C, H, W]
        """
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scaled = (images.astype(np.float32) / np.float32(255) - mean) / std
        return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))

    def to_dict(self) -> dict[str, Any]:
        """Give the constants as plain values, for JSON."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Take the constants from what `to_dict` gave.

        Raises: ValueError: a constant is missing, unknown, or makes no sense.

        Example:
            >>> preprocessing = Preprocessing(resolution=32, channels=1, mean=(0.5,), std=(0.25,))
            >>> Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing
            True
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise ValueError(f"preprocessing needs exactly {', '.join(sorted(names))}; got {', '.join(sorted(values))}")
        return cls(**{**values, "mean": tuple(map(float, values["mean"])), "std": tuple(map(float, values["std"]))})
