"""Batches for the network, out of pictures in memory: order and augmentation are functions of the seed and the step."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._augment import Augment


class Batches:
    """Normalised batches of pictures that are in memory, for as many epochs as are asked for.

    Step k counts from 0 through all epochs. The order of an epoch depends only on the seed and the epoch, what is done
    to a picture in step k only on the seed and k: a run that goes on at step k sees what it would have seen. Going
    through the object gives the rest of the current epoch; `set_position` says where that is.

    Args:
        images: uint8 [N, C, H, W], as from `Pictures.at`.
        labels: class of each of the N pictures.
        indices: which of them to use; default all.
        batch_size: pictures in a batch.
        augment: changes for training; None for none.
        mean: per channel, of values in 0..1; `std` likewise (see `preprocessing_for`).
        seed: of order and augmentation.
        shuffle: a new order for each epoch, and full batches only (the pictures left over differ from epoch to epoch);
            without it every picture comes once, in the order of `indices`, and the last batch may be smaller.
    Shape: each batch is (float32 [B, C, H, W] in channels-last memory, int64 [B])
    Raises: ValueError: lengths, type or batch size do not fit.

    Example:
        >>> images = torch.zeros(10, 1, 8, 8, dtype=torch.uint8)
        >>> batches = Batches(images, [0] * 10, batch_size=4, mean=(0.5,), std=(0.5,), shuffle=True)
        >>> len(batches), [x.shape[0] for x, y in batches], batches.position
        (2, [4, 4], 2)
    """

    def __init__(
        self,
        images: Tensor,
        labels: Sequence[int] | NDArray[np.int64] | Tensor,
        indices: Sequence[int] | NDArray[np.int64] | None = None,
        *,
        batch_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        augment: Augment | None = None,
        seed: int = 0,
        shuffle: bool = False,
    ) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise ValueError(f"images must be uint8 [N, C, H, W]; got {images.dtype} {list(images.shape)}")
        if len(labels) != len(images):
            raise ValueError(f"wanted a label for each picture; got {len(images)} pictures, {len(labels)} labels")
        if not len(mean) == len(std) == images.shape[1]:
            raise ValueError(f"mean and std need {images.shape[1]} values each; got {tuple(mean)} and {tuple(std)}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; got {batch_size}")
        self.images = images
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        self.indices = torch.arange(len(images)) if indices is None else torch.as_tensor(indices, dtype=torch.int64)
        if len(self.indices) == 0:
            raise ValueError("there are no pictures to make batches of: indices is empty")
        self.batch_size = min(batch_size, len(self.indices))
        self.augment = augment
        self.seed = seed
        self.shuffle = shuffle
        self.position = 0
        spread = torch.tensor(std, dtype=torch.float32).mul(255).reshape(1, -1, 1, 1)
        self._scale = 1 / spread
        self._shift = -torch.tensor(mean, dtype=torch.float32).mul(255).reshape(1, -1, 1, 1) / spread
        self._order: tuple[int, Tensor] = (-1, self.indices)

    def __len__(self) -> int:
        """Batches, that is steps, in an epoch."""
        whole, rest = divmod(len(self.indices), self.batch_size)
        return whole + (1 if rest and not self.shuffle else 0)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Go from the current position to the end of its epoch; without `shuffle` always through all."""
        start = self.position if self.shuffle else 0
        for step in range(start, start - start % len(self) + len(self)):
            batch = self.batch(step)
            self.position = step + 1
            yield batch

    def set_position(self, step: int) -> None:
        """Make step k, counted from 0 through all epochs, the next one."""
        if step < 0:
            raise ValueError(f"a step counts from 0; got {step}")
        self.position = step

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Give the batch of a step, counted from 0 through all epochs; asked again, it is the same."""
        epoch, within = divmod(step, len(self))
        chosen = self._epoch(epoch)[within * self.batch_size : (within + 1) * self.batch_size]
        pictures = self.images.index_select(0, chosen)
        if self.augment is not None:
            x = self.augment.apply(pictures, _generator(self.seed, "augment", step))
        else:
            x = pictures.float()
        x = x.mul_(self._scale).add_(self._shift)  # before the change of layout: three times faster than with it
        return torch.empty(x.shape, memory_format=torch.channels_last).copy_(x), self.labels[chosen]

    def _epoch(self, epoch: int) -> Tensor:
        """Indices in the order of an epoch."""
        if not self.shuffle:
            return self.indices
        if self._order[0] != epoch:
            order = torch.randperm(len(self.indices), generator=_generator(self.seed, "order", epoch))
            self._order = (epoch, self.indices[order])
        return self._order[1]


def _generator(seed: int, purpose: str, number: int) -> torch.Generator:
    """A generator for one purpose and number, independent of all others."""
    digest = hashlib.blake2b(f"{seed} {purpose} {number}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))
