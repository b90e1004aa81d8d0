"""Which pictures train, which validate, which test: stratified, reproducible, with identical pictures kept together."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._pictures import DataError, Pictures

Indices = NDArray[np.int64]

# Fewer different pictures in a class cannot be shared out among training, validation and test.
LEAST_PER_CLASS = 5


@dataclass(frozen=True)
class Duplicate:
    """Pictures with identical pixels.

    Args:
        paths: of the pictures; `splits` and `classes` are in the same order.
    """

    paths: tuple[str, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]

    @property
    def across_splits(self) -> bool:
        """Whether the same picture is in two splits: then the test measures memory."""
        return len(set(self.splits)) > 1

    @property
    def across_classes(self) -> bool:
        """Whether the same picture is in two classes: then one label is wrong."""
        return len(set(self.classes)) > 1


@dataclass(frozen=True)
class Imbalance:
    """Pictures in the largest and in the smallest class, and the ratio of the two."""

    largest: int
    smallest: int
    ratio: float


@dataclass(frozen=True, eq=False)
class Split:
    """Indices of the pictures for training, validation and test, each int64 and sorted; what is doubtful about them.

    Args:
        duplicates: every group of identical pictures; the same one across two splits only where the folders put it so.
    """

    train: Indices
    val: Indices
    test: Indices
    duplicates: tuple[Duplicate, ...]
    imbalance: Imbalance


def split_pictures(pictures: Pictures, *, seed: int, test: float = 0.2, val: float = 0.1) -> Split:
    """Share out the pictures of each class; what the folders have shared out already stays where it is.

    The choice depends on the seed and on each picture's own pixels, not on names or order: the same pictures give the
    same split on every machine, and a few pictures more leave the others' places nearly unchanged. Where the folders
    give no test (or no val) pictures, they are taken from train.

    Args:
        test: share of each class for the test, in 0..1; at least one picture if above 0. `val` likewise.
    Raises: DataError: a class has fewer than 5 different pictures to share out.

    Example:
        >>> from featherweight.data import digits
        >>> split = split_pictures(digits(), seed=0)
        >>> len(split.train), len(split.val), len(split.test)
        (1259, 179, 359)
    """
    if min(test, val) < 0 or test + val >= 1:
        raise ValueError(f"test and val are shares whose sum is below 1; got test={test}, val={val}")
    given = pictures.splits
    places = np.full(len(pictures), "train", dtype="<U5") if given is None else given.astype("<U5")
    shares = {name: share for name, share in (("test", test), ("val", val)) if name not in places and share > 0}
    if shares:
        for label, groups in enumerate(_groups(pictures, np.flatnonzero(places == "train"))):
            if len(groups) < LEAST_PER_CLASS:
                raise DataError(
                    f"{pictures.name}: class {pictures.classes[label]!r} has {len(groups)} different pictures; wanted "
                    f"at least {LEAST_PER_CLASS}, to share them out among training, validation and test"
                )
            _share_out(places, groups, shares, seed, pictures.fingerprints)
    return Split(
        train=np.flatnonzero(places == "train"),
        val=np.flatnonzero(places == "val"),
        test=np.flatnonzero(places == "test"),
        duplicates=_duplicates(pictures, places),
        imbalance=_imbalance(pictures),
    )


def _groups(pictures: Pictures, indices: Indices) -> list[list[list[int]]]:
    """Identical pictures, grouped, by class; a picture that is in two classes counts to the first."""
    same: dict[str, list[int]] = defaultdict(list)
    for i in indices.tolist():
        same[pictures.fingerprints[i]].append(i)
    by_class: list[list[list[int]]] = [[] for _ in pictures.classes]
    for group in same.values():
        by_class[pictures.labels[group].min()].append(group)
    return by_class


def _share_out(
    places: NDArray[np.str_],
    groups: list[list[int]],
    shares: dict[str, float],
    seed: int,
    fingerprints: tuple[str, ...],
) -> None:
    """Draw groups of one class for each split that wants a share; a group that is too large for it stays in train."""
    count = sum(map(len, groups))
    drawn = sorted(groups, key=lambda group: hashlib.blake2b(f"{seed} {fingerprints[group[0]]}".encode()).digest())
    for name, share in shares.items():
        wanted = max(1, round(count * share))
        for group in list(drawn):
            if len(group) <= wanted:
                places[group] = name
                wanted -= len(group)
                drawn.remove(group)


def _duplicates(pictures: Pictures, places: NDArray[np.str_]) -> tuple[Duplicate, ...]:
    same: dict[str, list[int]] = defaultdict(list)
    for i, fingerprint in enumerate(pictures.fingerprints):
        same[fingerprint].append(i)
    return tuple(
        Duplicate(
            tuple(pictures.paths[i] for i in group),
            tuple(str(places[i]) for i in group),
            tuple(pictures.classes[pictures.labels[i]] for i in group),
        )
        for group in same.values()
        if len(group) > 1
    )


def _imbalance(pictures: Pictures) -> Imbalance:
    counts = np.bincount(pictures.labels, minlength=len(pictures.classes))
    largest, smallest = int(counts.max()), int(counts.min())
    return Imbalance(largest, smallest, largest / max(smallest, 1))
