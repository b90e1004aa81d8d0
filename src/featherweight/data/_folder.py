"""A folder of pictures, opened: every file is decoded once, and each bad one is left out with its reason."""

import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._decode import LIMITS, BadPictureError, Limits, Pixels, decode, shown
from ._parallel import Progress, in_order
from ._pictures import KEPT_BYTES, DataError, Pictures, Quarantined, fingerprint, median_side
from ._walk import Walk, walk


def open_folder(
    path: str | Path,
    *,
    max_bad: float = 0.1,
    max_pixels: int = LIMITS.max_pixels,
    max_bytes: int = LIMITS.max_bytes,
    progress: Progress | None = None,
) -> Pictures:
    """Read a folder of pictures: `class/*` or `train|val|test/class/*`, JPEG, PNG, WebP or BMP, told by their content.

    Every file is decoded, in parallel; decoded pictures are kept if all fit in 1 GiB. A file that is broken, truncated,
    empty, too large, no picture, not to be read, or a link that leads elsewhere goes on the quarantine list with its
    reason, and the rest is used. Hidden files are passed over. Nothing in the folder is changed.

    Args:
        path: the folder. Classes are its subfolders, sorted by name; `valid` and `validation` mean `val`,
            `training` and `testing` mean `train` and `test`.
        max_bad: largest share of files on the quarantine list, in 0..1.
        max_pixels: width x height of the largest picture that is decoded.
        max_bytes: size of the largest file that is read.
        progress: called as progress(files done, files in all).
    Raises:
        DataError: no such folder, fewer than two classes, more than `max_bad` files bad, or a class with no picture
            left; the message lists the first bad files with their reasons.

    Example:
        >>> open_folder("no/such/folder")
        Traceback (most recent call last):
        ...
        featherweight.data._pictures.DataError: no such folder: no/such/folder
    """
    found = walk(Path(path))
    if len(found.classes) < 2:
        raise DataError(_too_few_classes(found))
    limits = Limits(max_pixels=max_pixels, max_bytes=max_bytes)
    store = _Store([file for file, _, _ in found.files], limits)
    read = list(in_order(store.read, range(len(found.files)), progress))
    for (file, _, _), answer in zip(found.files, read, strict=True):
        if isinstance(answer, str):
            found.leave_out(file, answer)
    good = [i for i, answer in enumerate(read) if not isinstance(answer, str)]
    _check(found, good, max_bad)

    classes = tuple(sorted(found.classes))
    files = [found.files[i] for i in good]
    facts = [answer for answer in read if not isinstance(answer, str)]
    return Pictures(
        name=shown(found.root.name) or "pictures",
        classes=classes,
        labels=np.array([classes.index(name) for _, name, _ in files], np.int64),
        paths=tuple(shown(file.relative_to(found.root)) for file, _, _ in files),
        channels=max(fact.channels for fact in facts),
        native_side=median_side([fact.side for fact in facts]),
        splits=_splits([split for _, _, split in files]),
        quarantine=tuple(sorted(found.quarantine, key=lambda bad: bad.path)),
        fingerprints=tuple(fact.fingerprint for fact in facts),
        load=partial(_load, store, good),
    )


class _Facts(NamedTuple):
    """What is remembered of every picture, kept or not."""

    fingerprint: str
    side: int
    channels: int


class _Store:
    """Decodes files, and keeps all pictures if they fit in `KEPT_BYTES`, else none."""

    def __init__(self, files: list[Path], limits: Limits) -> None:
        self.files = files
        self.limits = limits
        self.kept: dict[int, Pixels] | None = {}
        self.room = KEPT_BYTES
        self.lock = threading.Lock()

    def read(self, i: int) -> _Facts | str:
        """Decode file i for the first time: facts on the picture, or the reason why it is bad."""
        try:
            image = decode(self.files[i], limits=self.limits)
        except BadPictureError as error:
            return error.reason
        except FileNotFoundError:
            return "gone while the folder was read"
        with self.lock:
            self.room -= image.nbytes
            if self.room < 0:
                self.kept = None
            if self.kept is not None:
                self.kept[i] = image
        return _Facts(fingerprint(image), min(image.shape[:2]), image.shape[2])

    def load(self, i: int) -> Pixels:
        """Give picture i, from memory or from its file."""
        return decode(self.files[i], limits=self.limits) if self.kept is None else self.kept[i]


def _load(store: _Store, good: list[int], i: int) -> Pixels:
    return store.load(good[i])


def _splits(splits: list[str | None]) -> NDArray[np.str_] | None:
    named = [split for split in splits if split is not None]
    return np.array(named) if named else None


def _too_few_classes(found: Walk) -> str:
    got = f"only {next(iter(found.classes))!r}" if found.classes else "none"
    inner = f" Did you mean {found.root / next(iter(found.classes))}?" if _holds_folders(found) else ""
    return (
        f"{shown(found.root)}: wanted at least 2 folders of pictures, one for each class (class/*.png or "
        f"train/class/*.png); got {got}.{inner}{_first(found.quarantine)}"
    )


def _holds_folders(found: Walk) -> bool:
    """Whether the only class folder holds further folders: perhaps they are the classes."""
    return len({file.relative_to(found.root).parts[:2] for file, _, _ in found.files if _depth(found, file) > 2}) > 1


def _depth(found: Walk, file: Path) -> int:
    return len(file.relative_to(found.root).parts)


def _check(found: Walk, good: list[int], max_bad: float) -> None:
    """Stop if too much is bad, or if a class has no picture (to train on) left."""
    bad, total = len(found.quarantine), len(found.quarantine) + len(good)
    if bad > max_bad * total:
        raise DataError(
            f"{shown(found.root)}: {bad} of {total} files ({bad / total:.0%}) cannot be used; at most {max_bad:.0%} "
            f"may be bad (max_bad={max_bad}).{_first(found.quarantine)}"
        )
    left = Counter(name for _, name, split in (found.files[i] for i in good) if split in (None, "train"))
    empty = sorted(name for name in found.classes if not left[name])
    if empty:
        where = " in train" if any(split for _, _, split in found.files) else ""
        raise DataError(
            f"{shown(found.root)}: every class needs pictures; none that can be read{where} for class "
            f"{', '.join(map(repr, empty))}.{_first(found.quarantine)}"
        )


def _first(quarantine: list[Quarantined], count: int = 5) -> str:
    """List the first bad files for an error message."""
    if not quarantine:
        return ""
    lines = [f"\n  {bad.path}: {bad.reason}" for bad in quarantine[:count]]
    more = f"\n  and {len(quarantine) - count} more" if len(quarantine) > count else ""
    return " The bad files:" + "".join(lines) + more
