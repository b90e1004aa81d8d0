"""Optional packages: imported where they are used, with an error that says what to install."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


class MissingExtraError(ImportError):
    """A package of an extra is not installed.

    Example:
        >>> from featherweight._extras import require
        >>> require("no_such_package", extra="fit")
        Traceback (most recent call last):
        ...
        featherweight._extras.MissingExtraError: this needs the package 'no_such_package', which is not
        installed: pip install 'featherweight[fit]'
    """


def require(module: str, *, extra: str) -> ModuleType:
    """Import a module of an optional package, or say which extra brings it.

    A package that is installed but fails while being imported raises its own error: that is a broken
    installation, not a missing one.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise _missing(package, extra) from error


def folder_of(package: str, *, extra: str) -> Path:
    """Find an optional package's folder, for the files in it, without importing it; or say which extra brings it."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise _missing(package, extra)
    return Path(found.submodule_search_locations[0])


def _missing(package: str, extra: str) -> MissingExtraError:
    return MissingExtraError(
        f"this needs the package '{package}', which is not installed: pip install 'featherweight[{extra}]'",
        name=package,
    )
