"""Files and folders that are there whole or not at all: written under a temporary name beside it, then renamed."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

ADDER_INT8 = "featherweight adder int8"
"""What an AdderNet in bytes says under "format" in its file's metadata: a file of safetensors, but no weights."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; when the block ends well, the file there takes the place of `path`.

    The temporary file lies in the same folder, is hidden, and ends with the same suffix as `path`. Before the rename
    its bytes are forced to the disk, so that a power cut leaves the old file or the new one, never half of one. When
    the block raises, the temporary file is removed and what was at `path` stays.

    Args:
        path: the file to write. A link there is replaced, not followed.
    Raises:
        FileNotFoundError: the folder of `path` does not exist, or the block has written no file.
        IsADirectoryError: `path` is a folder.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "model.onnx"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_bytes(b"weights")
        ...     print(temporary.suffix, target.exists())
        .onnx False
        >>> target.read_bytes()
        b'weights'
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"cannot write the file {target}: a folder has that name")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {target}: the folder {target.parent} does not exist")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{target.suffix}")
    try:
        yield temporary
        if not temporary.is_file():
            raise FileNotFoundError(f"nothing was written for {target}: expected a file at {temporary}")
        _force_to_disk(temporary)
        temporary.replace(target)
        _force_to_disk(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a new folder to write to; when the block ends well, it takes the place of `path`.

    As `atomic_path`, for files that belong together: never are some of them old and others new. A folder at `path` is
    replaced only if all that it holds is written anew, so that nothing of a user's is lost; between two renames there
    is none, and a power cut just then leaves the old one there under its hidden name.

    Args:
        path: the folder to write. A link there is replaced, not followed.
    Raises:
        FileNotFoundError: the folder that `path` is to lie in does not exist, or the block has written nothing.
        NotADirectoryError: `path` is a file.
        FileExistsError: `path` holds something that is not written anew, or is "." or "..", where somebody stands.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "model"
        >>> with atomic_folder(target) as temporary:
        ...     _ = (temporary / "weights.bin").write_bytes(b"weights")
        ...     print(target.exists())
        False
        >>> [file.name for file in target.iterdir()]
        ['weights.bin']
    """
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"cannot write the folder {target}: a file has that name")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {target}: the folder {target.parent} does not exist")
    if target.name in ("", ".."):
        raise FileExistsError(f"cannot replace the folder {target}: name it, from the folder that it lies in")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        yield temporary
        written = _files_below(temporary)
        if not written:
            raise FileNotFoundError(f"nothing was written for {target}: expected files in {temporary}")
        if lost := sorted(map(str, (_files_below(target) if target.exists() else set()) - written)):
            raise FileExistsError(f"cannot replace the folder {target}: it holds {', '.join(lost[:5])}, not ours")
        for file in sorted(written):
            _force_to_disk(temporary / file)
        exchange(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def exchange(folder: Path, target: Path) -> None:
    """Rename a folder to `target`; what was there is removed, or stays if that fails.

    Example:
        >>> import tempfile
        >>> old, new = (Path(tempfile.mkdtemp()) for _ in range(2))
        >>> _ = (old / "a").write_bytes(b"old"), (new / "a").write_bytes(b"new")
        >>> exchange(new, old)
        >>> (old / "a").read_bytes(), new.exists(), [one.name for one in old.parent.glob(f".{old.name}.*")]
        (b'new', False, [])
    """
    old = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        if os.path.lexists(target):
            target.rename(old)
        folder.rename(target)
        _force_to_disk(target.parent)
        if old.is_symlink():
            old.unlink()
        shutil.rmtree(old, ignore_errors=True)
    finally:
        if os.path.lexists(old) and not os.path.lexists(target):
            old.rename(target)


def _files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}


def size_on_disk(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; links are not followed.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a").write_bytes(b"1234")
        >>> size_on_disk(folder), size_on_disk(folder / "a")
        (4, 4)
    """
    return sum(one.lstat().st_size for one in (path, *path.rglob("*")) if one.is_symlink() or one.is_file())


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> Path:
    r"""Write a whole file at once; text is encoded as UTF-8, and its line ends are kept.

    Returns: `path` as a Path.
    Raises: as `atomic_path`.

    Example:
        >>> import tempfile
        >>> write_atomically(Path(tempfile.mkdtemp()) / "labels.json", '["cat", "dog"]\n').read_text()
        '["cat", "dog"]\n'
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder and those that it lies in, if they are not there.

    Returns: `path` as a Path.
    Raises: OSError: it cannot be made; the message names it and says why.

    Example:
        >>> import tempfile
        >>> file = write_atomically(Path(tempfile.mkdtemp()) / "model", "")
        >>> make_folder(file / "onnx")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        NotADirectoryError: cannot make the folder .../model/onnx: .../model is a file
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        file = next((place for place in (folder, *folder.parents) if os.path.isfile(place)), None)  # noqa: PTH113  # Path.is_file raises in what may not be read
        why = error.strerror if file is None else f"{file} is a file"
        raise type(error)(f"cannot make the folder {folder}: {why}") from error
    return folder


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "model.onnx").write_bytes(b"weights")
        >>> remove(folder)
        >>> folder.exists()
        False
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def set_aside(path: str | os.PathLike[str]) -> Path:
    """Give a damaged file a name of its own beside its old one, so that nothing of it is lost; return the new name.

    Example:
        >>> import tempfile
        >>> broken = write_atomically(Path(tempfile.mkdtemp()) / "bench.sqlite", "not a database")
        >>> set_aside(broken).name.startswith("bench.sqlite.damaged-"), broken.exists()
        (True, False)
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    return Path(path).rename(f"{os.fspath(path)}.damaged-{stamp}")


def _force_to_disk(path: Path) -> None:
    """Wait until the system has written a file's bytes, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
