"""The split: stratified, reproducible, no picture in two parts; and what it tells about the collection."""

from dataclasses import replace

import numpy as np
import pytest

from featherweight.data import DataError, Pictures, digits, split_pictures


def noise(labels: list[int], repeat: dict[int, int] | None = None) -> Pictures:
    """One picture of noise for each label; `repeat` makes picture i a copy of another."""
    images = [np.random.default_rng(i).integers(0, 256, (6, 6, 1), np.uint8) for i in range(len(labels))]
    for copy, original in (repeat or {}).items():
        images[copy] = images[original]
    return Pictures.from_arrays(images, labels, [str(c) for c in range(max(labels) + 1)])


def test_every_picture_is_in_one_part_and_classes_have_their_shares() -> None:
    pictures = digits()
    split = split_pictures(pictures, seed=0)
    assert sorted(np.concatenate([split.train, split.val, split.test]).tolist()) == list(range(1797))
    everywhere = np.bincount(pictures.labels)
    assert np.abs(np.bincount(pictures.labels[split.test]) - 0.2 * everywhere).max() <= 0.5
    assert np.abs(np.bincount(pictures.labels[split.val]) - 0.1 * everywhere).max() <= 0.5
    assert split.train.dtype == np.int64


def test_the_same_seed_gives_the_same_split_whatever_the_order() -> None:
    labels = [0, 1] * 30
    pictures = noise(labels)
    split, again, other = (split_pictures(pictures, seed=seed) for seed in (3, 3, 4))
    assert split.test.tolist() == again.test.tolist() != other.test.tolist()
    order = np.random.default_rng(0).permutation(60)
    shuffled = Pictures.from_arrays(
        [pictures.load(int(i)) for i in order], pictures.labels[order].tolist(), pictures.classes
    )
    assert sorted(order[split_pictures(shuffled, seed=3).test]) == split.test.tolist()


def test_small_classes_are_in_every_part() -> None:
    split = split_pictures(noise([0] * 50 + [1] * 5), seed=0)
    for part in (split.train, split.val, split.test):
        assert (part >= 50).any()
    assert (split.imbalance.largest, split.imbalance.smallest, split.imbalance.ratio) == (50, 5, 10.0)


def test_too_few_pictures_stop() -> None:
    with pytest.raises(DataError, match="class '1' has 4 different pictures; wanted at least 5"):
        split_pictures(noise([0] * 10 + [1] * 6, repeat={11: 10, 12: 10}), seed=0)


@pytest.mark.parametrize("seed", range(5))
def test_identical_pictures_stay_together(seed: int) -> None:
    copies = {i: i - 10 for i in range(10, 20)}
    pictures = noise([0] * 20 + [1] * 20, repeat={**copies, 25: 0})
    split = split_pictures(pictures, seed=seed)
    assert len(split.duplicates) == 10
    assert not any(duplicate.across_splits for duplicate in split.duplicates)
    assert len(split.test) + len(split.val) + len(split.train) == 40
    across = [duplicate for duplicate in split.duplicates if duplicate.across_classes]
    assert [(d.paths, d.classes) for d in across] == [
        (("pictures/00000", "pictures/00010", "pictures/00025"), ("0", "0", "1"))
    ]


def test_duplicates_across_given_splits_are_reported_and_stay() -> None:
    pictures = noise([0, 1] * 6, repeat={10: 0})
    given = np.array(["train"] * 6 + ["val"] * 2 + ["test"] * 4)
    split = split_pictures(replace(pictures, splits=given), seed=0)
    assert [part.tolist() for part in (split.train, split.val, split.test)] == [list(range(6)), [6, 7], [8, 9, 10, 11]]
    (duplicate,) = split.duplicates
    assert duplicate.across_splits
    assert (duplicate.paths, duplicate.splits) == (("pictures/00000", "pictures/00010"), ("train", "test"))


def test_a_missing_part_is_taken_from_train() -> None:
    given = np.array(["train"] * 40 + ["test"] * 10)
    split = split_pictures(replace(noise([0, 1] * 25), splits=given), seed=0)
    assert (len(split.train), len(split.val), split.test.tolist()) == (36, 4, list(range(40, 50)))


def test_shares_must_leave_something_to_train_on() -> None:
    with pytest.raises(ValueError, match=r"shares whose sum is below 1; got test=0\.8, val=0\.3"):
        split_pictures(noise([0, 1] * 10), seed=0, test=0.8, val=0.3)
    assert len(split_pictures(noise([0, 1] * 10), seed=0, test=0.2, val=0).val) == 0
