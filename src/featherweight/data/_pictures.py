"""A labelled collection of pictures, ready to be brought to any resolution."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ._decode import BadPictureError, Pixels, with_channels
from ._parallel import Progress, in_order
from ._preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

# Decoded pictures that are kept: as read, and at each resolution asked for.
KEPT_BYTES = 1 << 30


class DataError(ValueError):
    """The pictures cannot be used; the message says what came, what was wanted, and where."""


@dataclass(frozen=True)
class Quarantined:
    """A file that was left out, and why.

    Args:
        path: relative to the collection's folder.
        reason: in words.
    """

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """Labelled pictures of a number of classes, from `digits`, `open_folder` or `from_arrays`.

    Args:
        name: of the collection.
        classes: their names; a label is an index into them.
        labels: int64 [N].
        paths: a name for each picture, unique, relative to the folder.
        channels: 1 if every picture is grey, else 3.
        native_side: median of the pictures' shorter sides, in pixels.
        splits: "train", "val" or "test" for each picture, where the folders say so; else None.
        quarantine: the files that were left out.
        fingerprints: of each picture's decoded pixels; equal if and only if the pictures are.
        load: reads picture i as uint8 [H, W, 1 or 3].
    """

    name: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    paths: tuple[str, ...]
    channels: int
    native_side: int
    splits: NDArray[np.str_] | None
    quarantine: tuple[Quarantined, ...]
    fingerprints: tuple[str, ...]
    load: Callable[[int], Pixels] = field(repr=False)
    _sized: "dict[tuple[int, int, str], Tensor]" = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def from_arrays(
        cls, images: Sequence[Pixels], labels: Sequence[int], classes: Sequence[str], *, name: str = "pictures"
    ) -> "Pictures":
        """Make a collection of pictures that are in memory.

        Args:
            images: each uint8 [H, W, 1 or 3], of any size.
            labels: indices into `classes`.
        Raises: DataError: lengths, a label, or a picture's type or shape do not fit.

        Example:
            >>> import numpy as np
            >>> dark, light = np.full((2, 8, 8, 1), [[[[0]]], [[[255]]]], np.uint8)
            >>> Pictures.from_arrays([dark, light], [0, 1], ["dark", "light"]).channels
            1
        """
        if len(images) != len(labels):
            raise DataError(
                f"{name}: wanted a label for each picture; got {len(images)} pictures, {len(labels)} labels"
            )
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3) or 0 in image.shape:
                raise DataError(
                    f"{name}, picture {i}: wanted uint8 [H, W, 1 or 3]; got {image.dtype} {list(image.shape)}"
                )
            if not 0 <= label < len(classes):
                raise DataError(f"{name}, picture {i}: wanted a label from 0 to {len(classes) - 1}; got {label}")
        kept = [with_channels(image, None) for image in images]
        return cls(
            name=name,
            classes=tuple(classes),
            labels=np.asarray(labels, np.int64),
            paths=tuple(f"{name}/{i:05d}" for i in range(len(kept))),
            channels=max((image.shape[2] for image in kept), default=1),
            native_side=median_side([min(image.shape[:2]) for image in kept]),
            splits=None,
            quarantine=(),
            fingerprints=tuple(map(fingerprint, kept)),
            load=kept.__getitem__,
        )

    def at(self, preprocessing: Preprocessing, *, progress: Progress | None = None) -> "Tensor":
        """Give all pictures at a preprocessing's size and channels; not yet normalised. Asked again, it is at hand.

        Shape: torch.uint8 [N, channels, resolution, resolution]
        Raises: DataError: a file that was good when the folder was opened no longer is.
        """
        import torch

        key = (preprocessing.resolution, preprocessing.channels, preprocessing.resize)
        if key not in self._sized:
            side = preprocessing.resolution
            images = torch.empty(len(self), preprocessing.channels, side, side, dtype=torch.uint8)
            room = images.numpy()
            sized = in_order(lambda i: preprocessing.fit(self._load(i)), range(len(self)), progress)
            for i, image in enumerate(sized):
                room[i] = image.transpose(2, 0, 1)
            while self._sized and sum(t.numel() for t in self._sized.values()) + images.numel() > KEPT_BYTES:
                del self._sized[next(iter(self._sized))]
            self._sized[key] = images
        return self._sized[key]

    def _load(self, i: int) -> Pixels:
        try:
            return self.load(i)
        except (BadPictureError, OSError) as error:
            raise DataError(
                f"{self.name}: {self.paths[i]} was good when the collection was opened, and now is not: {error}"
            ) from error


def fingerprint(image: Pixels) -> str:
    """Hash a picture's size and pixels: 32 hexadecimal digits. Grey pixels hash alike with 1 and 3 channels."""
    image = with_channels(image, None)
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def median_side(sides: Sequence[int]) -> int:
    """Give the median of the pictures' shorter sides, in pixels; 0 if there are none."""
    return int(np.median(sides)) if len(sides) else 0
