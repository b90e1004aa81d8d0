"""Files that are there whole or not at all: written under a temporary name beside the target, then renamed."""

import os
import secrets
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
