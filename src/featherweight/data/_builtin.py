"""The built-in pictures, each under the name by which commands know it."""

from collections.abc import Callable
from pathlib import Path

from ._characters import characters
from ._digits import digits
from ._folder import open_folder
from ._pictures import DataError, Pictures

BUILT_IN: dict[str, Callable[[], Pictures]] = {"digits": digits, "characters": characters}


def read_pictures(data: str) -> Pictures:
    """Give the built-in pictures of this name, or else those of a folder (`./digits` is a folder).

    Raises: DataError: there is no such folder, or its pictures cannot be used.

    Example:
        >>> len(read_pictures("digits"))
        1797
    """
    if data in BUILT_IN:
        return BUILT_IN[data]()
    if not Path(data).exists():
        raise DataError(f"no such folder: {data}; built in are {' and '.join(BUILT_IN)}")
    return open_folder(data)
