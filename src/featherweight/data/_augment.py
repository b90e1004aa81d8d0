"""Augmentation of a whole batch at once, with its own parameters for each picture."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ._flip import flip_keeps_class
from ._pictures import Pictures
from ._split import Indices

# Up to this, pictures are taken for characters, not photographs.
CHARACTER_SIDE = 48

# Up to this, pictures are shifted; larger ones are cut, since what they show is at no fixed place or size.
SMALL_SIDE = 64


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes to a training picture. Geometry is one resampling, whatever of it is on; what is 0 costs nothing.

    Args:
        rotate_degrees: drawn from -rotate_degrees..rotate_degrees; `shear` (tangent of the angle) likewise.
        scale: size factor, drawn from 1-scale..1+scale.
        translate: shift in each direction, as a share of the side, drawn from -translate..translate.
        crop_scale: share of the area that is cut out and brought back to size, least and most; None: no cut.
        crop_ratio: width : height of that cut, least and most; drawn evenly in its logarithm.
        flip: mirror left and right every second picture.
        padding: what comes in from outside: "border", "reflection" or "zeros".
        brightness: factor drawn from 1-brightness..1+brightness.
        contrast: factor of the distance to the picture's mean, drawn from 1-contrast..1+contrast.
        erase: share of pictures in which a rectangle is painted over with the picture's mean colour.
        erase_area: share of the area of that rectangle, least and most.
    Raises: ValueError: a value that makes no sense; the message says which.

    Example:
        >>> batch = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 2, 2)
        >>> Augment().apply(batch, torch.Generator()).tolist()
        [[[[0.0, 1.0], [2.0, 3.0]]]]
    """

    rotate_degrees: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    translate: float = 0.0
    crop_scale: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = False
    padding: str = "border"
    brightness: float = 0.0
    contrast: float = 0.0
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.2)

    def __post_init__(self) -> None:
        for name in ("scale", "translate", "brightness", "contrast", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1; got {getattr(self, name)}")
        for name in ("crop_scale", "erase_area"):
            limits = getattr(self, name)
            if limits is not None and not 0 < limits[0] <= limits[1] <= 1:
                raise ValueError(f"{name} is the least and the most share of the area, in 0..1; got {limits}")
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise ValueError(f"crop_ratio is the least and the most width : height; got {self.crop_ratio}")
        if not (0 <= self.rotate_degrees <= 180 and self.shear >= 0):
            raise ValueError(
                f"rotate_degrees must be from 0 to 180 and shear at least 0; got {self.rotate_degrees} and {self.shear}"
            )
        if self.padding not in ("border", "reflection", "zeros"):
            raise ValueError(f"padding must be 'border', 'reflection' or 'zeros'; got {self.padding!r}")

    def apply(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Change each picture of a batch by chance.

        All of the chance comes from `generator`: the same state gives the same pictures, on any number of threads.

        Shape: uint8 [N, C, H, W] -> float32 [N, C, H, W], still in 0..255
        """
        chance = torch.rand(17, len(batch), generator=generator)  # one row for each parameter, used or not
        x = batch.float()
        if self._moves:
            x = F.grid_sample(x, self._grid(chance, *x.shape[2:]), padding_mode=self.padding, align_corners=False)
        elif self.flip:
            x = torch.where(chance[0].lt(0.5).view(-1, 1, 1, 1), x.flip(3), x)
        if self.brightness or self.contrast:
            x = self._coloured(x, chance)
        if self.erase:
            x = self._erased(x, chance)
        return x

    @property
    def _moves(self) -> bool:
        return bool(self.rotate_degrees or self.scale or self.shear or self.translate or self.crop_scale)

    def _grid(self, chance: Tensor, height: int, width: int) -> Tensor:
        """Where each output pixel comes from: [N, H, W, 2], (x, y) in -1..1."""
        angle = _within(chance[1], math.radians(self.rotate_degrees))
        size = 1 / (1 + _within(chance[2], min(self.scale, 0.99)))
        shear = _within(chance[3], self.shear)
        cos, sin = angle.cos() * size, angle.sin() * size
        half_width, half_height, centre_x, centre_y = self._cut(chance)
        a, b, c, d = cos, shear * cos - sin, sin, shear * sin + cos
        shift_x = a * centre_x + b * centre_y + _within(chance[4], 2 * self.translate)
        shift_y = c * centre_x + d * centre_y + _within(chance[5], 2 * self.translate)
        if self.flip:
            half_width = torch.where(chance[0] < 0.5, -half_width, half_width)
        along_x = (torch.stack((a, c)) * half_width)[..., None] * _centres(width)
        along_y = (torch.stack((b, d)) * half_height)[..., None] * _centres(height)
        along_y += torch.stack((shift_x, shift_y))[..., None]
        planes = along_x[:, :, None, :] + along_y[:, :, :, None]  # [2, N, H, W]: ten times faster than in pairs
        return planes.permute(1, 2, 3, 0)

    def _cut(self, chance: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Half width, half height and centre of the part that is cut out, for each picture, in -1..1."""
        if self.crop_scale is None:
            whole, middle = torch.ones(chance.shape[1]), torch.zeros(chance.shape[1])
            return whole, whole, middle, middle
        area = _between(chance[6], *self.crop_scale)
        ratio = _between(chance[7], *map(math.log, self.crop_ratio)).exp()
        half_width = (area * ratio).sqrt().clamp(max=1)
        half_height = (area / ratio).sqrt().clamp(max=1)
        return (
            half_width,
            half_height,
            (2 * chance[8] - 1) * (1 - half_width),
            (2 * chance[9] - 1) * (1 - half_height),
        )

    def _coloured(self, x: Tensor, chance: Tensor) -> Tensor:
        brightness = (1 + _within(chance[10], self.brightness)).view(-1, 1, 1, 1)
        contrast = (1 + _within(chance[11], self.contrast)).view(-1, 1, 1, 1)
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        return torch.addcmul(mean * brightness * (1 - contrast), x, brightness * contrast).clamp_(0, 255)

    def _erased(self, x: Tensor, chance: Tensor) -> Tensor:
        height, width = x.shape[2:]
        area = _between(chance[13], *self.erase_area)
        ratio = _between(chance[14], math.log(0.5), math.log(2)).exp()
        half_width, half_height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
        centre_x, centre_y = (2 * chance[15] - 1) * (1 - half_width), (2 * chance[16] - 1) * (1 - half_height)
        in_columns = (_centres(width) - centre_x.view(-1, 1)).abs() <= half_width.view(-1, 1)
        in_rows = (_centres(height) - centre_y.view(-1, 1)).abs() <= half_height.view(-1, 1)
        in_rows &= (chance[12] < self.erase).view(-1, 1)
        hidden = (in_rows.unsqueeze(2) & in_columns.unsqueeze(1)).unsqueeze(1)
        return torch.where(hidden, x.mean(dim=(2, 3), keepdim=True), x)

    def to_dict(self) -> dict[str, Any]:
        """Give the settings as plain values, for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Augment":
        """Take the settings from what `to_dict` gave.

        Raises: ValueError: an unknown setting, or a value that makes no sense.

        Example:
            >>> augment = Augment(rotate_degrees=10, crop_scale=(0.5, 1))
            >>> Augment.from_dict(augment.to_dict()) == augment
            True
        """
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(names)):
            raise ValueError(f"unknown augmentation {', '.join(unknown)}; known: {', '.join(names)}")
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**settings)


def augment_for(pictures: Pictures, indices: Indices | None = None, *, flip: bool | None = None) -> Augment:
    """Choose the augmentation by the kind and size of the pictures.

    Pictures up to 48 pixels may be characters: they are turned, sheared, scaled and shifted a little, in colour also
    with changing brightness and contrast, and mirrored only when asked for, because a mirrored b is a d, which costs
    more than mirroring gains where it is right. Larger ones are mirrored unless that takes them to another class (see
    `flip_keeps_class`; then they are turned and sheared instead); up to 64 pixels they are shifted, above that cut.

    Args:
        indices: of the training pictures, to find out from; default all.
        flip: mirror left and right: True, False, or None to find out.

    Example:
        >>> from featherweight.data import digits
        >>> augment_for(digits()).flip
        False
    """
    if pictures.native_side <= CHARACTER_SIDE:
        light = 0.0 if pictures.channels == 1 else 0.2
        return Augment(
            rotate_degrees=10, scale=0.1, shear=0.1, translate=0.12, flip=bool(flip), brightness=light, contrast=light
        )  # fmt: skip
    mirrored = flip_keeps_class(pictures, indices)
    flip = mirrored if flip is None else flip
    if pictures.native_side > SMALL_SIDE:
        return Augment(crop_scale=(0.5 if mirrored else 0.6, 1.0), flip=flip, brightness=0.3, contrast=0.3)
    if mirrored:
        return Augment(scale=0.1, translate=0.12, flip=flip, padding="reflection", brightness=0.2, contrast=0.2)
    return Augment(rotate_degrees=10, scale=0.1, shear=0.1, translate=0.12, flip=flip, brightness=0.2, contrast=0.2)


def _within(chance: Tensor, limit: float) -> Tensor:
    """0..1 -> -limit..limit."""
    return (2 * chance - 1) * limit


def _between(chance: Tensor, low: float, high: float) -> Tensor:
    """0..1 -> low..high."""
    return low + chance * (high - low)


def _centres(side: int) -> Tensor:
    """Where the pixels' centres are, if the edges of the picture are -1 and 1."""
    return (torch.arange(side) * 2 + 1) / side - 1
