"""Mean and standard deviation of the training pictures: the constants of the preprocessing."""

import numpy as np

from ._pictures import Pictures
from ._preprocessing import Preprocessing
from ._split import Indices


def preprocessing_for(
    pictures: Pictures, indices: Indices, *, resolution: int, resize: str = "squash", channels: int | None = None
) -> Preprocessing:
    """Make the preprocessing for a resolution, with mean and standard deviation of these pictures' pixels.

    Args:
        indices: of the training pictures.
        resolution: side of the network's input, in pixels.
        resize: "squash" or "crop", see `Preprocessing`.
        channels: 1 or 3; default what the pictures have.

    Example:
        >>> from featherweight.data import digits
        >>> preprocessing_for(digits(), range(1797), resolution=16).channels
        1
    """
    channels = channels or pictures.channels
    plain = Preprocessing(
        resolution=resolution, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels, resize=resize
    )
    images = pictures.at(plain)
    counts = np.zeros((channels, 256), np.int64)
    for i in indices:  # exact, and with no float copy of the pictures
        for channel, values in enumerate(images[i].numpy()):
            counts[channel] += np.bincount(values.ravel(), minlength=256)
    levels = np.arange(256) / 255
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt((shares * (levels - mean[:, np.newaxis]) ** 2).sum(axis=1))
    return Preprocessing(
        resolution=resolution,
        channels=channels,
        mean=tuple(mean.tolist()),
        std=tuple(np.maximum(std, 1 / 255).tolist()),  # pictures of one single grey have no spread to divide by
        resize=resize,
    )
