"""Which files of a folder belong to which class and split. Links are looked at, never trusted."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ._decode import shown
from ._pictures import DataError, Quarantined

SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip

# Left lying about by desktops and archivers; these and names that start with a dot are passed over without a word.
HIDDEN = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"}


@dataclass
class Walk:
    """What was found under a folder.

    Args:
        files: path, class name and split (None where the folders name none) of every file in a class folder.
        quarantine: what was left out already, for where it is and not for its content.
        classes: names of all class folders, also of empty ones.
    """

    root: Path
    files: list[tuple[Path, str, str | None]] = field(default_factory=list)
    quarantine: list[Quarantined] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)

    def leave_out(self, path: Path, reason: str) -> None:
        """Put a path on the quarantine list."""
        self.quarantine.append(Quarantined(shown(path.relative_to(self.root)), reason))


def walk(folder: Path) -> Walk:
    """Find the files of `class/*` or `train|val|test/class/*`, each class with all its subfolders, in sorted order.

    Raises: DataError: no such folder, or it cannot be read.
    """
    if not folder.exists():
        raise DataError(f"no such folder: {shown(folder)}")
    if not folder.is_dir():
        raise DataError(f"wanted a folder of pictures (class/*.png or train/class/*.png); got a file: {shown(folder)}")
    found = Walk(Path(os.path.realpath(folder)))
    try:
        children = _children(found.root)
    except OSError as error:
        raise DataError(f"the folder cannot be read: {shown(folder)}: {error.strerror}") from error
    folders = [path for path in children if not path.is_symlink() and path.is_dir()]
    if _names_splits(folders):
        for path in folders:
            _walk_classes(found, path, SPLITS[path.name.lower()])
        _leave_out_all(found, children, besides=folders)
    else:
        _walk_classes(found, found.root, None)
    return found


def _names_splits(folders: list[Path]) -> bool:
    """Whether these are train, val and test with classes inside. Classes may have such names, but hold files.

    Raises: DataError: train and val or test with classes inside stand beside other folders: one or the other is meant.
    """
    splits = [path for path in folders if path.name.lower() in SPLITS]
    divided = {SPLITS[path.name.lower()] for path in splits if _holds_folders(path)}
    if "train" not in divided:
        return False
    others = [shown(path.name) for path in folders if path not in splits]
    if others and len(divided) > 1:
        raise DataError(
            f"{shown(folders[0].parent)}: {', '.join(shown(path.name) for path in splits)} with classes inside stand "
            f"beside {', '.join(others)}: wanted class/* or train|val|test/class/*; move the others elsewhere"
        )
    return not others


def _holds_folders(folder: Path) -> bool:
    try:
        return any(path.is_dir() and not path.is_symlink() for path in _children(folder))
    except OSError:  # reported when it is walked
        return False


def _children(folder: Path) -> list[Path]:
    """Everything in a folder but hidden files, sorted by name."""
    children = sorted(folder.iterdir())
    return [path for path in children if not path.name.startswith(".") and path.name.lower() not in HIDDEN]


def _walk_classes(found: Walk, folder: Path, split: str | None) -> None:
    children = _open_folder(found, folder)
    classes = [path for path in children if not path.is_symlink() and path.is_dir()]
    _leave_out_all(found, children, besides=classes)
    for path in classes:
        name = shown(path.name)
        found.classes.add(name)
        waiting = [path]
        while waiting:
            inside = _open_folder(found, waiting.pop())
            folders = [child for child in inside if not child.is_symlink() and child.is_dir()]
            waiting.extend(reversed(folders))
            for child in inside:
                if reason := _bad_link(found.root, child):
                    found.leave_out(child, reason)
                elif child not in folders:
                    found.files.append((child, name, split))


def _open_folder(found: Walk, folder: Path) -> list[Path]:
    try:
        return _children(folder)
    except OSError as error:
        found.leave_out(folder, f"cannot be read: {error.strerror}")
        return []


def _leave_out_all(found: Walk, children: list[Path], *, besides: list[Path]) -> None:
    for path in children:
        if path not in besides:
            found.leave_out(path, _bad_link(found.root, path) or "not inside a class folder")


def _bad_link(root: Path, path: Path) -> str | None:
    """Say what is wrong with a link; None for what is no link, and for a link to a file of the same folder."""
    if not path.is_symlink():
        return None
    try:
        target = Path(os.path.realpath(path, strict=True))
    except FileNotFoundError:
        return "a link to nothing"
    except OSError as error:
        return f"a link that cannot be followed: {error.strerror}"
    if not target.is_relative_to(root):
        return "a link that leads out of the folder"
    if target.is_dir():
        return "a directory loop" if path.is_relative_to(target) else "a link to another folder of the collection"
    return None
