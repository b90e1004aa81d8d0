"""Augmentation: each change by itself against a closed form, and which changes are chosen for which pictures."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from featherweight.data import Augment, Pictures, augment_for, digits


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def smooth(count: int = 16, channels: int = 3, side: int = 32) -> Tensor:
    return F.interpolate(noise(count, channels, 4, 4).float(), side, mode="bicubic").clamp(0, 255).byte()


def apply(augment: Augment, batch: Tensor, seed: int = 1) -> Tensor:
    return augment.apply(batch, torch.Generator().manual_seed(seed))


def centre_of_mass(x: Tensor) -> tuple[Tensor, Tensor]:
    weight = x.sum(dim=(1, 2, 3))
    side = torch.arange(x.shape[3], dtype=torch.float32)
    return (x.sum(dim=(1, 2)) * side).sum(1) / weight, (x.sum(dim=(1, 3)) * side).sum(1) / weight


def blob(count: int, x: int, y: int, side: int = 33) -> Tensor:
    batch = torch.zeros(count, 1, side, side, dtype=torch.uint8)
    batch[:, :, y - 2 : y + 3, x - 2 : x + 3] = 200
    return batch


def test_nothing_on_changes_nothing() -> None:
    batch = noise(3, 3, 8, 8)
    assert torch.equal(apply(Augment(), batch), batch.float())


def test_flip_is_exact_and_meets_half() -> None:
    batch = noise(400, 3, 8, 8)
    flipped = apply(Augment(flip=True), batch)
    same = (flipped == batch).flatten(1).all(1)
    mirrored = (flipped == batch.flip(3)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 150 < int(mirrored.sum()) < 250


def test_flip_within_the_resampling_is_the_same_flip() -> None:
    batch = smooth()
    alone = apply(Augment(flip=True), batch)
    within = apply(Augment(flip=True, translate=1e-9), batch)
    assert (alone - within).abs().max() < 0.01


def test_translation_is_within_its_limit_and_in_both_directions() -> None:
    x, y = centre_of_mass(apply(Augment(translate=0.2, padding="zeros"), blob(500, 16, 16)))
    for shift in (x - 16, y - 16):
        assert shift.abs().max() <= 0.2 * 33 + 0.1
        assert shift.min() < -6 < 6 < shift.max()
        assert shift.mean().abs() < 0.5


def test_rotation_keeps_the_distance_to_the_middle_and_the_angle_within_its_limit() -> None:
    x, y = centre_of_mass(apply(Augment(rotate_degrees=30, padding="zeros"), blob(500, 26, 16)))
    assert ((x - 16).hypot(y - 16) - 10).abs().max() < 0.3
    angle = torch.atan2(y - 16, x - 16).rad2deg()
    assert angle.min() == pytest.approx(-30, abs=1)
    assert angle.max() == pytest.approx(30, abs=1)


def test_scale_moves_outwards_and_inwards() -> None:
    x, y = centre_of_mass(apply(Augment(scale=0.2, padding="zeros"), blob(500, 26, 16)))
    assert (y - 16).abs().max() < 0.1
    assert (x - 16).min() == pytest.approx(8, abs=0.2)
    assert (x - 16).max() == pytest.approx(12, abs=0.2)


def test_shear_moves_along_x_with_y() -> None:
    x, y = centre_of_mass(apply(Augment(shear=0.3, padding="zeros"), blob(500, 16, 24)))
    assert (y - 24).abs().max() < 0.1
    assert (x - 16).abs().max() == pytest.approx(0.3 * 8, abs=0.1)


def test_cut_has_area_and_ratio_within_limits() -> None:
    """A ramp along each axis tells which part of it each output shows."""
    ramp = torch.arange(64).mul(4).byte()
    batch = torch.stack([ramp.expand(64, 64), ramp.expand(64, 64).T]).expand(300, 2, 64, 64)
    cut = apply(Augment(crop_scale=(0.25, 0.5), crop_ratio=(0.75, 4 / 3)), batch)
    width = (cut[:, 0, 32, 40] - cut[:, 0, 32, 24]) / 64
    height = (cut[:, 1, 40, 32] - cut[:, 1, 24, 32]) / 64
    assert 0.24 < float((width * height).min()) < 0.28
    assert 0.47 < float((width * height).max()) < 0.51
    assert 0.74 < float((width / height).min()) < 0.80
    assert 1.25 < float((width / height).max()) < 1.35


def test_brightness_and_contrast() -> None:
    batch = smooth(200).clamp(60, 120)
    bright = apply(Augment(brightness=0.5), batch) / batch
    assert bright.amax((1, 2, 3)).sub(bright.amin((1, 2, 3))).max() < 1e-4  # one factor for a picture
    assert (bright.min(), bright.max()) == (pytest.approx(0.5, abs=0.02), pytest.approx(1.5, abs=0.02))
    contrast = apply(Augment(contrast=0.5), batch)
    mean = batch.float().mean((1, 2, 3))
    assert (contrast.mean((1, 2, 3)) - mean).abs().max() < 0.01
    factor = contrast.std((1, 2, 3)) / batch.float().std((1, 2, 3))
    assert (factor.min(), factor.max()) == (pytest.approx(0.5, abs=0.02), pytest.approx(1.5, abs=0.02))
    both = apply(Augment(brightness=1, contrast=1), noise(50, 3, 8, 8))
    assert both.min() >= 0
    assert both.max() <= 255


def test_erase_paints_a_rectangle_of_the_asked_area() -> None:
    batch = noise(400, 3, 40, 40)
    erased = apply(Augment(erase=0.5, erase_area=(0.1, 0.2)), batch)
    changed = (erased != batch).any(1)
    area = changed.float().mean((1, 2))
    assert 150 < int((area > 0).sum()) < 250
    assert 0.07 < float(area[area > 0].min()) < 0.12
    assert 0.17 < float(area.max()) < 0.23
    first = int(area.argmax())
    inside = erased[first][:, changed[first]]
    assert inside.std(dim=1).max() < 1e-3  # one colour
    rows, columns = changed[first].any(1).sum(), changed[first].any(0).sum()
    assert changed[first].sum() >= rows * columns - 5  # a rectangle, but for pixels that had the colour


@pytest.mark.parametrize("padding", ["border", "reflection", "zeros"])
def test_padding_is_what_it_says(padding: str) -> None:
    batch = torch.full((50, 1, 16, 16), 100, dtype=torch.uint8)
    moved = apply(Augment(translate=0.3, padding=padding), batch)
    assert (moved.min() < 1) == (padding == "zeros")


def test_all_chance_comes_from_the_generator() -> None:
    augment = Augment(rotate_degrees=10, scale=0.1, shear=0.1, translate=0.1, flip=True, contrast=0.2, erase=0.5)
    batch = smooth()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        torch.manual_seed(5)
        one = apply(augment, batch)
        torch.set_num_threads(2)
        torch.manual_seed(6)
        two = apply(augment, batch)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, two)
    assert not torch.equal(one, apply(augment, batch, seed=2))


def test_switching_one_change_on_leaves_the_others_as_they_were() -> None:
    batch = smooth()
    plain = apply(Augment(flip=True), batch)
    bright = apply(Augment(flip=True, brightness=0.2), batch)
    factor = (bright / plain.clamp(min=1)).flatten(1)
    assert factor[:, plain.flatten(1).min(1).values.argmax()].isfinite().all()
    mirrored = (plain == batch.flip(3)).flatten(1).all(1)
    assert 0 < int(mirrored.sum()) < len(batch)
    closer = (bright - plain).abs().mean((1, 2, 3)) <= (bright - plain.flip(3)).abs().mean((1, 2, 3))
    assert bool(closer.all())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"translate": 1.5}, r"translate must be from 0 to 1; got 1\.5"),
        ({"crop_scale": (0.5, 0.2)}, "crop_scale is the least and the most share"),
        ({"rotate_degrees": -1}, "rotate_degrees must be from 0 to 180"),
        ({"padding": "wrap"}, "padding must be 'border', 'reflection' or 'zeros'; got 'wrap'"),
        ({"crop_ratio": (2, 1)}, "crop_ratio is the least and the most width : height"),
        ({"colour": 1}, "unknown augmentation colour; known: rotate_degrees, scale"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augment.from_dict(settings)


def coloured(images: np.ndarray) -> np.ndarray:
    """[N, H, W, 1] -> [N, H, W, 3] in a colour of its own for each picture."""
    colours = np.random.default_rng(1).uniform(0.4, 1, (len(images), 1, 1, 3))
    return (images * colours).astype(np.uint8)


def test_digits_are_never_mirrored() -> None:
    augment = augment_for(digits())
    assert augment == Augment(rotate_degrees=10, scale=0.1, shear=0.1, translate=0.12)
    assert augment_for(digits(), flip=True).flip


def test_coloured_characters_are_found_not_to_bear_mirroring() -> None:
    grey = digits()
    images = coloured(np.stack([grey.load(i) for i in range(len(grey))]))
    pictures = Pictures.from_arrays(images, grey.labels.tolist(), grey.classes)
    assert pictures.channels == 3
    assert not augment_for(pictures).flip
    assert not augment_for(pictures, np.arange(1000)).flip
    assert augment_for(pictures, flip=True).flip


def scenes(side: int) -> Pictures:
    """Two classes that differ in colour and in top and bottom, not in left and right."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, side, side, 3), np.uint8)
    labels = np.arange(200) % 2
    images[labels == 0, : side // 2] //= 3
    images[labels == 1, side // 2 :] //= 3
    return Pictures.from_arrays(images, labels.tolist(), ["beach", "cave"])


def test_photographs_are_mirrored() -> None:
    small, large = augment_for(scenes(64)), augment_for(scenes(96))
    assert small.flip
    assert large.flip
    assert small.crop_scale is None
    assert large.crop_scale == (0.5, 1.0)
    assert not augment_for(scenes(64), flip=False).flip


def test_tiny_pictures_may_be_characters_and_are_mirrored_only_when_asked() -> None:
    assert not augment_for(scenes(48)).flip
    assert augment_for(scenes(48), flip=True).flip


def test_what_cannot_be_told_apart_is_not_mirrored() -> None:
    rng = np.random.default_rng(0)
    noise = Pictures.from_arrays(rng.integers(0, 256, (200, 64, 64, 3), np.uint8), [0, 1] * 100, ["a", "b"])
    assert not augment_for(noise).flip


def test_turning_is_about_the_middle_and_counts_in_degrees() -> None:
    quarter = Augment(rotate_degrees=90, padding="zeros")
    x, y = centre_of_mass(apply(quarter, blob(300, 26, 16)))
    assert torch.atan2(y - 16, x - 16).abs().max() <= math.pi / 2 + 0.02
