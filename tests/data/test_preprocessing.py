"""Bringing pictures to size and normalising them."""

import numpy as np
import pytest
import torch
from PIL import Image

from featherweight.data import DataError, Pictures, Preprocessing, digits, preprocessing_for

SHAPE = Preprocessing(resolution=4, channels=3, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0))


def test_right_size_is_left_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    assert np.array_equal(SHAPE.fit(image), image)


def test_shrinking_takes_every_pixel_into_account() -> None:
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 200
    shrunk = Preprocessing(resolution=8, channels=1, mean=(0,), std=(1,)).fit(stripes)
    assert np.abs(shrunk.astype(int) - 100).max() <= 4


def test_squash_takes_the_whole_picture_and_crop_the_middle() -> None:
    image = np.zeros((10, 30, 1), np.uint8)
    image[:, 10:20] = 255
    squash = Preprocessing(resolution=10, channels=1, mean=(0,), std=(1,))
    crop = Preprocessing(resolution=10, channels=1, mean=(0,), std=(1,), resize="crop")
    assert squash.fit(image)[5, 0] == 0
    assert (crop.fit(image) == 255).all()


def test_as_pillow_resizes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 57, 3), np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((20, 20), Image.Resampling.BILINEAR))
    assert np.array_equal(Preprocessing(resolution=20, channels=3, mean=(0,) * 3, std=(1,) * 3).fit(image), expected)


def test_channels_are_made() -> None:
    grey = np.full((4, 4, 1), 7, np.uint8)
    assert SHAPE.fit(grey).tolist() == np.full((4, 4, 3), 7).tolist()
    one = Preprocessing(resolution=4, channels=1, mean=(0,), std=(1,))
    assert one.fit(np.full((4, 4, 3), 7, np.uint8)).shape == (4, 4, 1)


def test_normalised_values_and_layout() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    got = SHAPE.normalize(images)
    assert (got.dtype, got.shape, got.flags.c_contiguous) == (np.float32, (2, 3, 4, 5), True)
    assert got[1, 2, 3, 4] == pytest.approx((images[1, 3, 4, 2] / 255 - 0.3) / 1.0, abs=1e-6)
    assert np.array_equal(SHAPE.normalize(images[1]), got[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 0}, "resolution must be at least 1 pixel; got 0"),
        ({"channels": 2}, "channels must be 1"),
        ({"resize": "pad"}, "resize must be 'squash' or 'crop'; got 'pad'"),
        ({"mean": [0.5]}, "mean and std need 3 values each"),
        ({"std": [0.5, 0.5, 0]}, "std above 0"),
        ({"colour": True}, "needs exactly channels, mean, resize, resolution, std; got channels, colour"),
    ],
)
def test_wrong_constants_are_told(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_dict({**SHAPE.to_dict(), **change})


def test_constants_of_the_training_pictures() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 6, 6, 3), np.uint8)
    images[..., 2] //= 2
    images[40:] = 0  # not trained on
    pictures = Pictures.from_arrays(images, [0] * 50, ["a"])
    shape = preprocessing_for(pictures, np.arange(40), resolution=6)
    assert shape.mean == pytest.approx((images[:40] / 255).mean(axis=(0, 1, 2)))
    assert shape.std == pytest.approx((images[:40] / 255).std(axis=(0, 1, 2)))


def test_pictures_of_one_grey_can_be_normalised() -> None:
    pictures = Pictures.from_arrays(np.full((4, 6, 6, 1), 9, np.uint8), [0] * 4, ["a"])
    assert preprocessing_for(pictures, np.arange(4), resolution=6).std == (1 / 255,)


def test_pictures_are_sized_once_for_each_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = digits()
    shape = preprocessing_for(pictures, np.arange(100), resolution=16)
    images = pictures.at(shape)
    assert (images.shape, images.dtype) == ((1797, 1, 16, 16), torch.uint8)
    assert pictures.at(shape) is images
    assert np.array_equal(images[5].permute(1, 2, 0).numpy(), shape.fit(pictures.load(5)))
    monkeypatch.setattr("featherweight.data._pictures.KEPT_BYTES", 1_000_000)
    pictures.at(preprocessing_for(pictures, np.arange(100), resolution=20))
    assert pictures.at(shape) is not images  # gave way to the larger ones
    assert torch.equal(pictures.at(shape), images)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4, 1), np.uint8), [0], "got 2 pictures, 1 labels"),
        (np.zeros((1, 4, 4, 1), np.uint8), [1], "picture 0: wanted a label from 0 to 0; got 1"),
        (np.zeros((1, 4, 4, 1)), [0], r"picture 0: wanted uint8 \[H, W, 1 or 3\]; got float64 \[4, 4, 1\]"),
        (np.zeros((1, 4, 4), np.uint8), [0], r"got uint8 \[4, 4\]"),
    ],
)
def test_arrays_that_are_no_pictures_are_told(images: np.ndarray, labels: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Pictures.from_arrays(images, labels, ["a"])
