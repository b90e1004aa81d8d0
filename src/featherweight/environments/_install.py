"""Making and removing environments: each is there whole or not at all."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from importlib.metadata import distributions
from pathlib import Path

from featherweight._files import exchange, size_on_disk
from featherweight._units import format_bytes

from ._npm import NpmError, fetch
from ._places import NOTE, environment_folder, python_of, shared_torch
from ._table import Environment, environment_named

CHECK = """
import importlib, importlib.metadata, json, sys
modules, packages = json.loads(sys.argv[1])
for module in modules:
    importlib.import_module(module)
print(json.dumps({package: importlib.metadata.version(package) for package in packages}))
"""
LINES = 20  # of a program that failed: its last ones say why


class InstallError(RuntimeError):
    """An environment could not be made; what was there before stays. The message has the reason."""


def install(name: str, *, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Make the environment of a target, check that it works, and put it in its place.

    pip installs into it, or npm, with the user's own settings (PIP_INDEX_URL and the like). It is made under a hidden
    name and renamed when it is complete: an interruption leaves what was there before. Where it may share the PyTorch
    that runs featherweight, it does, which saves gigabytes; it then sees the packages beside that, and goes with it.

    Args:
        name: in `ENVIRONMENTS`.
        progress: is told what is done at the moment.
    Returns: its folder.
    Raises:
        EnvironmentUnknownError: there is none of that name.
        InstallError: pip failed, the check did, or the disk has no room.
    """
    return install_as(environment_named(name), progress)


def install_as(environment: Environment, progress: Callable[[str], None]) -> Path:
    """Install an environment as a row of the table says."""
    target = environment_folder(environment.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shared = _shared(environment)
    _demand_room(environment, target.parent, shared)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        versions = _filled(temporary, environment, shared, progress)
        note = {
            "name": environment.name,
            "requirements": [*environment.requirements],
            "versions": versions,
            "shares": None if shared is None else str(shared),
            "bytes": size_on_disk(temporary),
        }
        (temporary / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        exchange(temporary, target)  # its Python finds its packages by where it lies; programs in bin are not used
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _filled(
    folder: Path, environment: Environment, shared: Path | None, progress: Callable[[str], None]
) -> dict[str, str]:
    """Fill a folder with all that the environment needs; return the versions that are there. Raises: InstallError."""
    if environment.npm is not None:
        progress(f"fetching {environment.requirements[0]} with npm")
        folder.mkdir()
        try:
            return fetch(environment.requirements[0], environment.npm, folder)
        except NpmError as error:
            raise InstallError(str(error)) from error
    progress("making the virtual environment")
    _make(folder, shared)
    _pip(python_of(folder), environment, progress)
    progress("checking that it works")
    return _check(python_of(folder), environment)


def remove(name: str) -> int:
    """Remove an environment, and what a killed installation of it left; return how many bytes that freed.

    The folder of an installation that is running stays.

    Raises: EnvironmentUnknownError: there is none of that name.
    """
    target = environment_folder(environment_named(name).name)
    freed = 0
    for folder in (target, *target.parent.glob(f".{target.name}.*")):
        if folder.is_dir() and not _is_being_filled(folder):
            freed += size_on_disk(folder)
            shutil.rmtree(folder)
    return freed


def _is_being_filled(folder: Path) -> bool:
    """Tell by the number in a temporary folder's name whether the process that fills it is alive."""
    number = re.fullmatch(r"\..+\.(\d+)-[0-9a-f]{8}", folder.name)
    if number is None:
        return False
    try:
        os.kill(int(number[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def wanted_bytes(name: str) -> int:
    """Return about how much an environment takes on the disk.

    Example:
        >>> wanted_bytes("ncnn")
        200000000
    """
    row = environment_named(name)
    return row.disk_bytes if _shared(row) is None else row.shared_bytes


def _shared(environment: Environment) -> Path | None:
    """Return the folder of packages that an environment may share; None: it needs its own."""
    found = shared_torch() if environment.sharing else None
    return found[1] if found is not None and found[0].startswith(environment.torch) else None


def _demand_room(environment: Environment, folder: Path, shared: Path | None) -> None:
    wanted = environment.disk_bytes if shared is None else environment.shared_bytes
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise InstallError(
            f"the environment {environment.name} takes about {format_bytes(wanted)}; {folder} has room for "
            f"{format_bytes(free)}. Set FEATHERWEIGHT_HOME to a folder on another disk"
        )


def _make(folder: Path, shared: Path | None) -> None:
    try:
        venv.EnvBuilder(with_pip=not _pip_is_here(), symlinks=os.name != "nt").create(folder)
    except subprocess.CalledProcessError as error:
        raise InstallError(
            f"Python's venv cannot install pip ({_last(error.output or b'')}); on Debian: apt-get install python3-venv"
        ) from error
    if shared is not None:
        packages = next(folder.glob("lib/python*/site-packages"), folder / "Lib" / "site-packages")
        (packages / "shared.pth").write_text(f"{shared}\n", encoding="utf-8")


def _pip(python: Path, environment: Environment, progress: Callable[[str], None]) -> None:
    options = [] if environment.dependencies else ["--no-deps"]
    pip = (
        [sys.executable, "-I", "-m", "pip", "--python", str(python)]
        if _pip_is_here()
        else [str(python), "-I", "-m", "pip"]
    )
    command = [*pip, "install", "--disable-pip-version-check", "--progress-bar", "off", *options]
    lines: list[str] = []
    with subprocess.Popen(
        [*command, *environment.requirements], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith(("Collecting ", "  Downloading ", "Building ", "Installing collected ")):
                progress(line.strip())
    if process.returncode:
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-LINES:]
        raise InstallError(f"pip could not install {' '.join(environment.requirements)}: {' '.join(errors)}")


def _pip_is_here() -> bool:
    """Tell whether our own pip can install: other installers of packages leave it out."""
    return any(distributions(name="pip"))  # its module is not looked for: setuptools hooks that, and warns


def _check(python: Path, environment: Environment) -> dict[str, str]:
    """Import what will be used, in the environment; return the versions that are there."""
    wanted = json.dumps([environment.modules, environment.packages])
    done = subprocess.run([python, "-I", "-c", CHECK, wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError(f"the environment {environment.name} was installed but does not work: {_last(done.stderr)}")
    versions: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return versions


def _last(output: str | bytes) -> str:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    lines: Sequence[str] = text.strip().splitlines()
    return lines[-1] if lines else "without a word"
