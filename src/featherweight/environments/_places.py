"""Where environments lie, and whether one is there that can be used."""

import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ._table import environment_named

NOTE = "featherweight.json"  # in an environment's folder: what is in it; written last


class EnvironmentMissingError(RuntimeError):
    """An environment is not installed, or no longer fits; the message has the command that installs it."""


def environment_folder(name: str) -> Path:
    """Return where an environment lies: under $FEATHERWEIGHT_HOME, else in featherweight's folder of the user's cache.

    The name is any: what else a target needs on this machine lies beside, under a name of its own.

    Example:
        >>> environment_folder("ncnn").parts[-2:]
        ('environments', 'ncnn')
    """
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = os.environ.get("FEATHERWEIGHT_HOME") or Path(cache) / "featherweight"
    return Path(home).absolute() / "environments" / name


def require_environment(name: str) -> Path:
    """Return an environment's Python.

    Raises:
        EnvironmentMissingError: it is not installed, or does not fit; the message has the command that installs it.
        EnvironmentUnknownError: there is none of that name.
    """
    if reason := missing(name):
        raise EnvironmentMissingError(reason)
    return python_of(environment_folder(name))


def missing(name: str) -> str | None:
    """Say why an environment cannot be used, with the command that mends it; None: it can.

    Raises: EnvironmentUnknownError: there is none of that name.
    """
    environment, folder = environment_named(name), environment_folder(name)
    mend = f"featherweight environment install {name}"
    note = read_note(folder)
    if note is None:
        damaged = f"is damaged, its {NOTE} cannot be read" if (folder / NOTE).exists() else None
        return f"the environment {name} {damaged or f'is not installed (looked in {folder})'}: {mend}"
    if note["requirements"] != [*environment.requirements]:
        return f"the environment {name} holds {', '.join(note['requirements'])}, other versions than wanted: {mend}"
    if environment.npm is not None:
        gone = [file for file in environment.npm.files if not (folder / file).is_file()]
        return f"the environment {name} lacks {', '.join(gone)}: {mend}" if gone else None
    if not python_of(folder).exists():
        return f"the Python that the environment {name} was made with is gone: {mend}"
    shared, wanted = note["shares"], note["versions"].get("torch")
    if shared is not None and _torch_in(Path(shared)) != wanted:
        return f"the environment {name} shares PyTorch {wanted} of {shared}, which is no longer there: {mend}"
    return None


def read_note(folder: Path) -> dict[str, Any] | None:
    """Return what an environment says of itself; None: there is none, or its note is damaged."""
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return note if isinstance(note, dict) and {"requirements", "versions", "shares"} <= note.keys() else None


def python_of(folder: Path) -> Path:
    """Return the path of a virtual environment's Python."""
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def shared_torch() -> tuple[str, Path] | None:
    """Return the version of the PyTorch beside featherweight and the folder that it is installed in; None: no such.

    Without importing it. What lies in several folders cannot be shared.
    """
    try:
        found = version("torch")
    except PackageNotFoundError:
        return None
    return next(((found, Path(entry)) for entry in sys.path if entry and _torch_in(Path(entry)) == found), None)


def _torch_in(folder: Path) -> str | None:
    """Return the version of the PyTorch in a folder of packages."""
    from importlib.metadata import distributions

    return next((found.version for found in distributions(name="torch", path=[str(folder)])), None)
